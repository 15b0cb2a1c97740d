#!/bin/sh
# SPDX-License-Identifier: ISC
#
# usage: bsd-check.sh DIR
#
# Compiles everything that is not Linux's alone for OpenBSD, FreeBSD and NetBSD,
# against their own headers, and looks for each function that it needs in what
# their libc has, without linking or running it. Both are in DIR, as compilers
# that cross-compile bring them: DIR/lib/libc/include with x86_64-openbsd-none
# and generic-openbsd, DIR/lib/libc/openbsd/abilists, and so on. The headers of
# jansson and libfcgi are the host's. Needs clang.

set -eu

[ $# -eq 1 ] || {
	echo "usage: bsd-check.sh DIR" >&2
	exit 64
}
include=$(cd "$1/lib/libc/include" && pwd)
cd "$(dirname "$0")/.."
log=$(mktemp)
dir=$(mktemp -d)
trap 'rm -rf "$log" "$dir"' EXIT
trap 'exit 1' HUP INT TERM

# The libraries' headers, and none of the host's libc.
# Debian keeps some of them in a directory of the architecture.
copy()
{
	find /usr/include "/usr/include/$(gcc -print-multiarch)" \
	    -maxdepth 1 -name "$1" -exec cp {} "$dir" \; 2>/dev/null || :
}
copy 'jansson*.h'
copy 'fcgi*.h'

# needs SYSTEM: what the objects of its build need, and neither they nor its
# libc have. jansson and libfcgi are taken as they are; the rest comes with the
# objects that begin a program.
needs()
{
	sources="main.c \${SRCS} \${SRCS_\${OS}} spawnctl.c \${CTL_SRCS}"
	sources="$sources responder.c \${PAGE}"
	sources=$(printf 'include Makefile\nlist:\n\t@echo %s\n' \
	    "$sources" | make -s -f - "OS=$1" list)
	(
		cd "$dir/$1"
		# shellcheck disable=SC2046,SC2086
		set -- $(printf '%s.o ' $sources)
		nm "$@" | awk '$1 ~ /^[0-9a-f]+$/ { print $3 }' | sort -u \
		    >../have
		nm -u "$@" | awk '$1 == "U" { print $2 }' | sort -u
	) | comm -23 - "$dir/have" |
	    grep -Ev '^(json_|FCGX_|environ$|__guard_local$)' |
	    while read -r name; do
		strings -n 2 "$include/../$1/abilists" |
		    grep -qx "_*$name" || echo "$name"
	done
}

passed=0
failed=0
for target in openbsd7.8 freebsd14.3 netbsd10.1; do
	system=${target%%[0-9]*}
	mkdir "$dir/$system"
	# The neutral half, and what is this system's or all BSDs'.
	for file in $(find spawnd -name '*.c' ! -name '*_linux.c' |
	    sed -e "/_$system\\.c\$/b" -e '/_\(open\|free\|net\)bsd\.c$/d' |
	    sort); do
		if clang -target "x86_64-unknown-$target" -std=c11 \
		    -D_GNU_SOURCE -D_OPENBSD_SOURCE -c \
		    -o "$dir/$system/$(basename "$file").o" \
		    -nostdinc -Ispawnd \
		    -isystem "$(clang -print-resource-dir)/include" \
		    -isystem "$include/x86_64-$system-none" \
		    -isystem "$include/generic-$system" -isystem "$dir" \
		    -Wall -Wextra -Werror "$file" >"$log" 2>&1; then
			passed=$((passed + 1))
		else
			echo "FAIL $target: $file"
			sed 's/^/     /' "$log"
			failed=$((failed + 1))
		fi
	done
	needs "$system" >"$log" 2>&1 || :
	if [ -s "$log" ]; then
		echo "FAIL $target: nobody has"
		sed 's/^/     /' "$log"
		failed=$((failed + 1))
	else
		passed=$((passed + 1))
	fi
done
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
