#!/bin/sh
# SPDX-License-Identifier: ISC
#
# usage: musl.sh
#
# "make check" with musl, the libc of Alpine, in build/musl (make check-musl).
# The libraries are built from Debian's sources, and kept there. Needs musl-gcc
# (musl-tools) and, for the first time, the package archive.

set -eu

cd "$(dirname "$0")/.."
top=$PWD
dir=$top/build/musl
prefix=$dir/usr
CC=musl-gcc
# musl has no headers of the kernel; taken alone, they bring nothing of glibc's.
CFLAGS="-O2 -fPIE -isystem $dir/kernel"
export CC CFLAGS

command -v musl-gcc >/dev/null || {
	echo "musl.sh: musl-gcc: not installed (musl-tools)" >&2
	exit 1
}

# fetch PACKAGE...: their sources, in $dir/src.
fetch()
{
	# shellcheck source=tests/system/minimal.sh
	. tests/system/minimal.sh
	mkdir -p "$dir/src" "$dir/lists/partial"
	minimal_sources | sed 's/^deb /deb-src /' >"$dir/sources.list"
	(cd "$dir/src" && for command in update "source --download-only $*"; do
		# shellcheck disable=SC2086	# words
		apt-get -q -o Dir::State::Lists="$dir/lists" \
		    -o Dir::Etc::SourceList="$dir/sources.list" \
		    -o Dir::Etc::SourceParts=/dev/null \
		    -o APT::Sandbox::User=root $command || exit
	done)
}

# unpack PACKAGE: prints the directory of its sources.
unpack()
{
	rm -rf "$dir/src/$1"
	mkdir "$dir/src/$1"
	tar -xf "$dir/src/$1"_*.orig.tar.?z -C "$dir/src/$1" \
	    --strip-components=1
	echo "$dir/src/$1"
}

# library PACKAGE OPTION...: configures, builds and installs it.
library()
{
	src=$(unpack "$1")
	shift
	(cd "$src" && ./configure --prefix="$prefix" --disable-shared \
	    --enable-static "$@" && make -s -j2 && make -s install)
	rm -f "$prefix"/lib/*.so	# of libbsd, although it is not wanted
}

# describe NAME: for pkg-config.
describe()
{
	printf 'Name: %s\nDescription: %s\nVersion: 1\nLibs: -L%s -l%s\n' \
	    "$1" "$1" "$prefix/lib" "$1" >"$prefix/lib/pkgconfig/$1.pc"
}

# shellcheck disable=SC2086	# CFLAGS are words
libraries()
{
	mkdir -p "$dir/kernel"
	for name in linux asm-generic; do
		ln -sfn "/usr/include/$name" "$dir/kernel/$name"
	done
	ln -sfn "/usr/include/$(gcc -print-multiarch)/asm" "$dir/kernel/asm"
	fetch libmd libbsd libcap-ng jansson cmocka
	library libmd
	CPPFLAGS="-I$prefix/include" LDFLAGS="-L$prefix/lib" library libbsd
	library libcap-ng --without-python --without-python3
	src=$(unpack jansson)	# has only what makes a configure
	(cd "$src/src" && cp ../android/jansson_config.h . &&
	    echo "#define INITIAL_HASHTABLE_ORDER 3" \
	    >jansson_private_config.h &&
	    $CC $CFLAGS -I. -DHAVE_STDINT_H -c ./*.c &&
	    ar rcs "$prefix/lib/libjansson.a" ./*.o &&
	    cp jansson.h jansson_config.h "$prefix/include/")
	describe jansson
	src=$(unpack cmocka)
	(cd "$src" && $CC $CFLAGS -Iinclude -DHAVE_STRSIGNAL \
	    -DHAVE_SIGNAL_H -DHAVE_INTTYPES_H -DHAVE_STDLIB_H -DHAVE_STRING_H \
	    -DHAVE_MALLOC_H -DHAVE_STRUCT_TIMESPEC -DHAVE_SETJMP_H \
	    -DHAVE_UNISTD_H -DHAVE_SYS_TYPES_H -c -o cmocka.o src/cmocka.c &&
	    ar rcs "$prefix/lib/libcmocka.a" cmocka.o &&
	    cp include/cmocka*.h "$prefix/include/")
	describe cmocka
	touch "$dir/done"
}

[ -f "$dir/done" ] || {
	rm -rf "$dir"
	mkdir -p "$dir"
	echo "building the libraries in $dir, about two minutes"
	trap '[ -f "$dir/done" ] || tail -n 60 "$dir.log" >&2' EXIT
	libraries >"$dir.log" 2>&1
}
# A copy of the sources: this build is not to meet the other one's objects.
rm -rf "$dir/tree"
mkdir "$dir/tree"
tar -cf - --exclude=./build --exclude=./.git . | tar -xf - -C "$dir/tree"
PKG_CONFIG_LIBDIR=$prefix/lib/pkgconfig
export PKG_CONFIG_LIBDIR
# musl's macros FD_SET and CMSG_NXTHDR mix the signs.
exec make -s -j2 -C "$dir/tree" check WERROR=1 CC="$CC" \
    PKG_CONFIG="pkg-config --static" LDFLAGS="-L$prefix/lib" \
    CFLAGS="$CFLAGS -Wno-sign-conversion -isystem $prefix/include"
