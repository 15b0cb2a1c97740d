#!/bin/sh
# SPDX-License-Identifier: ISC
#
# usage: releases.sh [SUITE ...]
#
# Builds in a minimal root of each release of Debian (trixie and sid) with the
# compiler, the libraries and the tools that it has, and runs "make check" and
# the core of the system tests there (make check-releases). The roots are made
# in build/, unless they are there: remove them to have newer ones.
#
# What breaks in sid may be another's change, and is a warning: only the
# releases make the status 1. Needs root, mmdebstrap and the package archive.

set -eu

cd "$(dirname "$0")/.."
. scripts/packages.sh
# shellcheck source=tests/system/minimal.sh
. tests/system/minimal.sh

# About half a minute: command line, sockets, privileges, web servers.
core='test_command_line.py test_socket.py test_privileges.py test_web.py'

# within ROOT COMMAND...: as root in it, in the copy of the sources there. The
# timeout is the host's: as the first process of all that of coreutils 9.10 runs
# nothing.
within()
{
	# shellcheck disable=SC2016	# the inner shell expands it
	timeout -k 10 1800 unshare --mount --propagation private --pid --fork \
	    --kill-child sh -c '
		root=$1
		shift
		mount --bind "$root" "$root"
		mount -t proc proc "$root/proc"
		mount --rbind /sys "$root/sys"
		mount --rbind /dev "$root/dev"
		mount -t tmpfs tmpfs "$root/tmp"
		exec chroot "$root" /usr/bin/env -i HOME=/root \
		    PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 \
		    sh -c "cd /src && exec \"\$@\"" sh "$@"' sh "$@" </dev/null
}

# one PART COMMAND...: says how a part went for $suite, and counts. A test that
# was left out is not had there, or else something is missing.
one()
{
	part="$suite, $1"
	log=$root.$1.log
	shift
	if "$@" >"$log" 2>&1 &&
	    ! grep -q '^[0-9].* [1-9][0-9]* skipped$' "$log"; then
		echo "ok   $part"
		passed=$((passed + 1))
		return
	fi
	tail -n 60 "$log" | sed 's/^/     /'
	if [ "$suite" = sid ]; then
		echo "warning: $part failed ($log has all of it)"
	else
		echo "FAIL $part ($log has all of it)"
		failed=$((failed + 1))
	fi
	return 1
}

# inside PART COMMAND...: the same, in the root of $suite.
inside()
{
	part=$1
	shift
	one "$part" within "$root" "$@" || :
}

# In a shell of its own: it has variables of these names, too.
make_root()
(
	minimal_root "$suite" "$root" "$packages"
)

mkdir -p build
passed=0
failed=0
[ $# -gt 0 ] || set -- trixie sid
# shellcheck disable=SC2086
packages=$(echo $packages_build $packages_demo $packages_core | tr ' ' ,)
for suite; do
	root=$PWD/build/release-$suite
	one root make_root || continue
	rm -rf "$root/src"
	mkdir -p "$root/src" "$root/var/www"
	tar -cf - --exclude=./build --exclude=./.git . |
	    tar -xf - -C "$root/src"
	inside build make -s -j2 WERROR=1 all units apps
	inside check make -s check
	# shellcheck disable=SC2086
	inside system sh tests/system/run.sh -q $core
done
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
