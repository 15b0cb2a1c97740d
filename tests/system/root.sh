#!/bin/sh
# SPDX-License-Identifier: ISC
#
# usage: root.sh DIR [PACKAGE,...]
# Makes DIR, unless it is there: a minimal system of the host's own release
# with these packages, or with systemd and PHP, for test_systemd.py. Needs root,
# mmdebstrap and the package archive; the tests themselves have no network.

set -eu

# shellcheck source=/dev/null
. /etc/os-release
# shellcheck source=tests/system/minimal.sh
. "$(dirname "$0")/minimal.sh"
minimal_root "$VERSION_CODENAME" "$1" \
    "${2:-systemd,systemd-sysv,procps,php-cgi}"
