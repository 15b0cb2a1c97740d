#!/bin/sh
# SPDX-License-Identifier: ISC
#
# usage: run.sh DIR
# Builds the fuzz targets in DIR with clang's libFuzzer and runs each for
# FUZZ_SECONDS (60), all at once, from the corpus beside this script. What
# is found new stays in DIR; what fails is in DIR/TARGET.log with its input.

set -eu

seconds=${FUZZ_SECONDS:-60}
cd "$(dirname "$0")/../.."
. scripts/tally.sh
mkdir -p "$1/obj"
out=$(cd "$1" && pwd)

if ! command -v clang >/dev/null; then
	tally_skip "fuzzing" "clang is not installed"
	tally_end
	exit
fi
flags="-std=c11 -D_GNU_SOURCE -g -O1 -fno-sanitize-recover=all -Ispawnd
    $(pkg-config --cflags libbsd-overlay libcap-ng jansson)"
libs=$(pkg-config --libs libbsd-overlay libcap-ng jansson)

# Everything but the main()s, other systems' and other machines' files.
# shellcheck disable=SC2016	# the inner shell expands it
find spawnd -name '*.c' ! -name main.c ! -name spawnctl.c \
    ! -name responder.c ! -name '*_none.c' ! -name '*_posix.c' \
    ! -name '*bsd.c' \
    ! -name 'skip_[ax]*.c' ! -name 'raw_[ax]*.c' -print0 |
    FLAGS="$flags" OUT="$out" xargs -0 -P 2 -n 1 sh -c '
	# shellcheck disable=SC2086
	exec clang -fsanitize=fuzzer-no-link,address,undefined $FLAGS -c \
	    -o "$OUT/obj/$(basename "$0" .c).o" "$0"'

# run TARGET: until the time is over or something is found.
run()
{
	mkdir -p "$out/$1.corpus"
	(cd "$out" && timeout --foreground "$((seconds + 60))" "./fuzz_$1" \
	    -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 \
	    -max_len=8192 -artifact_prefix="$1-" "$1.corpus" \
	    "$OLDPWD/tests/fuzz/corpus/$1") >"$out/$1.log" 2>&1
}

# finish TARGET PID
finish()
{
	if wait "$2"; then
		tally_run "$1 ($(sed -n 's/^Done \([0-9]*\) runs.*/\1/p' \
		    "$out/$1.log") runs)" true
	else
		# shellcheck disable=SC2016	# so here
		tally_run "$1" sh -c 'tail -n 60 "$0"; exit 1' "$out/$1.log"
	fi
}

targets=
for source in tests/fuzz/fuzz_*.c; do
	target=$(basename "$source" .c)
	# shellcheck disable=SC2086
	clang -fsanitize=fuzzer,address,undefined $flags -o "$out/$target" \
	    "$source" "$out"/obj/*.o $libs
	targets="$targets ${target#fuzz_}"
done

pids=
for target in $targets; do
	run "$target" &
	pids="$pids $!"
done
for target in $targets; do
	pid=${pids# }
	pid=${pid%% *}
	pids=${pids#" $pid"}
	finish "$target" "$pid"
done
tally_end
