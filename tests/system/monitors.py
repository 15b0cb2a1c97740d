# SPDX-License-Identifier: ISC
"""What monitors are shown: a web server before spawnd-status; and the examples
of the manuals."""

import contextlib
import http.server
import os
import re
import threading

import harness as h

TOP = os.path.dirname(os.path.dirname(h.SOURCES))
STATUS = os.path.join(os.path.dirname(h.SPAWND), "spawnd-status")


def text_of(path):
    with open(path, encoding="ascii") as f:
        return f.read()


def example(manual, begins):
    """What a manual shows that begins so."""
    found = re.findall(r"(?ms)^\.Bd -literal[^\n]*\n(.*?)^\.Ed$",
                       text_of(os.path.join(TOP, "man", manual)))
    text, = (t for t in found if t.startswith(begins))
    return text.replace(r"\(dq", '"')


class Relay(http.server.BaseHTTPRequestHandler):
    """The web server before spawnd-status."""

    def do_GET(self):
        path, _, query = self.path.partition("?")
        try:
            a = h.request(self.server.sock, query, params={
                "SCRIPT_NAME": path, "REQUEST_METHOD": "GET"})
        except h.FcgiError as e:
            self.send_error(502, str(e))
            return
        self.send_response(a.status)
        self.send_header("Content-Type", a.headers["content-type"])
        self.end_headers()
        self.wfile.write(a.body)

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def shown(spawnd, place):
    """Shows the pools of the group alpha, as many is in it: the responder's
    socket is status.sock. Yields the port."""
    spawnd("-s", f"{place}/status.sock", "-U", "www", "-u", "many", "-F", 1,
           "--name", "status", "--", STATUS)
    relay = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Relay)
    relay.sock = f"{place}/status.sock"
    threading.Thread(target=relay.serve_forever, daemon=True).start()
    try:
        yield relay.server_port
    finally:
        relay.shutdown()
        relay.server_close()
