# shellcheck shell=sh
# SPDX-License-Identifier: ISC
#
# Sourced by what installs: the packages of Debian and Ubuntu, by purpose, and
# nowhere else.
# shellcheck disable=SC2034	# they are for those who source this

packages_build='gcc make libc6-dev pkgconf libbsd-dev libcap-ng-dev
    libjansson-dev'
# For spawnd-status, which is made where it is there.
packages_status='libfcgi-dev'
# For "make deb", beyond these (and lintian for "make check-deb").
packages_deb='build-essential debhelper'
# For "make check-container", beyond these and those of the system tests.
packages_container='podman runc mmdebstrap'
packages_demo='libfcgi-dev lighttpd curl'

# For "make check" and the core of the system tests (scripts/releases.sh).
packages_core='binutils libcmocka-dev python3 python3-pytest nginx-light
    php-cgi libfcgi-perl perl iproute2 util-linux libcap2-bin mount procps
    mksh mandoc strace tzdata libxml2-utils prometheus'

# For scripts/check.sh. A plugin of collectd-core, which depends on no library
# of its plugins, needs libyajl2, and the libcurl that gdb brings.
packages_test='bmake bsdutils systemd systemd-container mmdebstrap logrotate
    spawn-fcgi psmisc sysvinit-utils multiwatch fcgiwrap libc-bin clang
    libclang-rt-dev clang-format clang-tidy cppcheck shellcheck universal-ctags
    php-fpm supervisor uwsgi-core socat tmux zsh bash
    gdb lsof collectd-core libyajl2 monit zabbix-agent2 python3-yaml
    prometheus-phpfpm-exporter musl-tools'

# For "make bench", beyond these.
packages_bench='libnginx-mod-stream'

# The web servers and applications that the system tests put around a pool.
packages_real='apache2-bin caddy haproxy cgi-mapserver fcgiwrap golang-go
    libanyevent-fcgi-perl libev-perl libfcgi-procmanager-perl libplack-perl
    lua-wsapi-fcgi node-fastcgi nodejs ruby-fcgi uwsgi-plugin-python3'

# RELEASE:PACKAGE, what a release does not have. Tests of it are named there,
# and count as neither passed nor failed.
packages_gone='bookworm:prometheus-phpfpm-exporter trixie:lua-wsapi-fcgi
    forky:lua-wsapi-fcgi
    jammy:libclang-rt-dev jammy:collectd-core jammy:zabbix-agent2
    jammy:prometheus-phpfpm-exporter jammy:caddy
    noble:zabbix-agent2 noble:prometheus-phpfpm-exporter
    questing:lua-wsapi-fcgi resolute:lua-wsapi-fcgi'

# packages_absent: those that this release does not have.
packages_absent()
{
	# shellcheck source=/dev/null
	release=$(. /etc/os-release && echo "${VERSION_CODENAME-}")
	for entry in $packages_gone; do
		[ "${entry%%:*}" != "$release" ] || echo "${entry#*:}"
	done
}

# packages_missing NAME...: those that are not installed, but for the absent.
packages_missing()
{
	for package; do
		! packages_absent | grep -qxF "$package" || continue
		dpkg-query -W -f '${db:Status-Status}\n' "$package" \
		    2>/dev/null | grep -qx installed || printf ' %s' "$package"
	done
}

# packages_running: the services that run or listen, where systemd does.
packages_running()
{
	[ ! -d /run/systemd/system ] || systemctl list-units --plain \
	    --no-legend --no-pager --type=service,socket \
	    --state=running,listening | cut -d ' ' -f 1
}

# packages_install NAME...: installs what of it is missing, and says what, and
# what that has started. What the archive does not have is left out, and named
# in packages_unknown. Fails, naming them, when this user may not.
packages_install()
{
	packages_unknown=
	missing=$(packages_missing "$@")
	[ -n "$missing" ] || return 0
	if ! command -v apt-get >/dev/null; then
		echo "not a Debian or Ubuntu; needed here:$missing" >&2
		return 1
	elif [ "$(id -u)" -ne 0 ]; then
		echo "not installed; as root: apt-get install$missing" >&2
		return 1
	fi
	apt-get -q update >/dev/null || return
	known=
	for package in $missing; do
		if LC_ALL=C apt-cache policy "$package" |
		    grep -q 'Candidate: [^(]'; then
			known="$known $package"
		else
			packages_unknown="$packages_unknown $package"
		fi
	done
	[ -z "$packages_unknown" ] ||
	    echo "not in this archive:$packages_unknown" >&2
	[ -n "$known" ] || return 0
	echo "installing:$known"
	running=$(packages_running)
	DEBIAN_FRONTEND=noninteractive
	export DEBIAN_FRONTEND
	# shellcheck disable=SC2086
	apt-get -q -y --no-install-recommends install $known || return
	for unit in $(packages_running); do
		case "
$running
" in
		*"
$unit
"*)		;;
		*)	echo "started by that: $unit (to end it:" \
			    "systemctl disable --now $unit)" ;;
		esac
	done
}
