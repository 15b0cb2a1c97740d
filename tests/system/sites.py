# SPDX-License-Identifier: ISC
"""Web servers configured by the very files of scripts/web, and by what README
shows.

Each gets a frame of what a distribution's own configuration says (the user,
the log, temporary files) and that file, with nothing changed but the port
and, for connections that are kept open, the # before the lines about them.
What these files name is there: the site in /var/www/app, the sockets
/run/php/app.sock and /run/app/app.sock.
"""

import os
import re
import shutil

import harness
import web

ROOT = "/var/www/app"
PHP, APP = "/run/php/app.sock", "/run/app/app.sock"
TOP = os.path.dirname(os.path.dirname(harness.SOURCES))
SNIPPETS = os.path.join(TOP, "scripts", "web")


class Site(web.WebServer):
    snippet = ""
    php = []    # arguments that php-cgi has to have

    def __init__(self, keep=False, user="web"):
        self.keep = keep
        super().__init__("unix:" + PHP, ROOT, user)

    def text(self):
        with open(os.path.join(SNIPPETS, self.snippet),
                  encoding="ascii") as f:
            text = f.read()
        assert PHP in text and APP in text
        if self.keep:
            text, n = re.subn(*self.kept, text, flags=re.MULTILINE)
            assert n > 0, "nothing about kept connections"
        return self.with_port(text)

    def with_port(self, text):
        text, n = re.subn(r"(?m)^(?!#)(.*[ :])80\b", rf"\g<1>{self.port}",
                          text)
        assert n == 1, "not one port"
        return text

    def config(self):
        included = os.path.join(self.dir, self.snippet)
        with open(included, "w", encoding="ascii") as f:
            f.write(self.text())
        return self.frame().format(
            dir=self.dir, tmp=self.tmp, user=self.user, group=self.group,
            port=self.port, root=self.root, log=self.error_log,
            snippet=included)


class Lighttpd(Site):
    program, snippet = "lighttpd", "lighttpd.conf"

    def with_port(self, text):
        return text

    def frame(self):
        return """\
server.modules = ( "mod_indexfile" )
server.bind = "127.0.0.1"
server.port = {port}
server.username = "{user}"
server.groupname = "{group}"
server.document-root = "{root}"
server.errorlog = "{log}"
server.upload-dirs = ( "{tmp}" )
index-file.names = ( "index.php", "index.html" )
include "{snippet}"
"""

    def command(self, conf):
        return ["/usr/sbin/lighttpd", "-D", "-f", conf]


class Nginx(Site):
    program, snippet = "nginx", "nginx.conf"
    kept = (r"^(\s*)#(keepalive|fastcgi_keep_conn)", r"\1\2")

    def frame(self):
        shutil.copy("/etc/nginx/fastcgi_params", self.dir)
        temporary = "".join(
            f"\t{what}_temp_path {self.tmp}/{what};\n" for what in
            ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        return """\
daemon off;
worker_processes 1;
user {user} {group};
pid {dir}/pid;
error_log {log} info;
events {{ worker_connections 512; }}
http {{
	access_log off;
	client_max_body_size 16m;
""" + temporary + """\
	include {snippet};
}}
"""

    def command(self, conf):
        return ["/usr/sbin/nginx", "-e", self.error_log, "-p", self.dir,
                "-c", conf]


class Apache(Site):
    program, snippet = "apache2", "apache.conf"
    modules = ("mpm_event", "authz_core", "dir", "proxy", "proxy_fcgi")
    kept = (r"^(\s*)#(ProxySet)", r"\1\2")

    def frame(self):
        return """\
ServerRoot {dir}
ServerName localhost
Listen 127.0.0.1:{port}
User {user}
Group {group}
PidFile {dir}/pid
DefaultRuntimeDir {tmp}
ErrorLog {log}
StartServers 1
ServerLimit 1
ThreadsPerChild 32
MaxRequestWorkers 32
""" + "".join(f"LoadModule {name}_module "
              f"/usr/lib/apache2/modules/mod_{name}.so\n"
              for name in self.modules) + "Include {snippet}\n"

    def command(self, conf):
        return ["/usr/sbin/apache2", "-D", "FOREGROUND", "-f", conf]


class Caddy(Site):
    program, snippet = "caddy", "Caddyfile"

    def frame(self):
        return """\
{{
	admin off
	auto_https off
}}
import {snippet}
"""

    def command(self, conf):
        return ["/usr/bin/setpriv", f"--reuid={self.user}", "--init-groups",
                f"--regid={self.group}", "/usr/bin/env", "-i",
                f"HOME={self.tmp}", "/usr/bin/caddy", "run", "--adapter",
                "caddyfile", "--config", conf]


class HAProxy(Site):
    program, snippet = "haproxy", "haproxy.cfg"
    kept = (r"^(\s*)(?:no |#)(option keep|http-reuse|retry-on|"
            r"default-server)",
            r"\1\2")

    def config(self):
        # It has no "include": its files are read one after another.
        return """\
global
	user %s
	group %s
	nbthread 1
defaults
	mode http
	timeout connect 5s
	timeout client 60s
	timeout server 60s
""" % (self.user, self.group) + self.text()

    def command(self, conf):
        return ["/usr/sbin/haproxy", "-dW", "-db", "-f", conf]


class HAProxyDeep(HAProxy):
    """With scripts of subdirectories, by what the file says about them."""

    php = ["-d", "cgi.fix_pathinfo=0"]

    def text(self):
        text = super().text()
        advice = re.search(r'"(-d \S+)", and take "(\S+)"', text)
        assert advice[1].split() == self.php
        text, n = re.subn(r"path_reg \S+", lambda _: f"path_reg {advice[2]}",
                          text)
        assert n == 1
        return text


SERVERS = [Lighttpd, Nginx, Apache, Caddy, HAProxy]
KEEPERS = [s for s in SERVERS if hasattr(s, "kept")]


def of_readme(begin):
    """The example in README whose first line begins so."""
    with open(os.path.join(TOP, "README"), encoding="ascii") as f:
        text = f.read()
    return re.search(rf"\n\n(    {begin}.*\n(?:    .*\n)*)", text)[1]


class ReadmeLighttpd(Lighttpd):
    def text(self):
        return of_readme(r"server\.modules")

class ReadmeNginx(Nginx):
    def text(self):
        return f"server {{\nlisten {self.port};\nroot {self.root};\n" + \
            of_readme("(?:index|location)") + "}\n"


OF_README = [ReadmeLighttpd, ReadmeNginx]
