"""Queries as bytes, and sockets to send them: what dnspython would never send by itself."""

import contextlib
import socket
import struct

import dns.message

from tests.system.daemon import BOUND_S
from tests.system.lookup import addresses, ask

NAME = "svc_a.eas.internal"


def query(name=NAME, rdtype="A", identity=None, **how):
    message = dns.message.make_query(name, rdtype, **{"use_edns": False, **how})
    if identity is not None:
        message.id = identity
    return message.to_wire()


def frame(message):
    return struct.pack("!H", len(message)) + message


@contextlib.contextmanager
def udp(daemon):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(BOUND_S)
        client.connect(daemon.dns)
        yield client


def exchange(daemon, message):
    """The bytes of the reply by UDP."""
    with udp(daemon) as client:
        client.send(message)
        return client.recv(65536)


@contextlib.contextmanager
def tcp(daemon):
    with socket.create_connection(daemon.dns, timeout=BOUND_S) as client:
        yield client


def receive(client, size):
    """Exactly that many bytes, or fewer at the end of the stream."""
    got = b""
    while len(got) < size and (piece := client.recv(size - len(got))):
        got += piece
    return got


def receive_bytes(client):
    """The next reply's bytes, or None at the end of the stream."""
    length = receive(client, 2)
    if not length:
        return None
    (size,) = struct.unpack("!H", length)
    message = receive(client, size)
    assert len(message) == size
    return message


def receive_frame(client):
    message = receive_bytes(client)
    return message and dns.message.from_wire(message)


def is_ended(client):
    """Reads to the end; a reset is an end as well."""
    try:
        while client.recv(4096):
            pass
    except ConnectionResetError:
        pass
    return True


def assert_served(daemon):
    """New clients of either transport."""
    assert addresses(ask(daemon, NAME))
    assert addresses(ask(daemon, NAME, tcp=True))
