"""Who is answered by DNS: hosts that `allow` names, as often as `rate-limit` lets them, and this
host always. Each test has a network of its own, in which 192.0.2.x and 2001:db8::x are hosts."""

import contextlib
import socket

import dns.flags
import dns.message
import pytest

from tests.easim import Easim
from tests.system.daemon import BOUND_S, Daemon, eventually
from tests.system.netns import own_network
from tests.system.wire import NAME, frame, is_ended, query, receive_frame

SERVER, INSIDE, OUTSIDE = "192.0.2.1", "192.0.2.2", "198.51.100.2"
SERVER6, INSIDE6, OUTSIDE6 = "2001:db8::1", "2001:db8::2", "2001:db8:1::2"
PORT = 53


@pytest.fixture
def network():
    addresses = [f"{host}/32" for host in (SERVER, INSIDE, OUTSIDE)]
    with own_network(*addresses, *(f"{host}/128" for host in (SERVER6, INSIDE6, OUTSIDE6))):
        yield


@pytest.fixture
def guarded(network):
    """A daemon that listens to other hosts, not started."""
    with Easim({"svc_a": [1, 1]}) as easim, Daemon() as configured:
        configured.source(endpoint=easim.endpoint, services="svc_a")
        listen = f"{SERVER}:{PORT},[{SERVER6}]:{PORT}"
        configured.set("dns", listen=listen, allow="192.0.2.0/24,2001:db8::/64")
        yield configured
        assert configured.stop() == 0, configured.log()


def family_of(host):
    return socket.AF_INET6 if ":" in host else socket.AF_INET


@contextlib.contextmanager
def client(kind, source, server):
    with socket.socket(family_of(server), kind) as sock:
        sock.settimeout(BOUND_S)
        sock.bind((source, 0))
        sock.connect((server, PORT))
        yield sock


def asks_by_udp(source, server):
    """A connected socket: a reply from another address than the one asked would not come in."""
    with client(socket.SOCK_DGRAM, source, server) as sock:
        sock.send(query(identity=5))
        return dns.message.from_wire(sock.recv(4096)).id == 5


def drain(sock):
    """All replies that are there."""
    sock.setblocking(False)
    replies = []
    with contextlib.suppress(BlockingIOError):
        while True:
            replies.append(dns.message.from_wire(sock.recv(4096)))
    return replies


def asks_by_tcp(source, server):
    with client(socket.SOCK_STREAM, source, server) as sock:
        sock.sendall(frame(query(identity=5)))
        return receive_frame(sock).id == 5


LISTENS = [f"{SERVER}:{PORT},[{SERVER6}]:{PORT}", f"0.0.0.0:{PORT},[::]:{PORT}"]


@pytest.mark.parametrize("listen", LISTENS, ids=["one", "wildcard"])
def test_those_who_may_ask(guarded, listen):
    guarded.set("dns", listen=listen)
    guarded.start()
    for source in (INSIDE, SERVER):
        assert asks_by_udp(source, SERVER)
        assert asks_by_tcp(source, SERVER)
    for source in (INSIDE6, SERVER6, "::1"):
        assert asks_by_udp(source, SERVER6)
        assert asks_by_tcp(source, SERVER6)
    assert guarded.counter("dns_outside") == 0


@pytest.mark.parametrize("listen", LISTENS, ids=["one", "wildcard"])
def test_those_who_may_not(guarded, listen):
    guarded.set("dns", listen=listen)
    guarded.start()
    for source, server in ((OUTSIDE, SERVER), (OUTSIDE6, SERVER6)):
        with client(socket.SOCK_DGRAM, source, server) as udp:
            udp.send(query())
            assert asks_by_udp(INSIDE, SERVER), "whose reply would come later"
            assert not drain(udp)
        with client(socket.SOCK_STREAM, source, server) as tcp:
            assert is_ended(tcp)
    assert guarded.counter("dns_outside") == 4
    assert guarded.counter("dns_tcp_accepted") == 0, "and none took a slot"


def test_this_host_may_ask_without_being_named(guarded):
    guarded.set("dns", listen=f"0.0.0.0:{PORT}", allow="203.0.113.0/24")
    guarded.start()
    for source, server in ((SERVER, SERVER), (OUTSIDE, OUTSIDE), ("127.0.0.1", SERVER)):
        assert asks_by_udp(source, server)
        assert asks_by_tcp(source, server)
    with client(socket.SOCK_STREAM, INSIDE, SERVER) as tcp:
        assert is_ended(tcp)


def test_a_reload_changes_who_may_ask(guarded):
    guarded.start()
    guarded.set("dns", allow="198.51.100.0/24")
    guarded.reload()

    def is_closed():
        with client(socket.SOCK_STREAM, INSIDE, SERVER) as tcp:
            with contextlib.suppress(OSError):
                tcp.sendall(frame(query()))
                return not tcp.recv(1)
            return True

    eventually(is_closed)
    assert asks_by_udp(OUTSIDE, SERVER)
    assert asks_by_tcp(OUTSIDE, SERVER)


def test_a_network_over_its_rate_is_sent_to_tcp(guarded):
    guarded.set("dns", rate_limit=1)
    guarded.start()
    with client(socket.SOCK_DGRAM, INSIDE, SERVER) as udp:
        for identity in range(200):
            udp.send(query(identity=identity))
        eventually(lambda: guarded.counter("dns_queries_udp") == 200)
        assert asks_by_udp(SERVER, SERVER), "a batch later, so that those of the last are sent"
        replies = drain(udp)
    limited = guarded.counter("dns_limited")
    cut = [reply for reply in replies if reply.flags & dns.flags.TC]
    assert limited >= 150, "of 200, 2 at once and 1 a second are answered"
    assert len(cut) == limited // 2 == guarded.counter("dns_truncated")
    assert all(reply.question[0].name.to_text() == NAME + "." and not reply.answer for reply in cut)
    assert len(replies) == 200 - limited + len(cut)
    assert asks_by_tcp(INSIDE, SERVER), "TCP has no limit"
    for _ in range(30):
        assert asks_by_udp(SERVER, SERVER), "nor has this host"
    assert guarded.counter("dns_limited") == limited
