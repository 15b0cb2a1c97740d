# SPDX-License-Identifier: ISC
"""bare.c's answers by WSGI."""

import os
import time


def application(environ, start_response):
    token, ms, size = (environ["QUERY_STRING"].split(" ") + ["0", "0"])[:3]
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    time.sleep(int(ms) / 1000)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{token} {os.getpid()}\n".encode(), b"x" * int(size), body]
