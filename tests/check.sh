#!/bin/sh
# SPDX-License-Identifier: ISC
#
# usage: check.sh OUT
# Runs the tests that need no root, no network and nothing installed against
# the build in OUT (make check).

set -eu

out=$1
cd "$(dirname "$0")/.."
. scripts/tally.sh

# A unit test says "ok N - name" or "not ok N - name" for each of its tests,
# after "1..M". One that dies early has said fewer than M.
unit()
{
	name=$(basename "$1" | sed 's/\.[a-z]*$//')
	status=0
	CMOCKA_MESSAGE_OUTPUT=TAP timeout --foreground 600 "$1" \
	    >"$tally_log" 2>&1 </dev/null || status=$?
	counts=$(awk '
		/^1\.\.[0-9]+/ { plan += substr($1, 4) }
		/^ok .*# SKIP/ { skip++; next }
		/^ok / { ok++ }
		/^not ok / { bad++ }
		END {
			if (plan == 0 || ok + bad + skip < plan)
				bad++
			print ok + 0, bad + 0, skip + 0
		}' "$tally_log")
	# shellcheck disable=SC2086
	set -- $counts
	[ "$status" -eq 0 ] || [ "$2" -gt 0 ] || set -- "$1" 1 "$3"
	if [ "$2" -eq 0 ]; then
		echo "ok   $name ($1)"
	else
		echo "FAIL $name (status $status)"
		sed 's/^/     /' "$tally_log"
	fi
	passed=$((passed + $1))
	failed=$((failed + $2))
	skipped=$((skipped + $3))
}

for src in tests/unit/test_*.c tests/sim/*.c; do
	program=$out/obj/$(basename "$src" .c)
	case $out/$src in
	*posix*/*_linux.c)	continue ;;	# not of that build
	*/tests/unit/*)	program=$program.unit ;;
	*)		program=$program.sim ;;
	esac
	if [ ! -f "$src" ]; then
		continue
	elif [ -x "$program" ]; then
		unit "$program"
	else
		tally_skip "$src" "cmocka is not installed"
	fi
done
for manual in spawnd.8 spawn-fcgi.1 kfcgi.8 multiwatch.1; do
	tally_run "options in $manual" sh tests/check_options.sh \
	    "$out/spawnd" "${manual%.*}" "man/$manual"
done
# A build with sanitizers has their guards instead.
case $out in
*sanitize*)	;;
*)		tally_need "hardening" readelf sh tests/check_hardening.sh \
		    "$out/spawnd" ;;
esac
tally_need "arguments of the starters" mksh sh tests/scripts/argv.sh
tally_run "diagnostics in the manual" /usr/bin/python3 \
    tests/check_diagnostics.py
tally_need "manuals" mandoc mandoc -T lint -W warning man/*.[178]
tally_need "width of the manuals" mandoc sh tests/check_width.sh man/*.[178]
tally_end
