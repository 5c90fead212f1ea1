"""The responder at the level of packets and bytes: what dnspython would never send, how TCP
connections live and die, queries that wait. "No reply" is seen by a good query behind the bad one:
its reply comes first."""

import contextlib
import json
import os
import socket
import struct

import dns.edns
import dns.flags
import dns.message
import dns.query
import pytest

from tests.easim.address import free_port
from tests.system.daemon import BOUND_S, eventually
from tests.system.lookup import ask, rcode
from tests.system.wire import (
    NAME,
    assert_served,
    frame,
    is_ended,
    query,
    receive_bytes,
    receive_frame,
    tcp,
    udp,
)


# UDP


@pytest.mark.parametrize(
    "silent", [b"", b"\0", query()[:11], query()[:2] + b"\x81" + query()[3:]], ids=range(4)
)
def test_what_gets_no_reply(running, silent):
    with udp(running) as client:
        client.send(silent)
        client.send(query(identity=77))
        assert struct.unpack("!H", client.recv(4096)[:2]) == (77,)
    assert running.counter("dns_dropped") == 1


@pytest.mark.parametrize(
    "malformed",
    [
        b"\0\1\1\0\0\0\0\0\0\0\0\0",
        query() + b"x",
        query()[:-1],
        query()[:5] + b"\2" + query()[6:] + query()[12:],
        b"\0\1\1\0\0\1\0\0\0\0\0\0\xc0\x0c\0\1\0\1",
        query(use_edns=0, payload=1232)[:-1],
        b"\0\1\1\0\0\1\xff\xff\xff\xff\xff\xff" + query()[12:] * 200,
    ],
    ids=range(7),
)
def test_what_is_malformed_is_formerr(running, malformed):
    with udp(running) as client:
        client.send(malformed)
        reply = client.recv(4096)
        assert reply[3] & 15 == 1
        assert len(reply) <= len(malformed)
    assert_served(running)


def test_badvers(running):
    message = dns.message.make_query(NAME, "A")
    message.use_edns(edns=1)
    reply = dns.query.udp(message, running.dns[0], port=running.dns[1], timeout=BOUND_S)
    assert rcode(reply) == "BADVERS"
    assert reply.edns == 0
    assert not reply.answer


def test_dnssec_ok_is_copied_and_options_are_not(running):
    options = [dns.edns.GenericOption(10, b"12345678"), dns.edns.GenericOption(65001, b"")]
    reply = ask(running, NAME, use_edns=0, want_dnssec=True, options=options)
    assert reply.ednsflags == dns.flags.DO
    assert not reply.options


def test_a_burst_is_answered_whole(running):
    with udp(running) as client:
        for identity in range(200):
            client.send(query(identity=identity))
        found = {struct.unpack("!H", client.recv(4096)[:2])[0] for _ in range(200)}
    assert found == set(range(200))


def test_a_set_that_must_be_whole_sends_the_client_to_tcp(running, easim):
    for _ in range(40):
        easim.add_instance("svc_a")
    running.wait_instances("svc_a", 44)
    reply = ask(running, NAME, "SRV", use_edns=0, payload=4096)
    assert reply.flags & dns.flags.TC
    assert not reply.answer
    whole = ask(running, NAME, "SRV", tcp=True)
    assert not whole.flags & dns.flags.TC
    ports = {record.port for record in whole.answer[0]}
    assert ports == {port for _, port in running.instances("svc_a")}
    targets = {rrset.name.to_text(): rrset[0].address for rrset in whole.additional}
    assert targets
    for name, address in targets.items():
        assert name == f"ip-{address.replace('.', '-')}.eas.internal."


def test_srv_targets_are_not_compressed(running):
    with udp(running) as client:
        client.send(query(rdtype="SRV", use_edns=0, payload=1232))
        assert client.recv(4096).count(b"\x03eas\x08internal\0") == 1 + 4


@pytest.mark.parametrize("listen", ["0.0.0.0", "::"])
def test_a_wildcard_socket_replies_from_the_address_that_was_asked(daemon, listen):
    host, family = daemon.dns[0], socket.AF_INET
    if listen == "::":
        listen, host, family = "[::]", "::1", socket.AF_INET6
    port = free_port("0.0.0.0")  # not only on the address of this test
    daemon.set("dns", listen=f"{listen}:{port}", allow="127.0.0.0/8")
    daemon.start()
    with socket.socket(family, socket.SOCK_DGRAM) as client:
        client.settimeout(BOUND_S)
        client.connect((host, port))  # takes replies from there alone
        client.send(query("nope.eas.internal", identity=5))
        assert struct.unpack("!H", client.recv(4096)[:2]) == (5,)


def spoof(source, target, payload):
    """A datagram with a source of our choice; bytes as the kernel wants them on loopback."""
    header = struct.pack("!4H", source[1], target[1], 8 + len(payload), 0)
    ip = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, 28 + len(payload), 0, 0, 64, socket.IPPROTO_UDP, 0,
        socket.inet_aton(source[0]), socket.inet_aton(target[0]),
    )
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        raw.sendto(ip + header + payload, (target[0], 0))


@pytest.mark.skipif(os.geteuid() != 0, reason="raw sockets need root")
@pytest.mark.parametrize("wildcard", [False, True])
def test_sources_that_cannot_be_answered(daemon, wildcard):
    target = daemon.dns
    if wildcard:
        target = (daemon.dns[0], free_port("0.0.0.0"))
        daemon.set("dns", listen=f"0.0.0.0:{target[1]}", allow="127.0.0.0/8")
    daemon.start()
    for source in ((target[0], 0), target):
        spoof(source, target, query())
    eventually(lambda: daemon.counter("dns_dropped") == 2)
    assert daemon.counter("dns_queries_udp") == 2, "and nothing came back to ourselves"


def test_several_workers(daemon):
    daemon.set("dns", workers=3)
    daemon.start()
    daemon.wait_instances("svc_a", 4)
    for _ in range(30):  # the kernel spreads clients by their port
        assert_served(daemon)
    assert daemon.counter("dns_noerror") == 60


def test_an_address_in_use_is_named_with_the_remedy(running):
    with udp(running) as client:
        client.send(query())
    first = dict(running.sections["daemon"])
    for key in ("runtime-dir", "state-dir"):
        running.sections["daemon"][key] = running.directory / ("second-" + key)
    running.write_config()
    second = running.run()
    running.sections["daemon"] = first
    assert second.returncode != 0
    endpoint = "%s:%d" % running.dns
    assert f"cannot listen on {endpoint} (UDP): Address already in use" in second.stderr
    assert "ss -lunp" in second.stderr


# TCP


def test_pipelined_queries(running):
    with tcp(running) as client:
        client.sendall(b"".join(frame(query(identity=number)) for number in range(300)))
        assert [receive_frame(client).id for _ in range(300)] == list(range(300))


def test_pipelined_large_replies_to_a_slow_reader(running, easim):
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


def test_byte_by_byte(running):
    with tcp(running) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in frame(query(identity=1)) + frame(query(identity=2)):
            client.send(bytes([byte]))
        assert [receive_frame(client).id for _ in range(2)] == [1, 2]


def test_a_half_closed_connection_is_answered(running):
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
def test_a_bad_frame_ends_its_connection_alone(running, bad):
    with tcp(running) as other, tcp(running) as client:
        client.sendall(bad)
        assert is_ended(client)
        other.sendall(frame(query(identity=9)))
        assert receive_frame(other).id == 9
    assert_served(running)


def test_idle_connections_lock_nobody_out(running):
    with contextlib.ExitStack() as clients:
        idle = [clients.enter_context(tcp(running)) for _ in range(150)]
        assert_served(running)
        idle[-1].sendall(frame(query(identity=3)))
        assert receive_frame(idle[-1]).id == 3, "the youngest are kept"
        assert is_ended(idle[0]), "the oldest made room"
    assert running.counter("dns_tcp_closed_idle") >= 150 + 1 - 128


def test_idle_and_partial_connections_are_closed(running):
    """The responder's own time-outs, 10 s and 2 s; only their order is asserted."""
    with tcp(running) as idle, tcp(running) as partial:
        partial.sendall(frame(query())[:9])
        assert is_ended(partial)
        assert running.counter("dns_tcp_closed_idle") == 1
        assert is_ended(idle)


# Queries that wait for a name on demand


@pytest.fixture
def waiting(daemon, easim):
    """A daemon that knows svc_a, and whose discovery then no longer answers for other names."""
    daemon.source(endpoint=easim.endpoint, services="svc_a,*", timeout="2s")
    daemon.start()
    daemon.wait_instances("svc_a", 4)
    easim.fault("hang")
    return daemon


def test_a_query_that_waits_is_overtaken(waiting):
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
