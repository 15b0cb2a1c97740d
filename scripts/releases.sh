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
top=$PWD
. scripts/packages.sh
. tests/system/minimal.sh

# About half a minute: starts, sockets, privileges, web servers.
core='test_command_line.py test_socket.py test_privileges.py test_web.py'

# within ROOT COMMAND...: as root in it, in the copy of the sources there.
within()
{
	# shellcheck disable=SC2016	# the inner shell expands it
	unshare --mount --propagation private --pid --fork --kill-child sh -c '
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

# try SUITE: returns how many of its parts failed.
try()
{
	root=$top/build/release-$1
	# shellcheck disable=SC2086
	packages=$(echo $packages_build $packages_demo $packages_core |
	    tr ' ' ,)
	minimal_root "$1" "$root" "$packages" || return 1
	rm -rf "$root/src"
	mkdir -p "$root/src" "$root/var/www"
	tar -cf - --exclude=./build --exclude=./.git . | tar -xf - -C "$root/src"
	bad=0
	for part in build check system; do
		set --
		case $part in
		build)	set -- make -s -j2 WERROR=1 all units apps ;;
		check)	set -- make -s check ;;
		system)	# shellcheck disable=SC2086
			set -- sh tests/system/run.sh -q $core ;;
		esac
		log=$top/build/release-$1-$part.log
		log=$root.$part.log
		if timeout -k 10 1200 sh -c : && within "$root" "$@" \
		    >"$log" 2>&1; then
			echo "ok   $root $part: $(tail -n 1 "$log")"
		else
			echo "FAIL $root $part"
		fi
	done
}
