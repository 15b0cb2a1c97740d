#!/bin/sh
# SPDX-License-Identifier: ISC
#
# usage: demo.sh [--once]
# A pool of the sample application tests/apps/hello.c behind lighttpd on
# 127.0.0.1, port 8080 or DEMO_PORT, until Ctrl-C; with --once it fetches one
# page and ends. All it makes lies in a temporary directory, but for the build
# and, as root on Debian and Ubuntu, missing packages, which it names.
#
# shellcheck disable=SC2317,SC2329	# trap and wait_for call functions

set -eu

once=no
case $#:${1-} in
0:)		;;
1:--once)	once=yes ;;
*)		echo "usage: demo.sh [--once]" >&2; exit 64 ;;
esac
port=${DEMO_PORT:-8080}
url=http://127.0.0.1:$port/

cd "$(dirname "$0")/.."
. scripts/packages.sh
PATH=$PATH:/usr/sbin:/sbin

fail()
{
	echo "demo.sh: $*" >&2
	cat "$dir"/*.log >&2
	exit 1
}

# Ends a process of ours, within 10 seconds. The shell reaps it while it
# waits for sleep.
stop()
{
	if [ -z "$1" ] || ! kill "$1" 2>/dev/null; then
		return 0
	fi
	tries=0
	while kill -0 "$1" 2>/dev/null; do
		tries=$((tries + 1))
		[ "$tries" -lt 100 ] || kill -KILL "$1"
		sleep 0.1
	done
}

cleanup()
{
	trap '' HUP INT TERM
	stop "$web"
	stop "$pool"
	rm -rf "$dir"
}

# wait_for PID WHAT COMMAND...: until the command succeeds, at most 20 s, and
# only while the process is there.
wait_for()
{
	pid=$1
	what=$2
	shift 2
	tries=0
	until "$@"; do
		kill -0 "$pid" 2>/dev/null || fail "$what: has ended"
		tries=$((tries + 1))
		[ "$tries" -lt 200 ] || fail "$what: not there after 20 s"
		sleep 0.1
	done
}

fetch()
{
	curl -fsS --noproxy '*' --max-time 5 -o "$dir/page" "$url" \
	    2>"$dir/curl.log"
}

# shellcheck disable=SC2086
packages_install $packages_build $packages_demo
[ -z "$packages_unknown" ] || exit 1

web=
pool=
dir=$(mktemp -d)
trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
chmod 755 "$dir"

echo "building (build/spawnd, build/apps/hello)"
make all apps >"$dir/make.log" 2>&1 || fail "make failed"
rm "$dir/make.log"
# A copy: the user the workers run as may not be able to enter this tree.
cp build/apps/hello "$dir/hello"
mkdir "$dir/htdocs"

cat >"$dir/lighttpd.conf" <<END
server.modules = ( "mod_fastcgi" )
server.bind = "127.0.0.1"
server.port = $port
server.document-root = "$dir/htdocs"
fastcgi.server = ( "/" => ((
	"socket" => "$dir/app.sock",
	"check-local" => "disable"
)) )
END
set --
if [ "$(id -u)" -eq 0 ]; then
	# One user listens for the web server, another one works.
	set -- -U www-data -u nobody
	cat >>"$dir/lighttpd.conf" <<-END
		server.username = "www-data"
		server.groupname = "www-data"
	END
fi

set -- -n --stop-timeout 5 -s "$dir/app.sock" "$@" -- "$dir/hello"
echo "build/spawnd $*"
build/spawnd "$@" 2>"$dir/spawnd.log" &
pool=$!
wait_for "$pool" spawnd test -S "$dir/app.sock"

# A session of its own: the terminal may be root's, and it is not to have it.
setsid lighttpd -D -f "$dir/lighttpd.conf" >"$dir/lighttpd.log" 2>&1 &
web=$!
wait_for "$web" lighttpd fetch
# Another server on that port would have answered, too.
kill -0 "$web" 2>/dev/null || fail "lighttpd: has ended (is port $port free?)"
grep -q '^Hello from a worker of spawnd' "$dir/page" ||
    fail "$url: not the page that was expected"

echo
cat "$dir/page"
echo
echo "$url"
[ "$once" = no ] || exit 0
echo "Ctrl-C ends it."
while kill -0 "$web" 2>/dev/null && kill -0 "$pool" 2>/dev/null; do
	sleep 1
done
fail "a server has ended"
