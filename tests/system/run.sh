#!/bin/sh
# SPDX-License-Identifier: ISC
#
# Runs the system tests: as root, in mount, pid and network namespaces of
# their own, with a /run, a /var/www and user tables of their own. Nothing
# outside is changed, and whatever a test forgets ends with the namespace.
#
# usage: run.sh [-j N] [pytest's arguments]
#   -j N    every file of tests, or those that are named, N at a time, each in
#           namespaces of its own; the last line sums up, and what failed is
#           shown before it
#   SPAWND  the program to test (build/spawnd)
#   APPS    the directory of the test applications (build/apps)
#
# Which tests these are is said in conftest.py: --short, --soak.

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

# What takes longest begins first, but not all of the matrix at once: each of
# its pools is saturated.
first='test_matrix.py test_retire.py test_recycle.py test_matrix_web.py
    test_matrix_ends.py test_install.py test_drain.py test_applications.py
    test_endurance.py test_faults.py test_spawnctl.py test_adaptive.py
    test_renew.py'

# together N ARGUMENT...: the files, N at a time. setpriv: whoever ends this
# script ends all of it, with a signal that nobody can hold back.
together()
{
	jobs=$1 files=
	shift
	for arg; do
		shift
		case $arg in
		test_*.py)	files="$files $arg" ;;
		*)	set -- "$@" "$arg" ;;
		esac
	done
	dir=$(mktemp -d)
	export dir
	trap 'rm -rf "$dir"' EXIT
	trap 'exit 1' HUP INT TERM
	# shellcheck disable=SC2086
	(cd "$here" && printf '%s\n' ${files:-$first test_*.py}) |
	    awk '!seen[$0]++' | setpriv --pdeathsig KILL \
	    xargs -P "$jobs" -I FILE setpriv --pdeathsig KILL \
	    sh "$here/run.sh" --one FILE "$@" &
	wait $!
	[ ! -f "$dir/failed" ] || cat "$dir/failed"
	[ ! -f "$dir/absent" ] || sort -u "$dir/absent"
	awk '{ passed += $2; failed += $4 }
	    END { print passed + 0 " passed, " failed + 0 " failed, 0 skipped"
	    exit failed > 0 || passed == 0 }' "$dir/said"
}

# one FILE ARGUMENT...: one of these files, which says how it went.
one()
{
	log=$dir/$1.log
	began=$(date +%s)
	status=0
	setpriv --pdeathsig KILL sh "$here/run.sh" "$@" >"$log" 2>&1 ||
	    status=$?
	grep '^not had here: ' "$log" >>"$dir/absent" || :
	# 5: none of its tests was wanted.
	[ "$status" -ne 5 ] || return 0
	said=$(sed -n 's/^\(.* passed, .* failed\), 0 skipped$/\1/p' "$log")
	[ "$status" -eq 0 ] || cat "$log" >>"$dir/failed"
	# What did not come to its end has failed, whatever it said.
	case $status:${said:=0 passed, 0 failed} in
	0:*)	;;
	*", 0 failed")	said="${said%,*}, 1 failed" ;;
	esac
	times >"$dir/$1.times"
	echo "$1: $said ($(($(date +%s) - began)) s," \
	    "$(times_sum "$dir/$1.times") s of a processor)" |
	    tee -a "$dir/said"
}

if [ "${SPAWND_INSIDE-}" != yes ]; then
	[ "$(id -u)" -eq 0 ] || die "the system tests need root"
	for tool in unshare mount ip; do
		command -v "$tool" >/dev/null || die "$tool: not installed"
	done
	awk '{ n += $3 } END { exit n < 1000 }' /proc/self/uid_map ||
	    die "root is the only user here (of this user namespace)"
	SPAWND=$(absolute "${SPAWND:-$top/build/spawnd}")
	APPS=$(absolute "${APPS:-$top/build/apps}")
	[ -x "$SPAWND" ] || die "$SPAWND: no such program (make builds it)"
	[ -d "$APPS" ] || die "$APPS: no such directory"
	[ -d /var/www ] || die "/var/www: not there (the web servers make it)"
	. "$top/scripts/packages.sh"
	. "$top/scripts/times.sh"
	SPAWND_ABSENT=$(packages_absent | tr '\n' ' ')
	export SPAWND APPS SPAWND_ABSENT
	case ${1-} in
	-j)	shift; together "$@"; exit ;;
	--one)	shift; one "$@"; exit ;;
	esac
	SPAWND_INSIDE=yes
	export SPAWND_INSIDE
	# --kill-child: whoever ends this script ends all of it.
	exec unshare --mount --propagation private --pid --fork --mount-proc \
	    --net --kill-child /bin/sh "$here/run.sh" "$@"
fi

unset SPAWND_INSIDE
mount -t tmpfs -o mode=755,size=512m tmpfs /run
mount -t tmpfs -o mode=755,size=256m tmpfs /var/www
mount -t tmpfs -o mode=1777,size=64m tmpfs /dev/shm
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

# All users of the tests run its programs and scripts. Where they cannot, as in
# /root or in a home that is closed to others, they have a view of the tree
# that they can; what the tests leave in build/ stays there.
if ! setpriv --reuid 65534 --regid 65534 --clear-groups test -r "$here/run.sh" \
    -a -x "$SPAWND" -a -x "$APPS"; then
	view=/run/tree
	mkdir /run/upper /run/work "$view"
	cd "$top"
	mount -t overlay -o lowerdir=.,upperdir=/run/upper,workdir=/run/work \
	    tree "$view"
	mount --bind build "$view/build"
	chmod 755 "$view"
	find "$view" ! -type l ! -perm -4 -exec chmod go+rX {} +
	case $SPAWND in "$top"/*) SPAWND=$view${SPAWND#"$top"} ;; esac
	case $APPS in "$top"/*) APPS=$view${APPS#"$top"} ;; esac
	here=$view/tests/system
fi

umask 022
PYTHONDONTWRITEBYTECODE=1
export PYTHONDONTWRITEBYTECODE
cd "$here"

# Not exec: this shell is pid 1 here and takes the orphans.
status=0
/usr/bin/python3 -m pytest -p no:cacheprovider --basetemp=/run/pytest \
    -o console_output_style=classic "$@" || status=$?
exit "$status"
