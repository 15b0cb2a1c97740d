#!/bin/sh
# SPDX-License-Identifier: ISC
#
# usage: check_options.sh SPAWND NAME MANUAL
# Every option that SPAWND lists with -h when it is called NAME is in the
# manual, and the other way round.

set -eu

name=$2
manual=$3
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

ln -s "$(cd "$(dirname "$1")" && pwd)/$(basename "$1")" "$dir/$name"
"$dir/$name" -h >"$dir/help"

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

[ -s "$dir/a" ] || { echo "$name -h lists no option"; exit 1; }
comm -23 "$dir/a" "$dir/b" | sed 's/$/: not in the manual/' >"$dir/missing"
comm -13 "$dir/a" "$dir/b" | sed "s/\$/: not in $name -h/" >>"$dir/missing"
cat "$dir/missing"
[ ! -s "$dir/missing" ]
