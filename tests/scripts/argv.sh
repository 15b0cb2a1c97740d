#!/bin/sh
# SPDX-License-Identifier: ISC
#
# Whatever starts a pool starts the same arguments from the same file: each
# sample NAME.conf here against NAME.argv (below its first line, one argument
# a line), by the scripts for rc.d and OpenRC (with stand-ins for rc.subr and
# openrc-run) and init.d.
# What the systemd unit makes of the same files needs a booted systemd:
# tests/system/test_systemd.py.
#
# usage: argv.sh	MKSH: the shell for OpenBSD's script (mksh)

set -eu

here=$(cd "$(dirname "$0")" && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM
failed=0

fail()
{
	echo "FAIL $*" >&2
	failed=1
}

# A spawnd that only writes down what it was given.
mkdir "$tmp/sbin"
cat >"$tmp/sbin/spawnd" <<-END
	#!/bin/sh
	printf '%s\n' "\$@" >"$tmp/argv"
END
chmod 755 "$tmp/sbin/spawnd"
sh "$here/install.sh" "$tmp" "$tmp/sbin/spawnd"

# start STARTER NAME: runs it; $tmp/argv is what spawnd got, if it got there.
start()
{
	rm -f "$tmp/argv"
	case $1 in
	openbsd)
		ln -sf openbsd "$tmp/etc/rc.d/spawnd_$2"
		"${MKSH:-mksh}" "$tmp/etc/rc.d/spawnd_$2" start ;;
	freebsd)
		spawnd_enable=YES sh "$tmp/etc/rc.d/freebsd" start "$2" ;;
	init.d)
		sh "$tmp/etc/init.d/spawnd" start "$2" ;;
	openrc)
		ln -sf openrc "$tmp/etc/init.d/spawnd.$2"
		sh "$tmp/etc/openrc-run" "$tmp/etc/init.d/spawnd.$2" start ;;
	esac
}

# The arguments that are the starter's own, before those of the file.
own()
{
	[ "$1" = openbsd ] || printf '%s\n' -P "$tmp/run/spawnd-$2.pid"
}

count=0
for conf in "$here"/*.conf; do
	name=$(basename "$conf" .conf)
	cp "$conf" "$tmp/etc/spawnd/"
	for starter in openbsd freebsd init.d openrc; do
		{ own "$starter" "$name"; sed 1d "$here/$name.argv"; } \
		    >"$tmp/expected"
		if ! start "$starter" "$name"; then
			fail "$starter: $name: did not start"
		elif ! diff "$tmp/expected" "$tmp/argv"; then
			fail "$starter: $name: other arguments"
		fi
		count=$((count + 1))
	done
done
[ "$count" -eq 40 ] || fail "$count cases instead of 40"

# What systemd would read differently is refused by name and line.
refuse()
{
	printf '# a comment\n%s\n' "$1" >"$tmp/etc/spawnd/refused.conf"
	for starter in openbsd freebsd init.d openrc; do
		if start "$starter" refused 2>"$tmp/err" ||
		    [ -e "$tmp/argv" ]; then
			fail "$starter: accepted: $1"
		elif ! grep -q 'refused.conf:2: ' "$tmp/err"; then
			fail "$starter: does not name the line: $1"
		fi
	done
}

refuse 'SPAWND_OPTS=-e "A=b c"'
refuse "SPAWND_APP='/bin/app'"
refuse 'SPAWND_APP=/bin/app a\ b'
# shellcheck disable=SC2016
for dollar in '-e A=$HOME' '-s ${DIR}/app.sock' '-e D=$(id)' '-e $$' \
    '-e cost=5$'; do
	refuse "SPAWND_OPTS=$dollar"
	refuse "SPAWND_APP=/bin/app $dollar"
done
# shellcheck disable=SC1003
refuse '# a comment that goes on \'
refuse 'PHPRC=/etc/php'
refuse 'export SPAWND_APP=/bin/app'
refuse 'SPAWND_APP = /bin/app'
refuse 'touch /tmp/executed'
rm "$tmp/etc/spawnd/refused.conf"
for name in '' ../etc 'a b' "a'b" missing; do
	for starter in freebsd init.d; do
		! start "$starter" "$name" 2>"$tmp/err" ||
		    fail "$starter: accepted the name '$name'"
		[ -s "$tmp/err" ] || fail "$starter: '$name': no message"
	done
done
# Nor is a service of OpenRC started that no pool has given its name to.
cp "$tmp/etc/spawnd/plain.conf" "$tmp/etc/spawnd/openrc.conf"
for name in openrc spawnd.; do
	[ -e "$tmp/etc/init.d/$name" ] ||
	    ln -s openrc "$tmp/etc/init.d/$name"
	! sh "$tmp/etc/openrc-run" "$tmp/etc/init.d/$name" start \
	    2>"$tmp/err" || fail "openrc: started as $name"
	[ -s "$tmp/err" ] || fail "openrc: $name: no message"
done
exit "$failed"
