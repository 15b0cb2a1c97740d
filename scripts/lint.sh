#!/bin/sh
# SPDX-License-Identifier: ISC
#
# usage: lint.sh [--short]
# Everything that is wrong without being run (make lint). What needs a tool
# that is not installed is skipped and counted. --short: without the analyzer
# of clang, which takes 25 minutes of a processor; "make soak" has it.

set -eu

checks=
[ "${1-}" != --short ] || checks='-clang-analyzer-*'
cd "$(dirname "$0")/.."
. scripts/packages.sh
. scripts/tally.sh
listed=$(mktemp)
trap 'rm -f "$tally_log" "$listed"' EXIT

c=$(find spawnd tests -name '*.c' -o -name '*.h' | sort)
sh=$(find scripts tests -name '*.sh' | sort)
py=$(find scripts tests -name '*.py' | sort)
# Where libbsd's headers are, and that they stand in for the system's.
bsd=$(pkg-config --cflags libbsd-overlay)

# One process a file: two at a time, and none sees the state of another. Not
# those that name the registers of one architecture, nor those that need the
# headers of a BSD (scripts/bsd-check.sh).
# shellcheck disable=SC2016	# the inner shell expands it
tidy()
{
	export checks bsd
	find spawnd tests -name '*.c' ! -name 'raw_[ax]*_linux.c' \
	    ! -name '*bsd.c' -print0 |
	    xargs -0 -P 2 -n 1 sh -c '
		out=$(clang-tidy --quiet --checks="$checks" "$0" -- -std=c11 \
		    -D_GNU_SOURCE -Ispawnd $bsd 2>&1) || {
			printf "%s\n" "$out"
			exit 1
		}'
}

# The BSD headers of libbsd are where cppcheck finds the macros of queues. Off:
# NULL is a pointer on every system with a POSIX libc, and cmocka's macros,
# which do not return, are nothing cppcheck can know. Of versions from 2.17 on:
# variables in registers, memory that a raw system call fills, a bound that
# ends a loop as well, and addresses that are wrong on purpose.
# shellcheck disable=SC2046
check_c()
{
	cppcheck --std=c11 --quiet --error-exitcode=1 -j 2 --inline-suppr \
	    --enable=warning,performance,portability \
	    --suppress='*:/usr/include/*' --suppress=varFuncNullUB \
	    --suppress=normalCheckLevelMaxBranches \
	    --suppress='uninitvar:tests/unit/*' \
	    --suppress='uninitvar:spawnd/base/raw_linux.c' \
	    --suppress='syntaxError:spawnd/base/raw_*_linux.c' \
	    --suppress='arrayIndexOutOfBoundsCond:spawnd/*' \
	    --suppress='arrayIndexOutOfBounds:tests/unit/test_parse_linux.c' \
	    --suppress='intToPointerCast:tests/apps/reach.c' \
	    --suppress='constStatement:tests/apps/reach.c' \
	    -D_GNU_SOURCE -D__GNUC__ \
	    -Ispawnd $(echo "$bsd" | sed 's/-isystem */-I/g') spawnd \
	    $(find tests -name '*.c')
}

check_python()
{
	for f in $py; do
		/usr/bin/python3 -c 'import ast, sys
ast.parse(open(sys.argv[1]).read(), sys.argv[1])' "$f" || return
	done
}

# The packages are of this version, and what it takes to build is one list:
# debian/control names no build-essential, and for the tests no more than those
# need anyway.
# shellcheck disable=SC2013,SC2086,SC2116	# words
check_packages()
{
	version=$(sed -n '1s/^spawnd (\(.*\)) .*/\1/p' scripts/deb/changelog)
	grep "SPAWND_VERSION.*\"$version\"" spawnd/base/base.h || return
	printf '%s\n' $packages_build $packages_status |
	    grep -vxE 'gcc|make|libc6-dev' | sort >"$listed"
	sed -n 's/^ \([^ ]*\),$/\1/p' scripts/deb/control | sort |
	    diff - "$listed" || return
	printf '%s\n' $packages_core >"$listed"
	for package in $(sed -n 's/ <!nocheck>,$//p' scripts/deb/control); do
		grep -xF "$package" "$listed" || return
	done
	tr -s ' \\\n' ' ' <README |
	    grep -F "apt-get install $(echo $packages_build)"
}

tally_need "layers, lengths, layout" ctags \
    /usr/bin/python3 scripts/layers.py .
tally_need "planted violations" ctags \
    /usr/bin/python3 scripts/layers.py --self-test .
# shellcheck disable=SC2086
tally_need "clang-format" clang-format /usr/bin/python3 scripts/format.py $c
tally_need "clang-tidy" clang-tidy tidy
tally_need "cppcheck" cppcheck check_c
# shellcheck disable=SC2086
tally_need "shellcheck" shellcheck shellcheck -x $sh .ci/run \
    scripts/completion/spawnctl.bash scripts/deb/spawnd.p* \
    scripts/init.d/spawnd scripts/openrc/init.d tests/scripts/openrc-run \
    scripts/rc.d/freebsd tests/scripts/rc.subr.freebsd
tally_need "shellcheck of ksh" shellcheck shellcheck -s ksh \
    scripts/rc.d/openbsd tests/scripts/rc.subr.openbsd
tally_run "packages" check_packages
tally_run "python syntax" check_python
tally_need "manual" mandoc mandoc -T lint -W warning man/*.[178]
tally_end
