#!/bin/sh
# SPDX-License-Identifier: ISC
#
# usage: install.sh DIR SPAWND
# Puts the scripts into DIR as an installation would, made to find everything
# below DIR (its etc/spawnd, run, libexec, the stand-ins for rc.subr and
# openrc-run) and the program SPAWND.

set -eu

dir=$1
sbin=$(dirname "$2")
cd "$(dirname "$0")/../.."
mkdir -p "$dir/etc/rc.d" "$dir/etc/init.d" "$dir/etc/conf.d" \
    "$dir/etc/spawnd" "$dir/run" "$dir/libexec/spawnd" "$dir/ocf"

fill()
{
	sed -e "s,@SBINDIR@,$sbin,g" -e "s,@SYSCONFDIR@,$dir/etc,g" \
	    -e "s,@BINDIR@,$sbin,g" -e "s,@RUNDIR@,$dir/run,g" \
	    -e "s,@LIBEXECDIR@,$dir/libexec,g" \
	    -e "s,/etc/rc.d/rc.subr,$dir/etc/rc.subr.openbsd,g" \
	    -e "s,^\. /etc/rc.subr,. $dir/etc/rc.subr.freebsd,g" "$1" >"$2"
	chmod 755 "$2"
}

fill scripts/service.sh "$dir/libexec/spawnd/service"
fill scripts/readconf.sh "$dir/libexec/spawnd/readconf.sh"
fill scripts/rc.d/openbsd "$dir/etc/rc.d/openbsd"
fill scripts/rc.d/freebsd "$dir/etc/rc.d/freebsd"
fill scripts/init.d/spawnd "$dir/etc/init.d/spawnd"
fill scripts/openrc/init.d "$dir/etc/init.d/openrc"
fill scripts/openrc/conf.d "$dir/etc/conf.d/spawnd"
fill scripts/recipes/pacemaker/pool "$dir/ocf/pool"
fill scripts/spawn-php.sh "$dir/spawn-php.sh"
cp tests/scripts/rc.subr.* tests/scripts/openrc-run "$dir/etc/"
