#!/sbin/openrc-run
# SPDX-License-Identifier: ISC
#
# One pool, after whose file the script is named:
#
#	ln -s spawnd /etc/init.d/spawnd.NAME	(@SYSCONFDIR@/spawnd/NAME.conf)
#	rc-update add spawnd.NAME
#
# For settings see conf.d/spawnd.
#
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154	# openrc-run(8) and readconf.sh

description="FastCGI process manager"
extra_started_commands="reload"

spawnd_pool=${RC_SVCNAME#*.}
spawnd_pidfile=@RUNDIR@/spawnd-$spawnd_pool.pid
command=@SBINDIR@/spawnd
# Above --drain and --stop-timeout, in seconds.
: "${retry:=TERM/40}"
# supervise-daemon has a pidfile of its own.
[ "${supervisor-}" = supervise-daemon ] || pidfile=$spawnd_pidfile

depend()
{
	use net logger
	after localmount firewall
}

# Sets command_args to the words of the pool's file, in quotes, which are taken
# off when openrc-run starts the command.
spawnd_read()
{
	if [ "$spawnd_pool" = "$RC_SVCNAME" ]; then
		eerror "spawnd: not by this name: ln -s $RC_SVCNAME" \
		    "/etc/init.d/$RC_SVCNAME.NAME"
		return 1
	fi
	# shellcheck source=/dev/null
	. @LIBEXECDIR@/spawnd/readconf.sh
	spawnd_readconf "@SYSCONFDIR@/spawnd" "$spawnd_pool" || return 1
	# It returns when the pool is ready, and says so or why not.
	command_args="-P '$spawnd_pidfile' $spawnd_words"
	[ "${supervisor-}" != supervise-daemon ] ||
	    command_args="-n --log syslog $command_args"
}

start_pre()
{
	spawnd_read
}

stop_pre()
{
	# Without its file it would not start again.
	[ "$RC_CMD" != restart ] || spawnd_read
}

reload()
{
	ebegin "Reloading $RC_SVCNAME"
	# supervise-daemon would take the end of the first spawnd for that of
	# the pool.
	if ! spawnd_read || ! spawnd_find_pid "$spawnd_pidfile"; then
		false
	elif [ "${supervisor-}" = supervise-daemon ] || ! spawnd_has_control
	then
		kill -HUP "$spawnd_pid"
	else
		eval "$command --replace=changed $command_args"
	fi
	eend $? "Failed to reload $RC_SVCNAME"
}
