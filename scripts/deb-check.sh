#!/bin/sh
# SPDX-License-Identifier: ISC
#
# usage: deb-check.sh
#
# Builds the packages (make check-deb), twice from places, umasks and time zones
# that differ, which is not to be seen in them, and once as a newer version;
# lintian has nothing to say; and a booted system (test_deb.py) installs,
# upgrades, removes and purges them. Needs root, debhelper, lintian and, for the
# first time, the package archive: about three minutes.

set -eu

cd "$(dirname "$0")/.."
. scripts/packages.sh
. scripts/tally.sh
# shellcheck source=tests/system/minimal.sh
. tests/system/minimal.sh
out=$PWD/build/deb-check
# shellcheck disable=SC2086	# words
missing=$(packages_missing $packages_build $packages_status $packages_deb \
    lintian)
[ -z "$missing" ] || {
	echo "deb-check.sh: not installed:$missing" >&2
	exit 1
}
DEB_BUILD_OPTIONS="nocheck ${DEB_BUILD_OPTIONS-}"
export DEB_BUILD_OPTIONS

build_first()
(
	umask 077
	TZ=Pacific/Auckland sh scripts/deb.sh "$out/a"
)

# The same, however often and wherever it is built: all but the list of what
# was installed on the machine that built it.
build_again()
{
	TZ=UTC sh scripts/deb.sh "$out/a-longer-name" || return
	for file in "$out"/a/*; do
		case $file in
		*.buildinfo|*.changes)	;;
		*)	cmp "$file" "$out/a-longer-name/${file##*/}" ||
			    return ;;
		esac
	done
}

check_lintian()
{
	lintian --fail-on error,warning "$out"/a/*.changes
}

# What the packages need, and the programs whose names spawnd-compat takes.
make_root()
{
	needs=$(for deb in "$out"/a/spawnd_*.deb "$out"/a/spawnd-status_*.deb
	do
		dpkg-deb -f "$deb" Depends
	done | tr ',' '\n' | sed 's/^ *\([^ ]*\).*/\1/' |
	    grep -v '^spawnd' | tr '\n' ',')
	# shellcheck source=/dev/null
	release=$(. /etc/os-release && echo "$VERSION_CODENAME")
	minimal_root "$release" build/deb-root \
	    "${needs}systemd,systemd-sysv,apt,procps,spawn-fcgi,multiwatch"
}

run_tests()
{
	DEBS="$out" SYSTEMD_ROOT="$PWD/build/deb-root" \
	    sh tests/system/run.sh --soak 1 -q test_deb.py
}

rm -rf "$out"
tally_run "build" build_first
tally_run "build, identical" build_again
tally_run "build of a newer version" sh scripts/deb.sh "$out/newer" 9+newer1
tally_run "lintian" check_lintian
tally_run "a root with what they need" make_root
tally_run "install, upgrade, remove, purge" run_tests
tally_end
