#!/bin/sh
# SPDX-License-Identifier: ISC
#
# usage: identical.sh DIR DIR
# Builds and installs two copies of the tree, anew, and compares the results.
# The build may not depend on where it is made, and installs what it should.

set -eu

for dir; do
	make -C "$dir" clean
	make -C "$dir" -j2 install DESTDIR="$dir/build/root" PREFIX=/usr
	(cd "$dir/build/root" && find . -type f | LC_ALL=C sort) \
	    >"$dir/build/list"
	make -C "$dir" -s install-compat DESTDIR="$dir/build/compat" \
	    PREFIX=/usr
done
diff -r "$1/build/root" "$2/build/root"
diff "$1/build/list" - <<END
./usr/bin/spawnctl
./usr/lib/systemd/system/spawnd@.service
./usr/lib/systemd/system/spawnd@.socket
./usr/libexec/spawnd/readconf.sh
./usr/libexec/spawnd/service
./usr/sbin/spawnd
./usr/share/bash-completion/completions/spawnctl
./usr/share/examples/spawnd/Caddyfile
./usr/share/examples/spawnd/apache.conf
./usr/share/examples/spawnd/haproxy.cfg
./usr/share/examples/spawnd/init.d-spawnd
./usr/share/examples/spawnd/lighttpd.conf
./usr/share/examples/spawnd/logrotate-spawnd
./usr/share/examples/spawnd/nginx.conf
./usr/share/examples/spawnd/openbsd-httpd.conf
./usr/share/examples/spawnd/openrc-conf.d
./usr/share/examples/spawnd/openrc-init.d
./usr/share/examples/spawnd/rc.d-freebsd
./usr/share/examples/spawnd/rc.d-openbsd
./usr/share/examples/spawnd/spawn-php.sh
./usr/share/examples/spawnd/spawnd.conf.example
./usr/share/examples/spawnd/systemd-jail.conf
./usr/share/examples/spawnd/tmpfiles-spawnd.conf
./usr/share/man/man1/spawnctl.1
./usr/share/man/man7/spawnd-applications.7
./usr/share/man/man7/spawnd-diagnostics.7
./usr/share/man/man7/spawnd-migrating.7
./usr/share/man/man8/spawnd.8
./usr/share/zsh/site-functions/_spawnctl
END
# Beyond that, the other names: where their links lead, and their manuals.
(cd "$1/build/compat" && find . -type l -printf '%p %l\n' -o -type f -print |
    LC_ALL=C sort) | grep -vxFf "$1/build/list" | diff - /dev/fd/3 3<<END
./usr/bin/multiwatch /usr/sbin/spawnd
./usr/bin/spawn-fcgi /usr/sbin/spawnd
./usr/sbin/kfcgi spawnd
./usr/share/man/man1/multiwatch.1
./usr/share/man/man1/spawn-fcgi.1
./usr/share/man/man8/kfcgi.8
END
