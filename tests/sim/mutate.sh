#!/bin/sh
# SPDX-License-Identifier: ISC
#
# usage: mutate.sh DIR
# Does the simulation of the pool find what is wrong? Plants bugs in the pool,
# one at a time, in DIR, and runs pool_sim over at most $seeds seeds of each
# case: it must find each, and nothing in the pool as it is. An edit that does
# not change exactly one line of its source is an error. Two bugs are found by
# the unit tests alone, and are not planted here: no release_surge() in
# replace_failed() (test_surge), no end_starting() in drain_tick() (test_drain).

set -eu

seeds=600
out=$1
cd "$(dirname "$0")/../.."
. scripts/tally.sh

core="pool slot table start retire freeze replace door drain announce names
    snapshot trace proto"
flags="-std=c11 -D_GNU_SOURCE -O1 -Ispawnd $(pkg-config --cflags \
    libbsd-overlay)"
libs=$(pkg-config --libs libbsd-overlay)
rm -rf "$out"
mkdir -p "$out"

# compile SOURCE OBJECT
compile()
{
	# shellcheck disable=SC2086
	${CC:-cc} $flags -c -o "$2" "$1"
}

# build PROGRAM [NAME]: with NAME.o of its own instead of the pool's.
build()
{
	program=$1
	shift
	objects=$out/pool_sim.o
	for i in $core; do
		if [ "$i" = "${1-}" ]; then
			objects="$objects $program.o"
		else
			objects="$objects $out/$i.o"
		fi
	done
	# shellcheck disable=SC2086
	${CC:-cc} -Wl,--wrap=table_event -o "$program" $objects $libs -lm
}

# edit SOURCE SED RESULT
edit()
{
	sed "$2" "$1" >"$3"
	lines=$(diff "$1" "$3" | grep -c '^[<>]') || :
	case $(diff "$1" "$3" | grep -v '^[<>-]') in
	*[0-9][acd][0-9]*)	;;
	*)	lines=0 ;;
	esac
	if [ "$lines" -lt 1 ] || [ "$lines" -gt 2 ]; then
		echo "the edit of $1 changes $lines lines: $2"
		return 1
	fi
}

# hunt NAME SED: is the bug found?
hunt()
{
	program=$out/$1-bug
	edit "$(find spawnd -name "$1.c")" "$2" "$program.c" || return
	compile "$program.c" "$program.o" || return
	build "$program" "$1" || return
	if timeout --foreground 60 "$program" -n "$seeds" >"$out/said" 2>&1
	then
		echo "not found within $seeds seeds"
		return 1
	fi
	# It may also be caught by an assertion of the pool's, or hang.
	found=$(sed -n 's/^# again: .* -k \(.*\) -s \(.*\)$/\1 \2/p' \
	    "$out/said" | sort -n -k 2 | head -n 1)
	why=$(sed -n 's/^# \(.*\), [0-9]* events.*/\1/p' "$out/said" |
	    head -n 1)
	why=${why:-an assertion, or its time}
	# shellcheck disable=SC2154	# tally.sh sets it
	tally_name="$tally_name (${found:+seed ${found#* }: }$why)"
}

# plant NAME WHAT SED
plant()
{
	tally_run "$1.c: $2" hunt "$1" "$3"
}

compile tests/sim/pool_sim.c "$out/pool_sim.o"
for i in $core; do
	compile "$(find spawnd -name "$i.c")" "$out/$i.o"
done
build "$out/pool_sim"
tally_run "the pool as it is, $seeds seeds" "$out/pool_sim" -n "$seeds"

plant pool "one worker too many" \
    's/p->norphans < p->conf\.processes;$/p->norphans <= p->conf.processes;/'
plant pool "a stop that lets the starting go on" \
    's/^	end_all(p, now);$//'
plant retire "a leaving worker is counted twice" \
    's/^	p->nretiring++;$/	p->nretiring += 2;/'
plant slot "a number that is not of the seed" \
    's/^	uint64_t x = p->random;$/	static uint64_t x = 1;/'
plant slot "a crash is not replaced later" \
    's/SLOT_BACKOFF, slot_later(now, delay));/SLOT_BACKOFF, NEVER);/'
plant start "a slow start is ended early" \
    's/(now >= s->ready_by && ev/(now + 60000 >= s->ready_by \&\& ev/'
plant start "the deadline of a look is dropped" \
    's/^	    next);$/	    NEVER);/'
plant retire "unknown is taken for idle" \
    's/^	if (x->holds == HOLDS_UNKNOWN) {$/	if (false) {/'
plant retire "what is found when stopped is not heeded" \
    's/(x->holds == HOLDS_BUSY || x->holds == HOLDS_UNKNOWN)/(false)/'
plant retire "the timer of a freeze is dropped" \
    '/Even when it is late/{n;s/.*//;}'
plant retire "not continued when it was busy" \
    '/^retire_thaw/,/^}/s/^	slot_signal(p, s, SIGCONT, false);$//'
plant retire "one with threads is told while it serves" \
    's/!x->catches || x->threaded)$/!x->catches)/'
plant retire "one is told while it reads a request" \
    's/return !x->reads && /return /'
plant retire "a busy one is told too early" \
    's/(now, chance) >= s->end_by/(now, 3 * chance) >= s->end_by/'
plant retire "one that cannot be seen is told at once" \
    's/^	if (!x->unseen) {$/	if (false) {/'
plant retire "one with threads that cannot be seen is told" \
    's/(!x->threaded && has_last_chance(/(has_last_chance(/'
plant retire "killed before its requests are counted" \
    '/^end_now/,/^}/s/^.*POOL_CHECK_HELD.*$//'
plant retire "what was answered is counted as lost" \
    's/^	s->unknown = s->owed = 0;$/	s->unknown = 0;/'
plant retire "two are stopped at a time" \
    '/^activity_found/,/^}/s/(p->frozen == NULL)$/(!s->freeze_queued)/'
plant retire "the deadline is not kept" \
    '/^retire_timer/,/^}/s/(now >= s->end_by)/(now >= s->end_by \&\& !s->busy)/'
plant replace "a surge worker is forgotten" \
    '/^replace_ready/,/^}/s/surge_ready(p, s, now);$/(void)surge_ready;/'
plant replace "those that leave are not counted" \
    's/^	return p->nsurge + p->noutgoing </	return p->nsurge </'
plant replace "an old one goes before the new one is ready" \
    '/^end_old/,/^}/s/p->target + p->nsurge &&$/p->target \&\&/'
plant replace "the first of a reload is not alone" \
    's/(p->reload != RELOAD_CANARY || p->nsurge == 0)/(p != NULL)/'
plant replace "the age is looked at once, and not acted on" \
    's/^		replace_expire(p, s, EXPIRED_AGE);$//'
plant replace "old requests are looked for once" \
    '/^replace_check_request/,/^}/s/request_at = slot.*/request_at = NEVER;/'
plant replace "an old request is ended when it is seen again" \
    '/^replace_slow_request/,/^}/s/^	if (!o->slow)$/	if (!again)/'
plant replace "that it was ready is a guess, and is trusted" \
    's/(s == p->canary || !s->seen)/(s == p->canary)/'
plant start "one that may have served ends the reload" \
    's/++p->unseen >= POOL_UNSEEN)/++p->unseen >= 1)/'
plant start "what it has shown is not heeded" \
    's/wrong ? MOVED_NO : /wrong ? ev->moved : /'
plant start "one that polls elsewhere has no time" \
    's/(ev->readiness == READY_ELSEWHERE ||$/(is_elsewhere(ev) ||/'
plant start "one that waits elsewhere is waited for" \
    's/(ev->readiness == READY_ELSEWHERE ||$/(/'
plant door "unknown is taken for idle" \
    '/^door_tree/,/^}/s/(x->holds == HOLDS_UNKNOWN)/(false)/'
plant door "the door stays closed" \
    '/^door_go_back/,/^}/s/^	slot_push(p, s, POOL_DOOR_OPEN);$//'
plant door "it is looked at once" \
    '/^door_timer/,/^}/s/push_check(p, s, now);$/(void)p;/'
plant retire "told while busy although there is a door" \
    's/ || door_begin(p, s, now) || / || /'
plant retire "a leader is told while those it leads serve" \
    's/(x->needs_door || s->threads/(s->threads/'
plant drain "the last one is frozen, and nothing is decided" \
    '/^	\[DRAIN_SHUT\]/,/^	}/s/.*ON_FROZEN.*//'
plant drain "that nobody serves is not noticed" \
    '/^	\[DRAIN_SHUT\]/,/^	}/s/.*ON_NOBODY.*//'
plant drain "nobody is started for the last one" \
    's/(n-- > 0 /(n-- > 1 /'
plant drain "told while something waits" \
    's/^	return p->drain == DRAIN_OFF || .*/	return p != NULL;/'
plant drain "every failure is counted, also those before the stop" \
    's/(p->drain == DRAIN_OFF || p->drain_noted)/(false)/'
plant pool "the socket of another pool is shut in a stop" \
    's/ && !p->conf.shared)$/)/'
plant announce "an announced stop is forgotten" \
    's/^	p->stop_at = slot_later(now, delay);$/	p->stop_at = NEVER;/'
plant announce "a stop is due although it was taken back" \
    '/^announce_end/,/^}/s/^	p->stop_at = NEVER;$//'
plant snapshot "an announced stop is not kept" '/FIELD(pool, stop_at, /d'
plant door "a closed door lets in what waits for another pool" \
    's/^	    !p->conf.shared && p->phase/	    p->phase/'
plant snapshot "a snapshot lacks a field" '/FIELD(slot, freeze_queued, /d'
plant trace "an event is noted without what came along" \
    's/^		t->choice = ev->moved & 7;$//'
tally_end
