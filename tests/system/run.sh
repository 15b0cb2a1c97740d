#!/bin/sh
# SPDX-License-Identifier: ISC
#
# Runs the system tests: as root, in mount, pid and network namespaces of
# their own, with a /run, a /var/www and user tables of their own. Nothing
# outside is changed, and whatever a test forgets ends with the namespace.
#
# usage: run.sh [pytest's arguments]
#   SPAWND  the program to test (build/spawnd)
#   APPS    the directory of the test applications (build/apps)

set -eu

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)

absolute()
{
	case $1 in
	/*)	printf '%s\n' "$1" ;;
	*)	printf '%s\n' "$PWD/$1" ;;
	esac
}

die()
{
	echo "run.sh: $*" >&2
	exit 1
}

if [ "${SPAWND_INSIDE-}" != yes ]; then
	[ "$(id -u)" -eq 0 ] || die "the system tests need root"
	for tool in unshare mount ip; do
		command -v "$tool" >/dev/null || die "$tool: not installed"
	done
	SPAWND=$(absolute "${SPAWND:-$top/build/spawnd}")
	APPS=$(absolute "${APPS:-$top/build/apps}")
	[ -x "$SPAWND" ] || die "$SPAWND: no such program (make builds it)"
	[ -d "$APPS" ] || die "$APPS: no such directory"
	[ -d /var/www ] || die "/var/www: not there (the web servers make it)"
	SPAWND_INSIDE=yes
	export SPAWND APPS SPAWND_INSIDE
	# --kill-child: whoever ends this script ends all of it.
	exec unshare --mount --propagation private --pid --fork --mount-proc \
	    --net --kill-child /bin/sh "$here/run.sh" "$@"
fi

unset SPAWND_INSIDE
mount -t tmpfs -o mode=755,size=512m tmpfs /run
mount -t tmpfs -o mode=755,size=256m tmpfs /var/www
ip link set lo up

# The host's users, and those the tests are written for.
names='www|_app|web|many|alpha|beta|gamma'
mkdir -m 755 /run/etc /run/lock /run/t
grep -Ev "^($names):" /etc/passwd >/run/etc/passwd
cat >>/run/etc/passwd <<-'END'
	www:x:67:67:listens:/var/www:/usr/sbin/nologin
	_app:x:68:68:works:/nonexistent:/usr/sbin/nologin
	web:x:69:69:a web server:/var/www:/usr/sbin/nologin
	many:x:70:70:has many groups:/home/many:/bin/sh
END
grep -Ev "^($names):" /etc/group >/run/etc/group
cat >>/run/etc/group <<-'END'
	www:x:67:web
	_app:x:68:
	web:x:69:
	many:x:70:
	alpha:x:71:many
	beta:x:72:many
	gamma:x:73:many
END
chmod 644 /run/etc/passwd /run/etc/group
mount --bind /run/etc/passwd /etc/passwd
mount --bind /run/etc/group /etc/group

umask 022
PYTHONDONTWRITEBYTECODE=1
export PYTHONDONTWRITEBYTECODE
cd "$here"

# Not exec: this shell is pid 1 here and takes the orphans.
status=0
/usr/bin/python3 -m pytest -p no:cacheprovider --basetemp=/run/pytest \
    -o console_output_style=classic "$@" || status=$?
exit "$status"
