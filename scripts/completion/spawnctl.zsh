#compdef spawnctl
# SPDX-License-Identifier: ISC
#
# Completion of spawnctl for zsh; installed as _spawnctl.

_spawnctl()
{
	# Not "commands", which is zsh's own.
	local -a words_of
	words_of=(
		'list:list the pools on this machine'
		'status:show a pool and its load'
		'explain:say what is wrong'
		'advise:say how large it should be'
		'top:the same, live'
		'trace:show what it did last'
		'ping:check that it can serve'
		'wait-ready:wait until it can'
		'reload:replace the workers'
		'restart:take over with its service file'
		'diff:show what that would change'
		'scale:set the number of workers'
		'log-reopen:reopen the log'
		'agent:tell a balancer how it is'
		'drain:announce a stop'
		'resume:take that back'
		'stop:end it after its requests'
	)
	_arguments \
	    '(-p --pool)'{-p,--pool=}'[which pool]:pool:_files -W /run/spawnd' \
	    '(-h --help)'{-h,--help}'[print the commands]' \
	    '(-v --version)'{-v,--version}'[print the version]' \
	    '--json[status or advice as JSON]' \
	    '--openmetrics[status for Prometheus]' \
	    '--fpm=-[status as php-fpm has it]::form:(text json xml openmetrics)' \
	    '--full[status with pss]' \
	    '--now[stop at once]' \
	    '--drain[announce the stop]:seconds' \
	    '--listen[agent as a server]:address and port' \
	    '--allow[whom it answers]:addresses' \
	    '--each[connections of a worker]:number' \
	    '--all[restart each]' \
	    '1:command:{_describe command words_of}' \
	    '2:argument:_files'
}

_spawnctl "$@"
