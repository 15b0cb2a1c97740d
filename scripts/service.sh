#!/bin/sh
# SPDX-License-Identifier: ISC
#
# For spawnctl: has a new spawnd take over from the pool NAME with the command
# line that @SYSCONFDIR@/spawnd/NAME.conf has now, or shows what that would
# change.
#
# usage: service restart|diff NAME

PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
conf=@SYSCONFDIR@/spawnd
run=@RUNDIR@
daemon=@SBINDIR@/spawnd

# shellcheck source=/dev/null
. @LIBEXECDIR@/spawnd/readconf.sh

how=$1
name=$2
unit=spawnd@$name.service

# Is the pool a service of systemd's?
is_unit()
{
	[ -d /run/systemd/system ] && systemctl is-active -q "$unit"
}

# What the unit would start, as its user and with the manager's environment.
# The words of its environment that are in quotes are left out.
show_unit()
{
	user=$(systemctl show -P User "$unit")
	[ -n "$user" ] && [ "$user" != root ] || user=
	# shellcheck disable=SC2046	# words
	set -- env -i $(systemctl show-environment |
	    grep -E '^(PATH|TZ|LANG|LC_[A-Z]*)=[A-Za-z0-9_./:@-]*$') \
	    "$daemon" --replace --test --log stderr \
	    --control "$run/spawnd/$name" "$@"
	[ -z "$user" ] || set -- setpriv --reuid "$user" --regid \
	    "$(id -g "$user")" --init-groups "$@"
	exec "$@"
}

[ -f "$conf/$name.conf" ] || {
	echo "spawnctl: $how: $name: no service file ($conf/$name.conf):" \
	    "start spawnd --replace with what it was started with" >&2
	exit 78
}
spawnd_readconf "$conf" "$name" || exit 78
# shellcheck disable=SC2154	# readconf.sh sets it
eval "set -- $spawnd_words"
if is_unit; then
	case $how in
	diff)	show_unit "$@" ;;
	*)	exec systemctl reload "$unit" ;;
	esac
fi
pidfile=$run/spawnd-$name.pid
[ ! -f "$pidfile" ] || set -- -P "$pidfile" "$@"
case $how in
diff)	exec "$daemon" --replace --test "$@" ;;
*)	exec "$daemon" --replace "$@" ;;
esac
