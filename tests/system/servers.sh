#!/bin/sh
# SPDX-License-Identifier: ISC
#
# usage: servers.sh SUITE DIR [pytest's arguments]
# Runs the tests with the web servers, PHP and Perl of another release of
# Debian, such as sid, in DIR: test_webservers.py and test_matrix_web.py,
# unless other files are named (make check-servers).
#
# DIR is made, unless it is there: remove it to have newer ones. That needs
# root, mmdebstrap and the package archive. The tests themselves have no
# network. The program under test is the host's build: the release must not be
# older than the host's.
#
#   SPAWND  the program to test (build/spawnd)
#   APPS    the directory of the test applications (build/apps)

set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)

die()
{
	echo "servers.sh: $*" >&2
	exit 1
}

# make_root SUITE DIR: under another name until it is complete. The -dev
# packages bring the libraries, whose own names change. A mirror may be older
# than its index says it should be; what it has is signed all the same.
make_root()
{
	echo "making $2, about a minute"
	rm -rf "$2.new"
	mkdir -p "$(dirname "$2")"
	log=$(mktemp)
	trap 'rm -f "$log"' EXIT
	mmdebstrap --variant=essential --components=main \
	    --include=apache2-bin,caddy,haproxy,lighttpd,nginx \
	    --include=php-cgi,libfcgi-perl,python3-pytest \
	    --include=iproute2,libcap2-bin,mount,procps,util-linux \
	    --include=libbsd-dev,libcap-ng-dev,libevent-dev,libfcgi-dev \
	    --include=libjansson-dev \
	    --aptopt='APT::Install-Recommends "false"' \
	    --aptopt='Acquire::Languages "none"' \
	    --aptopt='Acquire::Check-Valid-Until "false"' \
	    --dpkgopt='path-exclude=/usr/share/man/*' \
	    --dpkgopt='path-exclude=/usr/share/doc/*' \
	    --dpkgopt='path-exclude=/usr/share/locale/*' \
	    "$1" "$2.new" >"$log" 2>&1 || {
		cat "$log" >&2
		exit 1
	}
	mv "$2.new" "$2"
}

if [ "${SERVERS_INSIDE-}" != yes ]; then
	[ $# -ge 2 ] || die "usage: servers.sh SUITE DIR [argument ...]"
	[ "$(id -u)" -eq 0 ] || die "this needs root"
	suite=$1 dir=$2
	shift 2
	[ -d "$dir" ] || {
		command -v mmdebstrap >/dev/null ||
		    die "mmdebstrap: not installed"
		make_root "$suite" "$dir"
	}
	SERVERS_DIR=$(cd "$dir" && pwd)
	SERVERS_INSIDE=yes
	export SERVERS_DIR SERVERS_INSIDE
	exec unshare --mount --propagation private /bin/sh "$0" "$@"
fi

unset SERVERS_INSIDE
root=$SERVERS_DIR
[ $# -gt 0 ] || set -- test_webservers.py test_matrix_web.py
# run.sh wants a root that is a mount, and finds the sources by their own name.
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/tmp"
mkdir -p "$root$top"
mount --bind "$top" "$root$top"
for package in nginx lighttpd haproxy caddy apache2-bin php-cgi libfcgi-perl
do
	# shellcheck disable=SC2016	# dpkg-query expands these
	chroot "$root" dpkg-query -W -f '${Package} ${Version}\n' "$package"
done
exec chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    HOME=/root LC_ALL=C.UTF-8 ${SPAWND:+SPAWND="$SPAWND"} \
    ${APPS:+APPS="$APPS"} /bin/sh "$top/tests/system/run.sh" "$@"
