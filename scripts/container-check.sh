#!/bin/sh
# SPDX-License-Identifier: ISC
#
# usage: container-check.sh
#
# Builds the images of scripts/container (make check-container), upon a minimal
# root instead of a registry's image, and has test_container.py run them. Needs
# root, podman, runc, mmdebstrap and the package archive; some minutes.

set -eu

cd "$(dirname "$0")/.."
. scripts/packages.sh
. scripts/tally.sh
# shellcheck source=tests/system/minimal.sh
. tests/system/minimal.sh
# shellcheck disable=SC2086	# words
missing=$(packages_missing $packages_container)
[ -z "$missing" ] || {
	echo "container-check.sh: not installed:$missing" >&2
	exit 1
}
base=$PWD/build/container-base
# All of podman's, which goes again. Without a systemd it cannot ask for the
# health by itself.
dir=$(mktemp -d)
trap 'rm -rf "$dir" "$tally_log"' EXIT
PODMAN="podman --root $dir/root --runroot $dir/run --storage-driver vfs
    --runtime runc --cgroup-manager cgroupfs --events-backend file"
DISABLE_HC_SYSTEMD=true
export PODMAN DISABLE_HC_SYSTEMD

# What "FROM debian:stable-slim" finds.
import()
{
	# shellcheck disable=SC2086	# words
	tar -C "$base" -c . |
	    $PODMAN import - docker.io/library/debian:stable-slim
}

# image NAME: by the command of its own first lines, but for the network.
image()
{
	# shellcheck disable=SC2086	# words
	$PODMAN build --format docker --pull=never --network host \
	    -f "scripts/container/Containerfile.$1" -t "localhost/$1" .
}

tally_run "a root to begin with" minimal_root stable "$base" apt
tally_run "an image of it" import
tally_run "image of static programs" image static
tally_run "image of PHP" image php
tally_run "containers" sh tests/system/run.sh --soak 1 -q test_container.py
tally_end
