# shellcheck shell=sh
# SPDX-License-Identifier: ISC
#
# Sourced by what makes a root of a Debian or Ubuntu.

# minimal_sources: the host's own sources, for sources.list; without those that
# others than the distribution offer. Empty if the host has no lists of them.
minimal_sources()
{
	# shellcheck disable=SC2016	# apt-get expands these
	apt-get indextargets --format \
	    '$(ORIGIN) $(REPO_URI) $(RELEASE) $(COMPONENT)' \
	    'Created-By: Packages' 2>/dev/null | sort -u |
	    while read -r origin source; do
		case $origin in
		Debian)	key=/usr/share/keyrings/debian-archive-keyring.gpg ;;
		Ubuntu)	key=/usr/share/keyrings/ubuntu-archive-keyring.gpg ;;
		*)	continue ;;
		esac
		[ ! -f "$key" ] || source="[signed-by=$key] $source"
		echo "deb $source"
	done
}

# minimal_root SUITE DIR PACKAGE,...: makes DIR, unless it is there, with the
# host's sources if it is of that release and else with those of mmdebstrap, and
# by the host's proxy; under another name until it is complete, and one at a
# time. A mirror may be older than its index says it should be; what it has is
# signed all the same.
minimal_root()
{
	suite=$1 dir=$2 packages=$3
	mkdir -p "$(dirname "$dir")"
	exec 9>"$dir.lock"
	flock 9
	if [ -d "$dir" ]; then
		exec 9>&-
		return
	fi
	[ "$(id -u)" -eq 0 ] || {
		echo "$dir: making it needs root" >&2
		return 1
	}
	command -v mmdebstrap >/dev/null || {
		echo "$dir: making it needs mmdebstrap" >&2
		return 1
	}
	echo "making $dir, about half a minute"
	rm -rf "$dir.new"
	# shellcheck source=/dev/null
	release=$(. /etc/os-release && echo "$ID ${VERSION_CODENAME-}")
	components=main sources=
	[ "${release% *}" != ubuntu ] || components=main,universe
	[ "${release#* }" != "$suite" ] || sources=$(minimal_sources)
	set --
	for scheme in http https; do
		eval "$(apt-config shell proxy "Acquire::$scheme::Proxy")"
		[ -z "${proxy-}" ] || set -- "$@" \
		    --aptopt="Acquire::$scheme::Proxy \"$proxy\""
		proxy=
	done
	log=$dir.log
	printf '%s\n' "$sources" | mmdebstrap --variant=essential \
	    --components="$components" --include="$packages" \
	    --aptopt='APT::Install-Recommends "false"' \
	    --aptopt='Acquire::Languages "none"' \
	    --aptopt='Acquire::Check-Valid-Until "false"' \
	    --dpkgopt='path-exclude=/usr/share/man/*' \
	    --dpkgopt='path-exclude=/usr/share/doc/*' \
	    --dpkgopt='path-exclude=/usr/share/locale/*' \
	    "$@" "$suite" "$dir.new" ${sources:+-} >"$log" 2>&1 || {
		cat "$log" >&2
		return 1
	}
	mv "$dir.new" "$dir" || return 1
	rm "$log"
	exec 9>&-
}
