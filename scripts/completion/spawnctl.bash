# shellcheck shell=bash
# SPDX-License-Identifier: ISC
#
# Completion of spawnctl for bash.

_spawnctl()
{
	local word=${COMP_WORDS[COMP_CWORD]} before=
	local commands='list status top ping wait-ready reload scale
	    log-reopen stop'
	local words=$commands i

	[ "$COMP_CWORD" -lt 1 ] || before=${COMP_WORDS[COMP_CWORD - 1]}
	case $before in
	-p | --pool)
		words=$(cd /run/spawnd 2>/dev/null && echo *)
		;;
	*)
		for ((i = 1; i < COMP_CWORD; i++)); do
			case ${COMP_WORDS[i]} in
			status)
				words='--json --openmetrics --fpm --full
				    --fpm=text --fpm=json --fpm=xml
				    --fpm=openmetrics'
				;;
			stop)
				words=--now
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
