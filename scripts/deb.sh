#!/bin/sh
# SPDX-License-Identifier: ISC
#
# usage: deb.sh [DIR [VERSION]]
#
# Builds the packages spawnd, spawnd-status and spawnd-compat of Debian or
# Ubuntu, as any user, from a copy of this tree: in DIR (build/deb), in place of
# those there. VERSION is for a build of one's own, such as 0.1+site1.
# DEB_BUILD_OPTIONS=nocheck goes without "make check". Needs debhelper.

set -eu

cd "$(dirname "$0")/.."
. scripts/packages.sh
dir=${1:-build/deb}
# shellcheck disable=SC2086	# words
missing=$(packages_missing $packages_build $packages_status \
    $packages_deb)
[ -z "$missing" ] || {
	echo "deb.sh: not installed:$missing" >&2
	exit 1
}
released=$(dpkg-parsechangelog -l scripts/deb/changelog -S Version)
date=$(dpkg-parsechangelog -l scripts/deb/changelog -S Date)
by=$(dpkg-parsechangelog -l scripts/deb/changelog -S Maintainer)
version=${2:-$released}
work=$dir/spawnd_$version.build
tree=$work/spawnd-$version
umask 022
rm -rf "$work"
rm -f "$dir"/spawnd_* "$dir"/spawnd-*_*
mkdir -p "$tree"
# All of one date and with the modes of a release: so does the result not tell
# from which checkout it was made.
tar -cf - --exclude=./build --exclude=./.git --exclude=__pycache__ \
    --mode=u=rwX,go=rX --mtime="$date" . | tar -xf - -C "$tree"
cp -R "$tree/scripts/deb" "$tree/debian"
if [ "$version" != "$released" ]; then
	cat - scripts/deb/changelog >"$tree/debian/changelog" <<-END
		spawnd ($version) unstable; urgency=medium

		  * Built from the sources of $released.

		 -- $by  $date

	END
fi
(cd "$tree" && dpkg-buildpackage -us -uc -J)
find "$work" -maxdepth 1 -type f -exec mv {} "$dir" \;
rm -rf "$work"
ls "$dir"/*.deb
