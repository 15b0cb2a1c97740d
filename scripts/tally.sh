# shellcheck shell=sh
# SPDX-License-Identifier: ISC
#
# Sourced by what runs checks: counts them, and closes with one line that the
# next script up can read.

passed=0
failed=0
skipped=0
tally_log=$(mktemp)
trap 'rm -f "$tally_log"' EXIT
trap 'exit 1' HUP INT TERM

# tally_run NAME COMMAND...: one check; what it says is shown if it fails.
tally_run()
{
	tally_name=$1
	shift
	if "$@" >"$tally_log" 2>&1 </dev/null; then
		echo "ok   $tally_name"
		passed=$((passed + 1))
	else
		echo "FAIL $tally_name"
		sed 's/^/     /' "$tally_log"
		failed=$((failed + 1))
	fi
}

# tally_skip NAME WHY
tally_skip()
{
	echo "skip $1: $2"
	skipped=$((skipped + 1))
}

# tally_need NAME TOOL COMMAND...: a check that needs a program.
tally_need()
{
	tally_name=$1
	tally_tool=$2
	shift 2
	if command -v "$tally_tool" >/dev/null; then
		tally_run "$tally_name" "$@"
	else
		tally_skip "$tally_name" "$tally_tool is not installed"
	fi
}

# Prints the closing line; fails if anything failed.
tally_end()
{
	echo "$passed passed, $failed failed, $skipped skipped"
	[ "$failed" -eq 0 ]
}
