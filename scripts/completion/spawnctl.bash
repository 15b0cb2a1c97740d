# shellcheck shell=bash
# SPDX-License-Identifier: ISC
#
# Completion of spawnctl for bash.

_spawnctl()
{
	local word=${COMP_WORDS[COMP_CWORD]} before=
	local commands='list status explain advise top trace ping wait-ready
	    reload scale restart diff log-reopen agent drain resume stop'
	local words=$commands i

	[ "$COMP_CWORD" -lt 1 ] || before=${COMP_WORDS[COMP_CWORD - 1]}
	case $before in
	-p | --pool)
		# By its name, or any directory by its path.
		words=$(for i in /run/spawnd /var/run/spawnd \
		    "${XDG_RUNTIME_DIR:-/run}/spawnd"; do
			cd "$i" 2>/dev/null && compgen -d
		done; compgen -d -- "$word")
		;;
	*)
		for ((i = 1; i < COMP_CWORD; i++)); do
			case ${COMP_WORDS[i]} in
			status)
				words='--json --openmetrics --fpm --full
				    --fpm=text --fpm=json --fpm=xml
				    --fpm=openmetrics'
				;;
			advise)
				words=--json
				;;
			stop)
				words='--now --drain'
				;;
			agent)
				words='--listen --allow --each'
				;;
			restart | diff)
				words=--all
				;;
			esac
		done
		[ "${word#-}" = "$word" ] ||
		    words="$words -p --pool -h --help -v --version"
		;;
	esac
	# shellcheck disable=SC2207	# names have no blanks
	COMPREPLY=($(compgen -W "$words" -- "$word"))
}

complete -F _spawnctl spawnctl
