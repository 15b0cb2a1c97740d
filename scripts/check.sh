#!/bin/sh
# SPDX-License-Identifier: ISC
#
# Everything there is to check, on a Debian or Ubuntu, as root: installs what
# is missing, builds, lints, runs every test. The last line sums up; whatever
# failed or was skipped makes the status 1.

set -eu

cd "$(dirname "$0")/.."
. scripts/packages.sh

logs=build/check
passed=0
failed=0
running=
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
# shellcheck disable=SC2086	# the pids of what runs
trap '[ -z "$running" ] || kill $running; exit 1' HUP INT TERM

# count LOG REPORT: passed, failed and skipped, of a log's closing line or of
# pytest's report.
count()
{
	if [ -s "$2" ]; then
		awk 'BEGIN { RS = ">" }
		/<testsuite / {
			for (i = 1; i <= NF; i++) {
				split($i, a, "\"")
				n[a[1]] += a[2]
			}
		}
		END {
			bad = n["failures="] + n["errors="]
			print n["tests="] - bad - n["skipped="], bad,
			    n["skipped="]
		}' "$2"
	else
		sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\)'\
' skipped$/\1 \2 \3/p' "$1" | tail -n 1
	fi
}

# begin NAME COMMAND...: one part, at most 25 minutes, with a log of its own.
# It runs in the background, so that a signal to us is not kept waiting.
begin()
{
	name=$1
	shift
	date +%s >"$tmp/$name.start"
	PYTEST_ADDOPTS=--junitxml=$tmp/$name.xml timeout -k 10 1500 "$@" \
	    >"$logs/$name.log" 2>&1 </dev/null &
	running="$running $!"
}

# finish NAME PID: waits for a part, and says how it went.
finish()
{
	name=$1
	log=$logs/$1.log
	status=0
	wait "$2" || status=$?
	took=$(($(date +%s) - $(cat "$tmp/$name.start")))
	counts=$(count "$log" "$tmp/$name.xml")
	# What counts nothing is one check.
	# shellcheck disable=SC2086
	set -- ${counts:-1 0 0}
	if [ "$status" -ne 0 ] && [ "$2" -eq 0 ]; then
		set -- "$(($1 > 0 && ${#counts} > 0 ? $1 : 0))" 1 "$3"
	fi
	echo "$name: $1 passed, $2 failed, $3 skipped ($took s)"
	passed=$((passed + $1))
	failed=$((failed + $2 + $3))
	if [ "$2" -gt 0 ] || [ "$3" -gt 0 ]; then
		tail -n 300 "$log" | sed 's/^/    /'
		echo "    ($log has all of it)"
	fi
}

# part NAME COMMAND...: one part by itself.
part()
{
	begin "$@"
	finish "$1" "$!"
	running=
}

# copy DIR: the sources alone.
copy()
{
	mkdir -p "$1"
	tar -cf - --exclude=./build --exclude=./.git . | tar -xf - -C "$1"
}

# shellcheck disable=SC2086
packages_install $packages_build $packages_demo $packages_test \
    $packages_real
rm -rf "$logs"
mkdir -p "$logs"
copy "$tmp/a"
copy "$tmp/a-longer-name"

part build make -j2 WERROR=1 all units apps
part build-bmake env -C "$tmp/a" bmake -j2 WERROR=1 all units apps
# Not -Wsign-conversion: for clang also from int to the enum that glibc makes
# of the first argument of getrlimit.
part build-clang make -C "$tmp/a-longer-name" -j2 WERROR=1 CC=clang \
    CFLAGS=-Wno-sign-conversion all units
part build-identical sh scripts/identical.sh "$tmp/a" "$tmp/a-longer-name"
part check make check
part check-posix make check OS=posix WERROR=1
part check-sanitize make check SANITIZE=1 WERROR=1
part mutate make mutate
part fuzz make fuzz
part demo sh scripts/demo.sh --once
part bench-quick make bench-quick
# What measures has the machine for itself; the rest, which mostly waits, runs
# with both builds at once, and what reads the sources in between.
part check-system make check-system TESTS=--measuring
part check-system-sanitize make check-system TESTS=--measuring SANITIZE=1
begin check-system-rest make check-system TESTS=--rest
first=$!
begin check-system-rest-sanitize make check-system TESTS=--rest SANITIZE=1
second=$!
begin lint nice -n 19 make lint
third=$!
finish check-system-rest "$first"
finish check-system-rest-sanitize "$second"
finish lint "$third"

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
