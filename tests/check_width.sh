#!/bin/sh
# SPDX-License-Identifier: ISC
#
# usage: check_width.sh MANUAL ...
# Each line of a manual fits a terminal of 80 columns.

set -eu

status=0
back=$(printf '\b')
for manual; do
	text=$(mandoc -T ascii -O width=78 "$manual") || status=1
	printf '%s\n' "$text" | sed "s/.$back//g" |
	    awk -v "name=$manual" 'length > 79 { print name ": " $0; wide = 1 }
	    END { exit wide }' || status=1
done
exit "$status"
