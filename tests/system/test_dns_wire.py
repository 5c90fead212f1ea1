"""The responder by UDP, checks 14 to 27 and 31: bytes that dnspython would never send. It decodes
every reply, to the last byte. "No reply" is seen by a good query behind the bad one: its reply
comes first. TCP is in test_dns_tcp.py."""

import os
import socket
import struct

import dns.edns
import dns.flags
import dns.message
import dns.update
import pytest

from tests.easim.address import free_port
from tests.system.daemon import BOUND_S, eventually
from tests.system.lookup import ask, rcode, soa
from tests.system.wire import NAME, assert_served, exchange, query, udp

QR, AA, TC, RD, RA, Z, AD, CD = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080, 0x0040, 0x0020, 0x0010
QUESTION = query()[12:]
OPT = b"\0\0\x29\x04\xd0\0\0\0\0\0\0"


def message(body=QUESTION, flags=RD, questions=1, answers=0, authorities=0, additionals=0):
    return struct.pack("!6H", 77, flags, questions, answers, authorities, additionals) + body


def name_question(labels, rdtype=1):
    """A question for labels of any bytes, in IN."""
    body = b"".join(bytes([len(label)]) + label for label in labels)
    return body + struct.pack("!BHH", 0, rdtype, 1)


ZONE_LABELS = [b"eas", b"internal"]


def assert_formerr(daemon, malformed):
    """Said in no more bytes than it took to provoke, and without what could not be read."""
    raw = exchange(daemon, malformed)
    reply = dns.message.from_wire(raw)
    assert reply.id == 77
    assert rcode(reply) == "FORMERR", malformed.hex()
    assert len(raw) <= len(malformed)
    assert not reply.answer + reply.authority + reply.additional


def counts(raw):
    return struct.unpack("!4H", raw[4:12])


# The header


def test_14_other_opcodes_are_not_implemented(running):
    """With the opcode, and without what such a message might hold: a header alone."""
    update = dns.update.Update("eas.internal")
    update.add("svc_a", 300, "A", "192.0.2.1")
    asked = [message(flags=opcode << 11 | RD) for opcode in range(1, 16)]
    for other in (*asked, update.to_wire()):
        raw = exchange(running, other)
        opcode = other[2] & 0x78
        assert raw == other[:2] + bytes([0x80 | opcode | other[2] & 1, 0x80 | 4]) + b"\0" * 8


def test_15_what_gets_no_reply(running):
    """Less than a header, and what is a reply itself."""
    silent = [b"", b"\0", message()[:11]]
    silent += [message(flags=QR | RD), message(b"", QR, 0), message(flags=QR | 4 << 11)]
    with udp(running) as client:
        for mute in silent:
            client.send(mute)
        client.send(query(identity=78))
        assert struct.unpack("!H", client.recv(4096)[:2]) == (78,)
    assert running.counter("dns_dropped") == len(silent)


def test_16_a_query_has_one_question(running):
    for malformed in (
        message(b"", questions=0),
        message(OPT, questions=0, additionals=1),
        message(QUESTION * 2, questions=2),
        message(QUESTION * 3, questions=3),
        message(QUESTION, questions=0),
    ):
        assert_formerr(running, malformed)
        assert counts(exchange(running, malformed))[0] <= 1
    assert_served(running)


def test_17_flags_are_copied_set_or_cleared(running):
    for bits in range(0, 0x800, 0x10):
        raw = exchange(running, message(flags=bits | 5))  # of the low four, a query means none
        (flags,) = struct.unpack("!H", raw[2:4])
        assert flags == QR | AA | RA | bits & (RD | CD), hex(bits)
        assert dns.message.from_wire(raw).answer


def test_18_counts_that_lie(running):
    for lie in (1, 2, 255, 65534):
        for place in ("answers", "authorities", "additionals"):
            assert_formerr(running, message(**{place: lie}))
            assert_formerr(running, message(QUESTION + OPT, **{place: lie + 1}))
        assert_formerr(running, message(QUESTION * 2, questions=lie + 1))
    assert_formerr(running, message(QUESTION + b"\0", additionals=0))
    assert_formerr(running, message(QUESTION + OPT, additionals=0))
    everywhere = {"questions": 65535, "answers": 65535, "authorities": 65535, "additionals": 65535}
    assert_formerr(running, message(QUESTION * 100, **everywhere))
    assert_served(running)


# Names


BAD_NAMES = [
    b"\xc0\x0c",  # a pointer to itself
    b"\xc0\x00",  # to the header
    b"\xc0\x10",  # forward
    b"\xff\xff",  # to nowhere
    b"\3www\xc0\x0c",  # a loop
    b"\3www\xc0\x0e",
    b"\x40abc\0",  # the reserved types 01 and 10
    b"\x41\0",
    b"\x80abc\0",
    b"\3www\x7fabc\0",
]


def test_19_pointers_and_reserved_labels(running):
    for name in BAD_NAMES:
        assert_formerr(running, message(name + b"\0\1\0\1"))
        assert_formerr(running, message(name))
        assert_formerr(running, message(name + b"\0\1\0\1" + OPT, additionals=1))
    assert_served(running)


def test_19_every_cut(running):
    whole = message(QUESTION + OPT, additionals=1)
    for size in range(12, len(whole)):
        assert_formerr(running, whole[:size])
    assert rcode(dns.message.from_wire(exchange(running, whole))) == "NOERROR"


def long_labels(size):
    """Labels below the zone whose name has that many bytes on the wire."""
    room = size - 14  # ".eas.internal" and the root take 4 + 9 + 1
    return [b"a" * 63] * 3 + [b"b" * (room - 3 * 64 - 1)] + ZONE_LABELS


def test_20_a_name_has_255_bytes_at_most(running):
    asked = message(name_question(long_labels(255)))
    assert len(asked) == 12 + 255 + 4
    reply = dns.message.from_wire(exchange(running, asked))
    assert rcode(reply) == "NXDOMAIN"
    assert soa(reply)
    for size in (256, 257, 265):
        assert_formerr(running, message(name_question(long_labels(size))))


def test_20_a_name_has_127_labels_at_most(running):
    """As many as have a byte each."""
    elsewhere = message(name_question([b"a"] * 127))
    assert rcode(dns.message.from_wire(exchange(running, elsewhere))) == "REFUSED"
    below = message(name_question([b"a"] * 120 + ZONE_LABELS))
    assert rcode(dns.message.from_wire(exchange(running, below))) == "NXDOMAIN"
    assert_formerr(running, message(name_question([b"a"] * 128)))


def test_21_any_byte_may_stand_in_a_label(running):
    labels = [b"svc_a\0", b"\0", b"svc\xffa", b"svc_a.", b"svc_a.eas"]
    labels += [b"svc\x7fa", b"svc_\x01", b"\xd3vc_a"]  # letters and `_` with another bit 0x20
    for label in labels:
        asked = name_question([label, *ZONE_LABELS])
        raw = exchange(running, message(asked))
        assert rcode(dns.message.from_wire(raw)) == "NXDOMAIN"
        assert raw[12 : 12 + len(asked)] == asked, "echoed as they came"


def test_21_only_letters_fold(running):
    asked = name_question([b"SvC_A", b"EAS", b"inTERNal"])
    raw = exchange(running, message(asked))
    assert dns.message.from_wire(raw).answer
    assert raw[12 : 12 + len(asked)] == asked
    # One label that holds a dot is not two.
    single = name_question([b"svc_a.eas", b"internal"])
    assert rcode(dns.message.from_wire(exchange(running, message(single)))) == "REFUSED"


# EDNS


def test_22_opt_is_answered_by_opt_alone(running):
    plain = dns.message.from_wire(exchange(running, message()))
    assert plain.edns == -1
    raw = exchange(running, message(QUESTION + OPT, additionals=1))
    extended = dns.message.from_wire(raw)
    assert (extended.edns, extended.payload, extended.ednsflags) == (0, 1232, 0)
    assert raw.endswith(OPT)
    for other in ("nope.eas.internal", "example.com", "eas.internal"):
        assert ask(running, other, use_edns=0).edns == 0


def test_23_other_versions_are_badvers(running):
    for version in (1, 2, 255):
        opt = OPT[:6] + bytes([version]) + OPT[7:]
        reply = dns.message.from_wire(exchange(running, message(QUESTION + opt, additionals=1)))
        assert rcode(reply) == "BADVERS"
        assert reply.edns == 0
        assert not reply.answer


def test_24_unknown_options_and_flags_are_ignored(running):
    options = [dns.edns.GenericOption(code, b"12345678") for code in (3, 8, 10, 11, 12, 65001)]
    options.append(dns.edns.GenericOption(65001, b""))
    reply = ask(running, NAME, use_edns=0, options=options, ednsflags=0x7FFF)
    assert reply.answer
    assert reply.ednsflags == 0
    assert not reply.options
    reply = ask(running, NAME, use_edns=0, ednsflags=0xFFFF, want_dnssec=True)
    assert reply.ednsflags == dns.flags.DO


def with_data(size, data=b""):
    """OPT with that length of its data, whatever there is."""
    return OPT[:9] + struct.pack("!H", size) + data


def test_25_a_wrong_opt_is_formerr(running):
    for malformed in (
        message(QUESTION + OPT + OPT, additionals=2),
        message(QUESTION + b"\3www\0" + OPT[1:], additionals=1),
        message(QUESTION + b"\xc0\x0c" + OPT[1:], additionals=1),
        message(QUESTION + OPT, answers=1),
        message(QUESTION + OPT, authorities=1),
        message(QUESTION + with_data(1), additionals=1),
        message(QUESTION + with_data(3, b"\0\x0a\0"), additionals=1),
        message(QUESTION + with_data(4, b"\0\x0a\0\1"), additionals=1),
        message(QUESTION + with_data(5, b"\0\x0a\0\2x"), additionals=1),
        message(QUESTION + with_data(65535, b"x" * 40), additionals=1),
    ):
        assert_formerr(running, malformed)
    assert_served(running)


SIZES = [0, 1, 511, 512, 513, 600, 1231, 1232, 1233, 4096, 65535]


@pytest.fixture
def large(daemon, easim):
    """Answers of 32 addresses and of 44 SRV records: more than 512 bytes, and more than 1232."""
    daemon.set("dns", answers=32)
    daemon.start()
    for _ in range(40):
        easim.add_instance("svc_a")
    daemon.wait_instances("svc_a", 44)
    return daemon


def test_26_a_reply_keeps_to_the_size_asked_for(large):
    lengths = {}
    for size in SIZES:
        for rdtype in ("A", "SRV", "ANY"):
            raw = exchange(large, query(rdtype=rdtype, use_edns=0, payload=size))
            dns.message.from_wire(raw)
            assert len(raw) <= min(max(size, 512), 1232)
            lengths[rdtype, size] = len(raw)
    assert lengths["A", 0] == lengths["A", 511] == lengths["A", 512]
    assert lengths["A", 512] < lengths["A", 600], "and uses it"
    assert len(exchange(large, query())) <= 512, "without EDNS"


def test_27_addresses_are_chosen_to_fit(large):
    for size in SIZES:
        reply = ask(large, NAME, use_edns=0, payload=size)
        assert not reply.flags & dns.flags.TC
        assert len(reply.answer[0]) >= 20
    assert len(ask(large, NAME, use_edns=0, payload=1232).answer[0]) == 32


def test_27_a_set_that_must_be_whole_sends_the_client_to_tcp(large):
    reply = ask(large, NAME, "SRV", use_edns=0, payload=4096)
    assert reply.flags & dns.flags.TC
    assert not reply.answer
    whole = ask(large, NAME, "SRV", tcp=True)
    assert not whole.flags & dns.flags.TC
    ports = {record.port for record in whole.answer[0]}
    assert ports == {port for _, port in large.instances("svc_a")}
    targets = {rrset.name.to_text(): rrset[0].address for rrset in whole.additional}
    assert targets
    for name, address in targets.items():
        assert name == f"ip-{address.replace('.', '-')}.eas.internal."


def test_srv_targets_are_not_compressed(running):
    raw = exchange(running, query(rdtype="SRV", use_edns=0, payload=1232))
    assert raw.count(b"\x03eas\x08internal\0") == 1 + 4


# Whom a reply goes to


def test_a_burst_is_answered_whole(running):
    with udp(running) as client:
        for identity in range(200):
            client.send(query(identity=identity))
        found = {struct.unpack("!H", client.recv(4096)[:2])[0] for _ in range(200)}
    assert found == set(range(200))


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
def test_31_sources_that_cannot_be_answered(daemon, wildcard):
    target = daemon.dns
    if wildcard:
        target = (daemon.dns[0], free_port("0.0.0.0"))
        daemon.set("dns", listen=f"0.0.0.0:{target[1]}", allow="127.0.0.0/8")
    daemon.start()
    for source in ((target[0], 0), target):
        spoof(source, target, query())
    eventually(lambda: daemon.counter("dns_dropped") == 2)
    assert daemon.counter("dns_queries_udp") == 2, "and nothing came back to ourselves"


@pytest.mark.skipif(os.geteuid() != 0, reason="raw sockets need root")
def test_31_two_of_our_addresses_do_not_talk_to_each_other(daemon):
    """A query that claims to come from the other one: its reply is one, and gets none."""
    other = (daemon.dns[0].rsplit(".", 1)[0] + ".54", daemon.dns[1])
    daemon.set("dns", listen="%s:%d, %s:%d" % (*daemon.dns, *other))
    daemon.start()
    spoof(other, daemon.dns, query())
    eventually(lambda: daemon.counter("dns_dropped") == 1)
    assert daemon.counter("dns_queries_udp") == 2


def test_an_address_in_use_is_named_with_the_remedy(running):
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
