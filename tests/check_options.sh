#!/bin/sh
# SPDX-License-Identifier: ISC
#
# usage: check_options.sh SPAWND
# Every option that spawnd -h lists is in the manual, and the other way round.

set -eu

spawnd=$1
manual=$(dirname "$0")/../man/spawnd.8
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

"$spawnd" -h >"$dir/help"

# "  -s, --socket PATH    text", "      --name NAME    text", "  -x    text"
awk '/^  +-/ {
	for (i = 1; i <= NF && $i ~ /^-/; i++) {
		more = sub(/,$/, "", $i)
		print $i
		if (!more)
			break
	}
}' "$dir/help" | sort >"$dir/a"

# ".It Fl s , -socket Ar path", ".It Fl h , \&? , -help"
awk '/^\.It Fl / {
	for (i = 3; i <= NF && $i !~ /^(Ar|Cm|Ns|Op|Oo|Xo)$/; i++) {
		sub(/^\\&/, "", $i)
		if ($i != "," && $i != "Fl")
			print "-" $i
	}
}' "$manual" | sort >"$dir/b"

[ -s "$dir/a" ] || { echo "$spawnd -h lists no option"; exit 1; }
comm -23 "$dir/a" "$dir/b" | sed 's/$/: not in the manual/' >"$dir/missing"
comm -13 "$dir/a" "$dir/b" | sed 's/$/: not in spawnd -h/' >>"$dir/missing"
cat "$dir/missing"
[ ! -s "$dir/missing" ]
