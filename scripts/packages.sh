# shellcheck shell=sh
# SPDX-License-Identifier: ISC
#
# Sourced by what installs: the packages of Debian and Ubuntu, by purpose.
# shellcheck disable=SC2034	# they are for those who source this

packages_build='gcc make libc6-dev pkg-config libbsd-dev libcap-ng-dev
    libevent-dev libjansson-dev'
packages_demo='libfcgi-dev lighttpd curl'
packages_test='bmake binutils libcmocka-dev python3 python3-pytest nginx-light
    php-cgi libfcgi-perl perl iproute2 util-linux libcap2-bin
    systemd systemd-container mmdebstrap mksh logrotate spawn-fcgi procps
    psmisc sysvinit-utils
    multiwatch fcgiwrap tzdata libc-bin strace clang clang-format clang-tidy
    cppcheck shellcheck mandoc universal-ctags php-fpm supervisor uwsgi-core
    socat prometheus libxml2-utils tmux zsh bash'

# The web servers and applications that the system tests put around a pool.
packages_real='apache2-bin caddy haproxy cgi-mapserver fcgiwrap golang-go
    libanyevent-fcgi-perl libev-perl libfcgi-procmanager-perl libplack-perl
    lua-wsapi-fcgi node-fastcgi nodejs ruby-fcgi uwsgi-plugin-python3'

# packages_install NAME...: installs what of it is missing, and says what.
# Fails, naming them, when this user may not.
packages_install()
{
	missing=
	for package; do
		dpkg-query -W -f '${db:Status-Status}\n' "$package" \
		    2>/dev/null | grep -qx installed ||
		    missing="$missing $package"
	done
	[ -n "$missing" ] || return 0
	if ! command -v apt-get >/dev/null; then
		echo "not a Debian or Ubuntu; needed here:$missing" >&2
		return 1
	elif [ "$(id -u)" -ne 0 ]; then
		echo "not installed; as root: apt-get install$missing" >&2
		return 1
	fi
	echo "installing:$missing"
	if [ -d /run/systemd/system ]; then
		echo "(a web server among these starts by itself on port 80;" \
		    "to stop it: systemctl disable --now NAME)"
	fi
	DEBIAN_FRONTEND=noninteractive
	export DEBIAN_FRONTEND
	apt-get -q update >/dev/null || return
	# shellcheck disable=SC2086
	apt-get -q -y --no-install-recommends install $missing
}
