#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The other side of listener and client, in Python.

python_client.py SIDE ADDRESS KEY [own]

SIDE is client or listener. Frames and proofs are written here by hand, as Python 3.12 does them, so
that any Python 3 will do; with "own" it is multiprocessing.connection itself, which has to be of 3.12 or
later. The client sends "hello", a message of 100000 bytes, and one of 0 bytes, and wants each back.
The listener prints its address and sends back what it gets, until the end of the stream.
"""

import hashlib
import hmac
import os
import socket
import struct
import sys

CHALLENGE = b"#CHALLENGE#"
WELCOME = b"#WELCOME#"
FAILURE = b"#FAILURE#"
DIGEST = b"{sha256}"


class ByHand:
    """send_bytes and recv_bytes of a Connection."""

    def __init__(self, peer):
        self.peer = peer

    def send_bytes(self, message):
        self.peer.sendall(struct.pack("!i", len(message)) + message)

    def read(self, count):
        parts = []
        while count > 0:
            part = self.peer.recv(count)
            if not part:
                raise EOFError
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def recv_bytes(self):
        (count,) = struct.unpack("!i", self.read(4))
        if count == -1:
            (count,) = struct.unpack("!Q", self.read(8))
        return self.read(count)

    def challenge(self, key):
        text = DIGEST + os.urandom(40)
        self.send_bytes(CHALLENGE + text)
        answer = DIGEST + hmac.new(key, text, hashlib.sha256).digest()
        if self.recv_bytes() != answer:
            self.send_bytes(FAILURE)
            raise PermissionError("wrong key")
        self.send_bytes(WELCOME)

    def answer(self, key):
        text = self.recv_bytes()
        assert text.startswith(CHALLENGE + DIGEST), text
        text = text[len(CHALLENGE):]
        self.send_bytes(DIGEST + hmac.new(key, text, hashlib.sha256).digest())
        if self.recv_bytes() != WELCOME:
            raise PermissionError("refused")


def place(address):
    """(family, what connect and bind take)"""
    kind, rest = address.split(":", 1)
    if kind == "unix":
        return socket.AF_UNIX, "\0" + rest[1:] if rest.startswith("@") else rest
    host, port = rest.rsplit(":", 1)
    return socket.AF_INET, (host, int(port))


def client_by_hand(address, key):
    family, where = place(address)
    peer = socket.socket(family)
    peer.connect(where)
    connection = ByHand(peer)
    connection.answer(key)
    connection.challenge(key)
    return connection


def listener_by_hand(address, key):
    family, where = place(address)
    door = socket.socket(family)
    door.bind(where)
    door.listen()
    if family == socket.AF_INET:
        address = "tcp:%s:%d" % door.getsockname()
    print(address, flush=True)
    connection = ByHand(door.accept()[0])
    connection.challenge(key)
    connection.answer(key)
    return connection


def own(side, address, key):
    from multiprocessing import connection

    family, where = place(address)
    name = "AF_UNIX" if family == socket.AF_UNIX else "AF_INET"
    if side == "client":
        return connection.Client(where, name, authkey=key)
    door = connection.Listener(where, name, authkey=key)
    if family == socket.AF_INET:
        address = "tcp:%s:%d" % door.address
    print(address, flush=True)
    return door.accept()


def main():
    side, address, key = sys.argv[1:4]
    key = key.encode()
    if sys.argv[4:] == ["own"]:
        if sys.version_info < (3, 12):
            sys.exit(77)
        connection = own(side, address, key)
    elif side == "client":
        connection = client_by_hand(address, key)
    else:
        connection = listener_by_hand(address, key)
    if side == "client":
        for message in (b"hello", bytes(range(256)) * 391, b""):
            connection.send_bytes(message)
            assert connection.recv_bytes() == message
        return
    try:
        while True:
            connection.send_bytes(connection.recv_bytes())
    except EOFError:
        pass


if __name__ == "__main__":
    main()
