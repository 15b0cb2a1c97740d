#!/bin/sh
# SPDX-License-Identifier: ISC
#
# usage: root.sh DIR
# Makes DIR, unless it is there: a minimal system of the host's own release
# with systemd and PHP, for test_systemd.py. Needs root, mmdebstrap and the
# package archive; the tests themselves have no network.

set -eu

dir=$1
[ ! -d "$dir" ] || exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v mmdebstrap >/dev/null; then
	echo "root.sh: $dir: making it needs root and mmdebstrap" >&2
	exit 1
fi
# shellcheck source=/dev/null
. /etc/os-release
components=main
[ "$ID" != ubuntu ] || components=main,universe

# Under another name until it is complete.
rm -rf "$dir.new"
mkdir -p "$(dirname "$dir")"
echo "making $dir, about half a minute"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
mmdebstrap --variant=essential --components="$components" \
    --include=systemd,systemd-sysv,procps,php-cgi \
    --aptopt='APT::Install-Recommends "false"' \
    --aptopt='Acquire::Languages "none"' \
    --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    "$VERSION_CODENAME" "$dir.new" >"$log" 2>&1 || {
	cat "$log" >&2
	exit 1
}
mv "$dir.new" "$dir"
