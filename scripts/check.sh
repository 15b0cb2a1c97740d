#!/bin/sh
# SPDX-License-Identifier: ISC
#
# usage: check.sh [--all]
#
# Builds, lints and tests, on a Debian or Ubuntu, as root; installs what is
# missing, and names at the end what this release does not have. Some minutes
# show that a change is sound; --all, which CI runs, is everything: other
# compilers, another libc, other releases in roots of their own, sanitizers
# under system tests too, faults, endurance, mutation, fuzzing. "make soak" goes
# on from there: clang's analyzer, all system tests with sanitizers, packages,
# containers, and each matrix as a whole.
#
# The last line sums up; whatever failed or was skipped makes the status 1.
# It needs no machine of its own: nothing asserts how long something takes.

set -eu

case $#:${1-} in
0:)	all=false ;;
1:--all)	all=true ;;
*)
	echo "usage: check.sh [--all]" >&2
	exit 64
	;;
esac
cd "$(dirname "$0")/.."
. scripts/packages.sh
. scripts/times.sh

logs=build/check
passed=0
failed=0
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap stop HUP INT TERM

# Ends what runs, and waits until it has ended: each part is a process group,
# which timeout(1) makes and passes a signal on to.
stop()
{
	trap '' HUP INT TERM
	for file in "$tmp"/*.pid; do
		[ ! -f "$file" ] || kill "$(cat "$file")" || :
	done
	wait
	exit 1
}

# begin NAME COMMAND...: one part, at most two hours, with a log of its own.
# It runs in the background, so that a signal to us is not kept waiting.
begin()
{
	name=$1
	shift
	date +%s >"$tmp/$name.start"
	# shellcheck disable=SC2016	# the inner shell expands it
	timeout -k 10 "${limit:-7200}" sh -c '
		status=0
		"$@" || status=$?
		times >"$0.times"
		exit "$status"' "$tmp/$name" "$@" \
	    >"$logs/$name.log" 2>&1 </dev/null &
	echo $! >"$tmp/$name.pid"
}

# finish NAME: waits for a part, and says how it went.
finish()
{
	name=$1
	log=$logs/$1.log
	status=0
	wait "$(cat "$tmp/$name.pid")" || status=$?
	rm "$tmp/$name.pid"
	[ -f "$tmp/$name.end" ] || date +%s >"$tmp/$name.end"
	took=$(($(cat "$tmp/$name.end") - $(cat "$tmp/$name.start")))
	counts=$(count "$log")
	# What counts nothing is one check.
	# shellcheck disable=SC2086
	set -- ${counts:-1 0 0}
	if [ "$status" -ne 0 ] && [ "$2" -eq 0 ]; then
		set -- "$(($1 > 0 && ${#counts} > 0 ? $1 : 0))" 1 "$3"
	fi
	echo "$name: $1 passed, $2 failed, $3 skipped ($took s," \
	    "$(times_sum "$tmp/$name.times") s of a processor)"
	passed=$((passed + $1))
	failed=$((failed + $2 + $3))
	if [ "$2" -gt 0 ] || [ "$3" -gt 0 ]; then
		tail -n 300 "$log" | sed 's/^/    /'
		echo "    ($log has all of it)"
	fi
}

# part NAME COMMAND...: one part from its begin to its end.
part()
{
	begin "$@"
	finish "$1"
}

# count LOG: passed, failed and skipped, of a log's closing line.
count()
{
	sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\)'\
' skipped$/\1 \2 \3/p' "$1" | tail -n 1
}

# begin_system NAME COMMAND...: one of the parts that run the system tests. One
# at a time: the next one waits, which is not counted as its time.
begin_system()
{
	name=$1
	shift
	limit=14400
	# shellcheck disable=SC2016	# the inner shell expands it
	begin "$name" flock "$tmp/system" sh -c '
		date +%s >"$0.start"
		status=0
		"$@" || status=$?
		date +%s >"$0.end"
		exit "$status"' "$tmp/$name" "$@"
	limit=
}

# copy DIR: the sources alone.
copy()
{
	mkdir -p "$1"
	tar -cf - --exclude=./build --exclude=./.git . | tar -xf - -C "$1"
}

# Other builds, and what looks for bugs without being told where.
more()
{
	copy "$tmp/clang"
	copy "$tmp/bmake"
	# Not -Wsign-conversion: for clang also from int to the enum that glibc
	# makes of the first argument of getrlimit. The unit tests are gcc's
	# alone: lint and the fuzzers show that clang takes what they include.
	part build-clang nice -n 10 make -C "$tmp/clang" -j2 WERROR=1 \
	    CC=clang CFLAGS=-Wno-sign-conversion all
	part build-identical nice -n 10 sh scripts/identical.sh "$tmp/bmake"
	part check-posix make -j2 check OS=posix WERROR=1
	part mutate nice -n 10 make mutate
	part fuzz nice -n 10 env FUZZ_SECONDS=10 make fuzz
	part demo sh scripts/demo.sh --once
	part bench-quick make bench-quick
	part check-musl nice -n 10 sh scripts/musl.sh
	part check-releases nice -n 10 sh scripts/releases.sh
}

# shellcheck disable=SC2086
packages_install $packages_build $packages_demo $packages_core \
    $packages_test $packages_real
for package in $packages_unknown; do
	echo "package $package: 0 passed, 1 failed, 0 skipped (not had here)"
	failed=$((failed + 1))
done
rm -rf "$logs"
mkdir -p "$logs"

# The system tests mostly wait: what computes goes on beside them, and leaves
# the processors to them. All of them saturate pools, too, and are fewer at a
# time.
part build make -j2 WERROR=1 all units apps
if $all; then
	short=
	jobs=3
else
	short=--short
	jobs=4
fi
begin_system check-system make check-system TESTS="-j $jobs $short"
part check make check
part check-sanitize make -j2 check SANITIZE=1 WERROR=1
part lint nice -n 10 sh scripts/lint.sh --short
if $all; then
	begin_system check-system-sanitize make check-system SANITIZE=1 \
	    TESTS="-j $jobs --short"
	more
fi
finish check-system
if $all; then
	finish check-system-sanitize
fi

sed -n 's/^not had here: //p' "$logs"/*.log | sort -u |
    sed 's/^/not had here, and neither passed nor failed: /'
sed -n '/^warning: /p' "$logs"/check-releases.log 2>/dev/null || :
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
