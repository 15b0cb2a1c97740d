#!/bin/sh
# SPDX-License-Identifier: ISC
#
# usage: identical.sh COPY
# Builds a copy of the tree with bmake, installs what is built here, with a
# umask that leaves nothing to others, and what is built there, and compares the
# results. The build may not depend on where it is made or by which make, and
# installs what it should; all of it goes again.

set -eu

copy=$1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# list DIR: the modes and names of its files, and where its links lead.
list()
{
	(cd "$1" && find . -type l -printf 'link %p %l\n' -o -type f \
	    -printf '%m %p\n' -o ! -perm 755 -printf 'directory %m %p\n' |
	    LC_ALL=C sort)
}

# installed MAKE DIR NAME: what "install" and "install-compat" leave.
installed()
{
	mkdir "$tmp/$3"
	for target in install install-compat; do
		mkdir -m 755 "$tmp/$3/$target"
		$1 -C "$2" -j2 "$target" WERROR=1 PREFIX=/usr \
		    DESTDIR="$tmp/$3/$target"
		list "$tmp/$3/$target" >"$tmp/$3/$target.list"
	done
}

umask 077
installed make . here
umask 022
installed bmake "$copy" there
diff -r "$tmp/here" "$tmp/there"
diff "$tmp/here/install.list" - <<END
644 ./usr/lib/systemd/system/spawnd@.service
644 ./usr/lib/systemd/system/spawnd@.socket
644 ./usr/libexec/spawnd/readconf.sh
644 ./usr/share/bash-completion/completions/spawnctl
644 ./usr/share/examples/spawnd/Caddyfile
644 ./usr/share/examples/spawnd/apache.conf
644 ./usr/share/examples/spawnd/haproxy.cfg
644 ./usr/share/examples/spawnd/init.d-spawnd
644 ./usr/share/examples/spawnd/lighttpd.conf
644 ./usr/share/examples/spawnd/logrotate-spawnd
644 ./usr/share/examples/spawnd/nginx.conf
644 ./usr/share/examples/spawnd/openbsd-httpd.conf
644 ./usr/share/examples/spawnd/openrc-conf.d
644 ./usr/share/examples/spawnd/openrc-init.d
644 ./usr/share/examples/spawnd/rc.d-freebsd
644 ./usr/share/examples/spawnd/rc.d-openbsd
644 ./usr/share/examples/spawnd/recipes/apache/README
644 ./usr/share/examples/spawnd/recipes/apache/apache.conf
644 ./usr/share/examples/spawnd/recipes/caddy/Caddyfile
644 ./usr/share/examples/spawnd/recipes/caddy/README
644 ./usr/share/examples/spawnd/recipes/haproxy/README
644 ./usr/share/examples/spawnd/recipes/haproxy/haproxy.cfg
644 ./usr/share/examples/spawnd/recipes/haproxy/spawnd-agent.socket
644 ./usr/share/examples/spawnd/recipes/haproxy/spawnd-agent@.service
644 ./usr/share/examples/spawnd/recipes/kubernetes/README
644 ./usr/share/examples/spawnd/recipes/kubernetes/app.yaml
644 ./usr/share/examples/spawnd/recipes/lighttpd/README
644 ./usr/share/examples/spawnd/recipes/lighttpd/lighttpd.conf
644 ./usr/share/examples/spawnd/recipes/nginx/README
644 ./usr/share/examples/spawnd/recipes/nginx/nginx.conf
644 ./usr/share/examples/spawnd/recipes/pacemaker/README
644 ./usr/share/examples/spawnd/recipes/pacemaker/pool
644 ./usr/share/examples/spawnd/recipes/swarm/README
644 ./usr/share/examples/spawnd/recipes/swarm/haproxy.cfg
644 ./usr/share/examples/spawnd/recipes/swarm/stack.yml
644 ./usr/share/examples/spawnd/spawn-php.sh
644 ./usr/share/examples/spawnd/spawnd-dashboard.json
644 ./usr/share/examples/spawnd/spawnd.conf.example
644 ./usr/share/examples/spawnd/spawnd.rules.yml
644 ./usr/share/examples/spawnd/status-Caddyfile
644 ./usr/share/examples/spawnd/status-apache.conf
644 ./usr/share/examples/spawnd/status-haproxy.cfg
644 ./usr/share/examples/spawnd/status-lighttpd.conf
644 ./usr/share/examples/spawnd/status-nginx.conf
644 ./usr/share/examples/spawnd/status-openbsd-httpd.conf
644 ./usr/share/examples/spawnd/systemd-jail.conf
644 ./usr/share/examples/spawnd/systemd-no-ptrace.conf
644 ./usr/share/examples/spawnd/tmpfiles-spawnd.conf
644 ./usr/share/man/man1/spawnctl.1
644 ./usr/share/man/man7/spawnd-applications.7
644 ./usr/share/man/man7/spawnd-diagnostics.7
644 ./usr/share/man/man7/spawnd-migrating.7
644 ./usr/share/man/man8/spawnd-status.8
644 ./usr/share/man/man8/spawnd.8
644 ./usr/share/zsh/site-functions/_spawnctl
755 ./usr/bin/spawnctl
755 ./usr/libexec/spawnd-status
755 ./usr/libexec/spawnd/service
755 ./usr/sbin/spawnd
END
# Beyond that, the other names: where their links lead, and their manuals.
grep -vxFf "$tmp/here/install.list" "$tmp/here/install-compat.list" |
    diff - /dev/fd/3 3<<END
644 ./usr/share/man/man1/multiwatch.1
644 ./usr/share/man/man1/spawn-fcgi.1
644 ./usr/share/man/man8/kfcgi.8
link ./usr/bin/multiwatch ../sbin/spawnd
link ./usr/bin/spawn-fcgi ../sbin/spawnd
link ./usr/sbin/kfcgi spawnd
END
for target in install install-compat; do
	make -s uninstall DESTDIR="$tmp/here/$target" PREFIX=/usr
	[ -z "$(ls -A "$tmp/here/$target")" ]
done
