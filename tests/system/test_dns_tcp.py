"""The responder by TCP, checks 28 to 30: what a connection may send and how it ends. When an idle
one does is in tests/unit/test_tcp.c, by a clock that is not the kernel's."""

import contextlib
import os
import socket
import struct

import dns.flags
import pytest

from tests.system.lookup import rcode
from tests.system.wire import (
    NAME,
    assert_served,
    frame,
    is_ended,
    query,
    receive_bytes,
    receive_frame,
    tcp,
)


def test_28_pipelined_queries(running):
    with tcp(running) as client:
        client.sendall(b"".join(frame(query(identity=number)) for number in range(300)))
        assert [receive_frame(client).id for _ in range(300)] == list(range(300))


def test_28_pipelined_large_replies_to_a_slow_reader(running, easim):
    """More than the kernel's buffers hold: the responder must stop reading, and go on later."""
    items = [
        {"ip": f"127.99.{n // 250}.{n % 250 + 1}", "port": 80, "weight": 1, "app": "x"}
        for n in range(1500)
    ]
    easim.set_items("svc_a", items)
    running.wait_instances("svc_a", 1500)
    with tcp(running) as client:
        client.sendall(b"".join(frame(query(rdtype="SRV", identity=n)) for n in range(200)))
        client.shutdown(socket.SHUT_WR)
        assert_served(running)
        for number in range(200):
            identity, flags, _, answers = struct.unpack("!4H", receive_bytes(client)[:8])
            assert identity == number
            assert not flags & dns.flags.TC
            assert answers > 1000
        assert receive_bytes(client) is None


def test_28_byte_by_byte(running):
    with tcp(running) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in frame(query(identity=1)) + frame(query(identity=2)):
            client.send(bytes([byte]))
        assert [receive_frame(client).id for _ in range(2)] == [1, 2]


def test_28_a_half_closed_connection_is_answered(running):
    with tcp(running) as client:
        client.sendall(frame(query(identity=1)) + frame(query(identity=2)) + b"\0")
        client.shutdown(socket.SHUT_WR)
        assert [receive_frame(client).id for _ in range(2)] == [1, 2]
        assert receive_frame(client) is None


@pytest.mark.parametrize(
    "bad",
    [
        b"\0\0",
        frame(b"12345"),
        b"\xff\xff" + query(),
        frame(query()[:2] + b"\x81" + query()[3:]),
        frame(query()[:-1]),
        frame(os.urandom(2) + b"\1\0\0\1\0\0\0\0\0\0\xc0\x0c\0\1\0\1"),
    ],
    ids=range(6),
)
def test_29_a_bad_frame_ends_its_connection_alone(running, bad):
    with tcp(running) as other, tcp(running) as client:
        client.sendall(bad)
        assert is_ended(client)
        other.sendall(frame(query(identity=9)))
        assert receive_frame(other).id == 9
    assert_served(running)


def test_30_idle_connections_lock_nobody_out(running):
    with contextlib.ExitStack() as clients:
        idle = [clients.enter_context(tcp(running)) for _ in range(150)]
        assert_served(running)
        idle[-1].sendall(frame(query(identity=3)))
        assert receive_frame(idle[-1]).id == 3, "the youngest are kept"
        assert is_ended(idle[0]), "the oldest made room"
    assert running.counter("dns_tcp_closed_idle") >= 150 + 1 - 128
