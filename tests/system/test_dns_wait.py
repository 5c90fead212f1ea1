"""Queries that wait for a name on demand, seen on the wire."""

import contextlib
import json
import socket

import dns.message
import pytest

from tests.system.daemon import eventually
from tests.system.lookup import rcode
from tests.system.wire import assert_served, frame, query, receive_frame, tcp, udp


@pytest.fixture
def waiting(daemon, easim):
    """A daemon that knows svc_a, and whose discovery then no longer answers for other names."""
    daemon.source(endpoint=easim.endpoint, services="svc_a,*", timeout="2s")
    daemon.start()
    daemon.wait_instances("svc_a", 4)
    easim.fault("hang")
    return daemon


def test_28_a_query_that_waits_is_overtaken(waiting):
    with tcp(waiting) as client:
        client.sendall(frame(query("svc_b.eas.internal", identity=1)) + frame(query(identity=2)))
        client.shutdown(socket.SHUT_WR)
        first, second = receive_frame(client), receive_frame(client)
        assert (first.id, rcode(first)) == (2, "NOERROR")
        assert (second.id, rcode(second)) == (1, "SERVFAIL")
        assert receive_frame(client) is None


def test_equal_questions_are_asked_of_discovery_once(waiting):
    with udp(waiting) as client:
        for identity in range(50):
            client.send(query("svc_b.eas.internal", "AAAA" if identity % 2 else "A", identity))
        eventually(lambda: waiting.counter("dns_waiting") == 50)
        assert waiting.counter("reports_wanted") == 1
        found = [dns.message.from_wire(client.recv(4096)) for _ in range(50)]
    assert {reply.id for reply in found} == set(range(50))
    assert {rcode(reply) for reply in found} == {"SERVFAIL"}


def test_a_burst_of_names_is_asked_of_discovery_whole(daemon, easim):
    """The kernel queues ten reports for the daemon; those that find the queue full are not lost."""
    daemon.source(endpoint=easim.endpoint, services="*", timeout="10s")
    daemon.start()
    item = {"app": "x", "ip": "127.0.0.9", "port": 80, "weight": 1}
    easim.fault("raw", body=json.dumps({"endpoints": {"items": [item]}}))
    names = [f"s{identity}.eas.internal" for identity in range(50)]
    with tcp(daemon) as client:
        client.sendall(b"".join(frame(query(name)) for name in names))
        found = [receive_frame(client) for _ in names]
    assert {rcode(reply) for reply in found} == {"NOERROR"}
    assert daemon.counter("reports_wanted") == len(names)


def test_too_many_that_wait_are_servfail_at_once(waiting):
    # Few names, so that discovery is asked for all of them and each query has something to wait for.
    names = [f"s{identity % 50}.eas.internal" for identity in range(300)]
    queries = [query(name, identity=identity) for identity, name in enumerate(names)]
    with tcp(waiting) as client:
        client.sendall(b"".join(map(frame, queries)))
        refused = [receive_frame(client) for _ in range(300 - 256)]
        assert [reply.id for reply in refused] == list(range(256, 300))
        assert {rcode(reply) for reply in refused} == {"SERVFAIL"}
        assert waiting.counter("dns_waiting") == 256
        assert waiting.counter("dns_wait_full") == 300 - 256
        assert_served(waiting)


def test_a_client_that_leaves_while_it_waits(waiting):
    with tcp(waiting) as client:
        client.sendall(frame(query("svc_b.eas.internal")))
        eventually(lambda: waiting.counter("dns_waiting") == 1)
    with contextlib.ExitStack() as others:
        clients = [others.enter_context(tcp(waiting)) for _ in range(10)]
        eventually(lambda: waiting.counter("dns_servfail") == 1)
        for number, other in enumerate(clients):
            other.sendall(frame(query(identity=number)))
            assert receive_frame(other).id == number
