# SPDX-License-Identifier: ISC
"""What visitors put into the site is never run as PHP.

php-cgi, by its cgi.fix_pathinfo, runs the nearest file above a path that does
not exist, whatever its name, and has no security.limit_extensions as php-fpm
has: /up.jpg/x.php would run up.jpg. So each configuration that is shown
anywhere, in scripts/web and in README, has to refuse that.
"""

import contextlib
import os
import socket

import pytest

import harness
import sites

PHP = "/usr/bin/php-cgi"
MARK = "this-was-run-as-php"
SCRIPT = "<?php echo 'this-was-', 'run-as-php'; ?>"
GOOD = "<?php echo 'good:', $_SERVER['PATH_INFO'] ?? ''; ?>"

UPLOADS = ("up.jpg", "up.php.jpg", "up", "sub/up.jpg", "sub/up.php.jpg",
           "dir.php/up.jpg", "up.jpg\n")
PATHS = (
    "/up.jpg", "/up.jpg/x.php", "/up.jpg/", "/up.jpg/x.php/y.php",
    "/up.jpg/.php", "/up.jpg/x.php/more", "/up.jpg//x.php", "/up.jpg/x.PHP",
    "/up.jpg%2fx.php", "/up.jpg%2Fx.php", "/up.jpg%00.php",
    "/up.jpg%00/x.php", "/up.jpg%0a.php", "/up.jpg%0a/x.php",
    "/up.jpg%20.php", "/up.jpg?x.php", "/up.jpg%3fx.php", "/up.jpg;x.php",
    "/up.php.jpg", "/up.php.jpg/", "/up.php.jpg/x.php", "/up.php.jpg%2fx.php",
    "/up/x.php", "/up%2fx.php", "/sub/up.jpg/x.php", "/sub/up.php.jpg",
    "/sub/up.php.jpg/x.php", "/sub%2fup.jpg/x.php", "/dir.php/up.jpg",
    "/dir.php/up.jpg/x.php", "/dir.php/up.jpg%2fx.php", "/dir.php%2fup.jpg",
    "/good.php/../up.jpg/x.php", "/good.php/%2e%2e/up.jpg",
    "/good.php/..%2fup.jpg", "/good.php/..%2fup.jpg/x.php",
    "/good.php%2f..%2fup.jpg", "/good.php/%0a/../../up.jpg",
    "/none.php/../up.jpg", "/none.php/..%2fup.jpg", "/none.php/%0a/up.jpg",
    "/none.php%2f..%2fup.jpg/x.php", "//up.jpg/x.php", "/./up.jpg/x.php",
    "http://localhost/up.jpg/x.php", "http://localhost/up.php.jpg",
)


@contextlib.contextmanager
def pool(*options):
    """php-cgi as a distribution sets it up, and a site with uploads."""
    harness.empty_directory("/var/www")
    for name in UPLOADS:
        path = os.path.join(sites.ROOT, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="ascii") as f:
            f.write(SCRIPT)
    for name in ("good.php", "index.php", "sub/good.php"):
        with open(os.path.join(sites.ROOT, name), "w", encoding="ascii") as f:
            f.write(GOOD)
    os.makedirs(os.path.dirname(sites.PHP), exist_ok=True)
    with contextlib.ExitStack() as stack:
        s = harness.Spawnd("-s", sites.PHP, "-U", "web", "-u", "_app", "-F", 1,
                           "--", PHP, *options)
        stack.callback(s.end)
        s.launch()
        yield s
        assert s.stop() == 0
    harness.empty_directory("/var/www")


@pytest.mark.parametrize("name", ["up.jpg", "up.php.jpg"])
def test_php_itself_would_run_it(name):
    """So that the tests above can fail."""
    with pool():
        a = harness.request(sites.PHP, params={
            "SCRIPT_FILENAME": f"{sites.ROOT}/{name}/x.php",
            "SCRIPT_NAME": f"/{name}/x.php", "REDIRECT_STATUS": "200"})
    assert a.body.decode() == MARK


def test_httpd_of_openbsd_is_told_to_look_for_the_file():
    """It does not run here."""
    with open(os.path.join(sites.SNIPPETS, "openbsd-httpd.conf"),
              encoding="ascii") as f:
        php = [line for line in f if ".php\" {" in line]
    assert php == ["\tlocation found \"*.php\" {\n"]


@pytest.mark.parametrize("options, noted", [
    ([], True), (["-d", "cgi.fix_pathinfo=1"], True),
    (["-d", "cgi.fix_pathinfo=0"], False),
    (["-dcgi.fix_pathinfo=Off"], False)])
def test_the_preflight_has_a_note(options, noted):
    r = harness.run_spawnd("-t", "-s", "/run/app.sock", "-u", "www", "--", PHP,
                           *options)
    assert r.status == 0, r.stdout
    assert (f"note: exec: {PHP}: unless php.ini turns cgi.fix_pathinfo off" in
            r.stdout) == noted, r.stdout


@pytest.fixture(scope="module", ids=lambda s: s.__name__,
                params=[*sites.SERVERS, *sites.OF_README, sites.HAProxyDeep])
def site(request):
    with pool(*request.param.php), request.param() as w:
        yield w


def ask(port, path):
    """The whole answer to a path that is sent as it stands."""
    with socket.create_connection(("127.0.0.1", port),
                                  10 * harness.PATIENCE) as s:
        s.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n"
                  "Connection: close\r\n\r\n".encode("ascii"))
        answer = b""
        while True:
            more = s.recv(65536)
            if not more:
                return answer.decode("utf-8", "replace")
            answer += more


@pytest.mark.parametrize("path", PATHS)
def test_an_upload_is_not_run(site, path):
    answer = ask(site.port, path)
    assert answer.startswith("HTTP/1.1 "), answer
    assert MARK not in answer, answer


def test_scripts_of_the_site_are_run(site):
    assert site.fetch("/good.php").text == "good:"
    assert site.fetch("/").text == "good:"
    if type(site) is sites.HAProxy:
        assert site.fetch("/good.php/x").text == "good:/x"
    else:
        assert site.fetch("/sub/good.php").text == "good:"
