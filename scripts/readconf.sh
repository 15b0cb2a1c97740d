# shellcheck shell=sh
# SPDX-License-Identifier: ISC
#
# Sourced by the scripts for rc.d, init.d and OpenRC: reads the file of a pool,
# which is never sourced itself, so nothing in it is expanded or executed. What
# the systemd unit would understand differently (quotes, backslashes, a key of
# another name, which there becomes environment) is refused, and so is a "$",
# by which somebody expects the value of a variable. It also finds the pool's
# process.

spawnd_blanks=$(printf ' \t')
spawnd_cr=$(printf '\r')

# spawnd_readconf DIR NAME: sets spawnd_words to the arguments of the pool that
# DIR/NAME.conf describes, --name NAME OPTS -- APP, each in single quotes, for
# eval or sh -c. A message on stderr and 1 if NAME is not a name, or the file
# cannot be read or is not as it should be.
spawnd_readconf()
{
	case $2 in
	''|*[!A-Za-z0-9._-]*)
		echo "spawnd: $2: not the name of a pool" >&2
		return 1 ;;
	esac
	set -- "$1/$2.conf" "$2"
	spawnd_opts=
	spawnd_app=
	spawnd_words="'--name' '$2'"
	spawnd_line_no=0
	if ! [ -f "$1" ] || ! [ -r "$1" ]; then
		echo "spawnd: $1: not there or not readable" >&2
		return 1
	fi
	while IFS= read -r spawnd_line || [ -n "$spawnd_line" ]; do
		spawnd_line_no=$((spawnd_line_no + 1))
		spawnd_readline || {
			echo "spawnd: $1:$spawnd_line_no: $spawnd_why" >&2
			return 1
		}
	done <"$1"
	spawnd_addwords "$spawnd_opts"
	spawnd_words="$spawnd_words '--'"
	spawnd_addwords "$spawnd_app"
}

# Can another spawnd take over from that pool? It does so by the control socket.
spawnd_has_control()
{
	case $spawnd_words in
	*"'--control' 'none'"*|*"'--control=none'"*)
		return 1 ;;
	esac
}

# Takes spawnd_line; sets spawnd_why and returns 1 if it is wrong.
spawnd_readline()
{
	spawnd_line=${spawnd_line%"$spawnd_cr"}
	# Leading blanks.
	spawnd_line=${spawnd_line#"${spawnd_line%%[!"$spawnd_blanks"]*}"}
	case $spawnd_line in
	*\\*)
		spawnd_why="backslashes have no meaning here"
		return 1 ;;
	''|'#'*|';'*)
		return 0 ;;
	*\'*|*\"*)
		spawnd_why="quotes have no meaning here"
		return 1 ;;
	*\$*)
		spawnd_why="variables have no meaning here (write the value)"
		return 1 ;;
	SPAWND_OPTS=*)
		spawnd_opts=${spawnd_line#*=} ;;
	SPAWND_APP=*)
		spawnd_app=${spawnd_line#*=} ;;
	*)
		spawnd_why="not a comment, SPAWND_OPTS= or SPAWND_APP="
		return 1 ;;
	esac
}

# Adds the words of a value to spawnd_words. No word holds a quote.
spawnd_addwords()
{
	spawnd_left=$1
	while [ -n "$spawnd_left" ]; do
		spawnd_word=${spawnd_left%%["$spawnd_blanks"]*}
		spawnd_left=${spawnd_left#"$spawnd_word"}
		spawnd_left=${spawnd_left#["$spawnd_blanks"]}
		[ -z "$spawnd_word" ] ||
		    spawnd_words="$spawnd_words '$spawnd_word'"
	done
}

# spawnd_find_pid PIDFILE: sets spawnd_pid to that of the running pool, or
# returns what the status action of LSB would: 1 if it is dead and has left its
# pidfile behind, 3 if it does not run.
spawnd_find_pid()
{
	spawnd_pid=
	[ -f "$1" ] || return 3
	read -r spawnd_pid <"$1" || [ -n "$spawnd_pid" ] || return 3
	case $spawnd_pid in
	''|*[!0-9]*)
		return 3 ;;
	esac
	spawnd_is_locked "$1" || return 1
} 2>/dev/null

# The number may be another's by now, and anybody may call himself spawnd. But
# only root may lock the pidfile, and spawnd does while it runs. The lock that
# asks is shared: others ask at the same time.
spawnd_is_locked()
{
	flock -sn "$1" true
	[ $? -eq 1 ]
}
