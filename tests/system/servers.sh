#!/bin/sh
# SPDX-License-Identifier: ISC
#
# usage: servers.sh SUITE DIR [pytest's arguments]
# Runs the tests with the web servers, PHP and Perl of another release of
# Debian, such as sid, in DIR: test_webservers.py, test_uploads.py and
# test_matrix_web.py, unless other files are named (make check-servers).
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

# The -dev packages bring the libraries, whose own names change.
packages=apache2-bin,caddy,haproxy,lighttpd,nginx,php-cgi,libfcgi-perl
packages=$packages,python3-pytest,iproute2,libcap2-bin,mount,procps,util-linux
packages=$packages,libbsd-dev,libcap-ng-dev,libfcgi-dev,libjansson-dev

if [ "${SERVERS_INSIDE-}" != yes ]; then
	[ $# -ge 2 ] || die "usage: servers.sh SUITE DIR [argument ...]"
	[ "$(id -u)" -eq 0 ] || die "this needs root"
	suite=$1 dir=$2
	shift 2
	# shellcheck source=tests/system/minimal.sh
	. "$top/tests/system/minimal.sh"
	minimal_root "$suite" "$dir" "$packages"
	SERVERS_DIR=$(cd "$dir" && pwd)
	SERVERS_INSIDE=yes
	export SERVERS_DIR SERVERS_INSIDE
	exec unshare --mount --propagation private /bin/sh "$0" "$@"
fi

unset SERVERS_INSIDE
root=$SERVERS_DIR
[ $# -gt 0 ] || set -- test_webservers.py test_uploads.py \
    test_matrix_web.py
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
