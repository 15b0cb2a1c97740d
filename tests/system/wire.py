# SPDX-License-Identifier: ISC
"""A host whose TCP is spoken by hand, on a tun device of the tests' network
namespace: what a test does between two packets of a handshake."""

import fcntl
import os
import select
import socket
import struct
import subprocess
import time

HERE = "10.99.1.1"      # this host, where daemons listen
THERE = "10.99.1.2"     # the other, which is this file
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16

_TUNSETIFF = 0x400454ca
_TUN_NO_PI = 0x1001
_DEADLINE = 5


def _sum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total > 0xffff:
        total = (total >> 16) + (total & 0xffff)
    return ~total & 0xffff


class Wire:
    """The tun device, while it is open."""

    def __init__(self, name="wire0"):
        self.fd = os.open("/dev/net/tun", os.O_RDWR)
        try:
            fcntl.ioctl(self.fd, _TUNSETIFF,
                        struct.pack("16sH22x", name.encode(), _TUN_NO_PI))
            for args in (["addr", "add", f"{HERE}/24", "dev", name],
                         ["link", "set", name, "up"]):
                subprocess.run(["ip", *args], check=True)
        except (OSError, subprocess.CalledProcessError):
            os.close(self.fd)
            raise

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        os.close(self.fd)

    def send(self, peer, flags, data=b""):
        ends = socket.inet_aton(THERE) + socket.inet_aton(HERE)
        tcp = struct.pack(">HHIIBBHHH", peer.port, peer.to, peer.seq,
                          peer.ack, 5 << 4, flags, 65535, 0, 0) + data
        check = _sum(ends + struct.pack(">BBH", 0, 6, len(tcp)) + tcp)
        tcp = tcp[:16] + struct.pack(">H", check) + tcp[18:]
        head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(tcp), 1, 0, 64, 6, 0)
        check = _sum(head + ends)
        os.write(self.fd, head[:10] + struct.pack(">H", check) + ends + tcp)

    def receive(self, peer):
        """The next packet for a peer: its flags, its sequence number and its
        data."""
        end = time.monotonic() + _DEADLINE
        while select.select([self.fd], [], [],
                            max(0, end - time.monotonic()))[0]:
            packet = os.read(self.fd, 65536)
            if packet[0] >> 4 != 4 or packet[9] != 6:
                continue
            port, to, seq, _ = struct.unpack(">HHII", packet[20:32])
            if (port, to) == (peer.to, peer.port):
                return packet[33], seq, packet[20 + (packet[32] >> 4) * 4:]
        raise TimeoutError(f"no packet came for port {peer.port}")


class Peer:
    """A client there, of a server here."""

    def __init__(self, wire, port, to):
        self.wire, self.port, self.to = wire, port, to
        self.seq, self.ack = 1000, 0

    def begin(self):
        """Sends a SYN; returns the flags of what comes back."""
        self.wire.send(self, SYN)
        flags, seq, _ = self.wire.receive(self)
        self.seq, self.ack = self.seq + 1, seq + 1
        return flags

    def finish(self, data):
        """Ends the handshake, sends data and returns all that is answered."""
        self.wire.send(self, ACK)
        self.wire.send(self, ACK | PSH, data)
        self.seq += len(data)
        got = b""
        while True:
            flags, seq, more = self.wire.receive(self)
            if flags & RST:
                raise ConnectionResetError
            if more and seq == self.ack:
                got += more
            if seq == self.ack:
                self.ack += len(more) + bool(flags & FIN)
                self.wire.send(self, ACK)
            if flags & FIN:
                return got
