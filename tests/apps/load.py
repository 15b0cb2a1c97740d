#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""bare.c's answers by asyncio, which keeps a connection open if it is asked
to."""

import asyncio
import os
import socket
import struct

BEGIN, END, PARAMS, STDIN, STDOUT = 1, 3, 4, 5, 6


def record(kind, number, data):
    return struct.pack(">BBHHBx", 1, kind, number, len(data), 0) + data


def length(data, at):
    if data[at] < 128:
        return data[at], at + 1
    return struct.unpack_from(">I", data, at)[0] & 0x7fffffff, at + 4


def pairs(data):
    found, at = {}, 0
    while at < len(data):
        n, at = length(data, at)
        v, at = length(data, at)
        found[data[at:at + n]] = data[at + n:at + n + v]
        at += n + v
    return found


async def request(reader):
    """Its number, whether to keep the connection, parameters and body."""
    keep, params, body = False, b"", []
    while True:
        _, kind, number, n, pad = struct.unpack(
            ">BBHHBx", await reader.readexactly(8))
        data = (await reader.readexactly(n + pad))[:n]
        if kind == BEGIN:
            keep = bool(data[2] & 1)
        elif kind == PARAMS:
            params += data
        elif kind == STDIN and n > 0:
            body.append(data)
        elif kind == STDIN:
            return number, keep, pairs(params), b"".join(body)


async def serve(reader, writer):
    try:
        keep = True
        while keep:
            number, keep, params, body = await request(reader)
            token, ms, size = (params[b"QUERY_STRING"].split() +
                               [b"0", b"0"])[:3]
            await asyncio.sleep(int(ms) / 1000)
            text = b"Content-Type: text/plain\r\n\r\n%s %d\n" % (
                token, os.getpid()) + b"x" * int(size) + body
            for at in range(0, len(text), 65535):
                writer.write(record(STDOUT, number, text[at:at + 65535]))
            writer.write(record(STDOUT, number, b"") +
                         record(END, number, bytes(8)))
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main():
    server = await asyncio.start_server(serve, sock=socket.socket(fileno=0))
    await server.serve_forever()

asyncio.run(main())
