#!/bin/sh
# SPDX-License-Identifier: ISC
#
# usage: check_hardening.sh PROGRAM
# Is it position-independent, its relocations read-only and done at the start,
# its stack guarded, its string functions checked?

set -eu

header=$(readelf -hW "$1")
dynamic=$(readelf -dW "$1")
segments=$(readelf -lW "$1")
symbols=$(readelf -sW --dyn-syms "$1")

need()
{
	case $2 in
	*$3*)	;;
	*)	echo "$1: no $3"
		exit 1 ;;
	esac
}

need "file type" "$header" "DYN (Position-Independent"
need "flags" "$dynamic" "BIND_NOW"
need "segments" "$segments" "GNU_RELRO"
need "symbols" "$symbols" "__stack_chk_fail"
# musl has no functions for _FORTIFY_SOURCE.
case $dynamic in
*libc.musl*|*"[libc.so]"*)	;;
*)	need "symbols" "$symbols" "_chk@" ;;
esac
