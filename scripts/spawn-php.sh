#!/bin/sh
# SPDX-License-Identifier: ISC
#
# Starts PHP as a FastCGI server under spawnd or under spawn-fcgi, in a clean
# environment. Set the variables here, or in the environment of the caller:
#
#	FCGISOCKET=/run/php/app.sock USERID=_php GROUPID=_php spawn-php.sh
#
# Exit status: that of the program it starts; 64 if a variable is wrong.

## ABSOLUTE path to spawnd, or to spawn-fcgi
SPAWNFCGI=${SPAWNFCGI-@SBINDIR@/spawnd}

## ABSOLUTE path to the PHP binary, and to its configuration (php-cgi -c)
FCGIPROGRAM=${FCGIPROGRAM-/usr/bin/php-cgi}
FCGI_CONFIG=${FCGI_CONFIG-}

## where to listen: a TCP port on FCGIADDR, or a unix socket; not both.
## With neither it is port 1026.
FCGIPORT=${FCGIPORT-}
FCGISOCKET=${FCGISOCKET-}

## the address to listen on. FastCGI has no authentication: whoever reaches
## another one than this can run any script.
FCGIADDR=${FCGIADDR-127.0.0.1}

## number of PHP children to spawn
PHP_FCGI_CHILDREN=${PHP_FCGI_CHILDREN-10}

## number of requests that one of them serves until it is replaced
PHP_FCGI_MAX_REQUESTS=${PHP_FCGI_MAX_REQUESTS-1000}

## the web servers' addresses, separated by commas without blanks, for FCGIPORT.
## With spawnd the kernel keeps all others away. Without it only programs made
## with libfcgi refuse them; for PHP FCGIADDR and the packet filter decide.
FCGI_WEB_SERVER_ADDRS=${FCGI_WEB_SERVER_ADDRS-127.0.0.1}

## names of the environment variables to keep, separated by spaces
ALLOWED_ENV=${ALLOWED_ENV-PATH USER}

## if this script is run as root, switch to the following user and group
USERID=${USERID-www-data}
GROUPID=${GROUPID-www-data}

## no config below this line

die()
{
	echo "spawn-php.sh: $*" >&2
	exit 64
}

absolute()
{
	case $2 in
	*=*)	die "$1: '$2': env(1) would take it for a variable" ;;
	/*)	;;
	*)	die "$1: '$2': not an absolute path" ;;
	esac
}

# Which of the two it is: by its name, else by what it says of itself.
is_spawnd()
{
	case ${SPAWNFCGI##*/} in
	spawnd)		return 0 ;;
	spawn-fcgi)	return 1 ;;
	esac
	case $("$SPAWNFCGI" -v 2>&1) in
	spawnd*)	return 0 ;;
	*)		return 1 ;;
	esac
}

absolute SPAWNFCGI "$SPAWNFCGI"
absolute FCGIPROGRAM "$FCGIPROGRAM"
[ -x "$SPAWNFCGI" ] || die "SPAWNFCGI: $SPAWNFCGI: no such program"
[ -z "$FCGIPORT" ] || [ -z "$FCGISOCKET" ] ||
    die "FCGIPORT and FCGISOCKET: only one of them"
[ -n "$FCGIPORT" ] || [ -n "$FCGISOCKET" ] || FCGIPORT=1026
[ -n "$FCGIADDR" ] || die "FCGIADDR: empty"
set -f	# they are names, not patterns of files
for _name in $ALLOWED_ENV; do
	case $_name in
	[0-9]*|*[!A-Za-z0-9_]*)
		die "ALLOWED_ENV: '$_name': not the name of a variable" ;;
	esac
done

# From its end to its begin: PROGRAM, its arguments, and what comes before.
set -- "$FCGIPROGRAM"
[ -z "$FCGI_CONFIG" ] || set -- "$@" -c "$FCGI_CONFIG"
set -- -- "$@"
if [ "$(id -u)" -eq 0 ]; then
	[ -n "$USERID" ] || die "USERID: empty"
	[ -z "$GROUPID" ] || set -- -g "$GROUPID" "$@"
	set -- -u "$USERID" "$@"
fi
[ -z "$PHP_FCGI_CHILDREN" ] || set -- -C "$PHP_FCGI_CHILDREN" "$@"
if [ -n "$FCGISOCKET" ]; then
	set -- -s "$FCGISOCKET" "$@"
else
	set -- -a "$FCGIADDR" -p "$FCGIPORT" "$@"
fi

# The environment, each value as it is, blanks and all. spawn-fcgi hands on
# what env leaves; spawnd what it is told to, and these two.
_keep="FCGI_WEB_SERVER_ADDRS PHP_FCGI_MAX_REQUESTS"
_found=
for _name in $ALLOWED_ENV; do
	eval "_known=\${$_name+yes}"
	[ -z "$_known" ] || _found="$_found $_name"
done
# What only stands above, nobody has asked for; a unix socket has no use for it.
[ -z "$FCGISOCKET" ] || [ "$FCGI_WEB_SERVER_ADDRS" != 127.0.0.1 ] ||
    FCGI_WEB_SERVER_ADDRS=
[ -n "$FCGI_WEB_SERVER_ADDRS" ] || _keep=${_keep#FCGI_WEB_SERVER_ADDRS}
[ -n "$PHP_FCGI_MAX_REQUESTS" ] || _keep=${_keep%PHP_FCGI_MAX_REQUESTS}
if is_spawnd; then
	for _name in $_found; do
		set -- -e "$_name" "$@"
	done
fi
set -- "$SPAWNFCGI" "$@"
for _name in $_keep $_found; do
	eval "set -- \"$_name=\${$_name}\" \"\$@\""
done
exec env -i "$@"
