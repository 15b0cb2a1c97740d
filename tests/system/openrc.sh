#!/bin/sh
# SPDX-License-Identifier: ISC
#
# usage: openrc.sh DIR
# Makes DIR, unless it is there: what Debian's OpenRC would install below /usr,
# for test_openrc.py, which lays it over the host's. Needs the package archive;
# the tests themselves have no network, and the host gets no other init.

set -eu

dir=$1
[ ! -d "$dir" ] || exit 0
# Under another name until it is complete.
rm -rf "$dir.new"
mkdir -p "$dir.new/debs" "$dir.new/all"
chmod 755 "$dir.new" "$dir.new/debs"
(cd "$dir.new/debs" && apt-get -q download openrc librc1 libeinfo1) \
    >"$dir.new/log" 2>&1 || {
	cat "$dir.new/log" >&2
	exit 1
}
for deb in "$dir.new"/debs/*.deb; do
	dpkg-deb -x "$deb" "$dir.new/all"
done
mv "$dir.new/all/usr" "$dir.new/usr"
# On the host /bin, /lib and /sbin are links to there.
for name in bin lib sbin; do
	mkdir -p "$dir.new/usr/$name"
	cp -a "$dir.new/all/$name/." "$dir.new/usr/$name/"
done
rm -rf "$dir.new/debs" "$dir.new/all" "$dir.new/log" "$dir.new/usr/share"
mv "$dir.new" "$dir"
