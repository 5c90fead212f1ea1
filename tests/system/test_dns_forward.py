"""Forwarding against upstreams that lie, are silent, or break what they say.

A test's number is that of the heading it stands below. Silence costs seconds, and no test measures
them: that a reply comes at all is what is asserted, and by what means, as counters and the
upstream's record tell. An upstream may be asked again on a machine that is slow, so that what came
out of the cache is told by the counter of hits.
"""

import contextlib
import re
import selectors
import socket
import struct
import threading

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rdataclass
import dns.rdatatype
import pytest

from tests.easim.address import free_port
from tests.system.daemon import BOUND_S, Daemon, eventually
from tests.system.lookup import addresses, ask, rcode
from tests.system.upstream import (
    Asked,
    Last,
    Upstream,
    another_id,
    another_name,
    answer,
    bare,
    before,
    changed,
    elsewhere,
    failure,
    negative,
    silent,
    truncated,
    without_edns,
)
from tests.system.wire import assert_served, frame, query, receive_frame, tcp, udp

NAME = "www.example.com"
RIGHT = answer("300 A 10.9.8.7")
WRONG = answer("300 A 10.6.6.6")
WRONG_WITHOUT_EDNS = answer("300 A 10.6.6.6", edns=False)


@pytest.fixture
def upstream():
    with Upstream() as scripted:
        yield scripted


@pytest.fixture
def second():
    with Upstream() as scripted:
        yield scripted


@pytest.fixture
def forward(daemon):
    """Starts crowflyd with these upstreams and keys of [dns]."""

    def start(*upstreams, **keys):
        daemon.set("dns", upstream=",".join("%s:%d" % u.endpoint for u in upstreams), **keys)
        daemon.start()
        daemon.wait_instances("svc_a", 4)
        return daemon

    return start


@pytest.fixture
def forwarding(forward, upstream):
    """With one upstream."""
    return forward(upstream)


def ask_many(daemon, names, rdtype="A"):
    """Asks for all of the names at once, each with id 7; the replies in the order they came."""
    with udp(daemon) as client:
        for start in range(0, len(names), 20):  # not so many that a slow upstream seems silent
            part = names[start : start + 20]
            for name in part:
                client.send(query(name, rdtype, identity=7))
            for _ in part:
                yield dns.message.from_wire(client.recv(65535))


# 32: what a forger has to guess


def test_32_ids_and_ports_are_fresh(forwarding, upstream):
    names = [f"n{i}.example.com" for i in range(1000)]
    replies = list(ask_many(forwarding, names))
    assert all(reply.id == 7 and addresses(reply) == ["192.0.2.1"] for reply in replies)
    asked = [one for one in upstream.asked() if one.name.endswith("example.com")]
    assert {one.name for one in asked} == set(names)
    # 1000 draws of 65536 repeat 8 times on average.
    assert len({one.id for one in asked}) > 950
    steps = {(b.id - a.id) % 65536 for a, b in zip(asked, asked[1:])}
    assert len(steps) > 950
    assert len({one.port for one in asked}) >= 64


def test_32_mixed_case(forward, upstream):
    daemon = forward(upstream, mixed_case="yes")
    for i in range(10):
        name = f"the-quick-brown-fox-{i}.Jumps.example.com"
        reply = ask(daemon, name)
        assert reply.question[0].name.to_text() == name + "."
        asked = upstream.asked(name)[0]
        assert asked.name not in (asked.name.lower(), name)
        assert asked.name.lower() == name.lower()


def test_32_a_reply_in_another_case_is_not_believed(forward, upstream, second):
    def lower(wire):
        wire[12:] = wire[12:].lower()

    name = "the-quick-brown-fox-jumps.example.com"
    upstream.on(name, changed(WRONG, lower))
    daemon = forward(upstream, second, mixed_case="yes")
    assert addresses(ask(daemon, name)) == ["192.0.2.1"]
    assert upstream.asked(name) and second.asked(name)
    assert daemon.counter("forward_malformed") >= 1


# 33: replies to others' questions


@pytest.mark.parametrize(
    "wrong",
    [changed(WRONG, another_id), changed(WRONG, another_name), elsewhere(WRONG)],
    ids=["id", "question", "source"],
)
def test_33_waiting_goes_on_after_what_is_not_the_reply(forwarding, upstream, wrong):
    upstream.on(NAME, before(wrong, RIGHT))
    assert addresses(ask(forwarding, NAME)) == ["10.9.8.7"]
    assert addresses(ask(forwarding, NAME)) == ["10.9.8.7"]
    assert forwarding.counter("forward_hits") == 1


def test_33_a_type_or_class_that_was_not_asked_for(forwarding, upstream):
    def another_type(wire):
        wire[12 + len(NAME) + 3] = 28

    upstream.on(NAME, before(changed(WRONG, another_type), RIGHT))
    assert addresses(ask(forwarding, NAME)) == ["10.9.8.7"]


def test_33_a_query_is_no_reply(forwarding, upstream):
    def as_query(wire):
        wire[2] &= 0x7F

    upstream.on(NAME, changed(WRONG, as_query))
    assert rcode(ask(forwarding, NAME)) == "SERVFAIL"


# 34: out of the cache


def test_34_ttls_count_down(forwarding, upstream):
    upstream.on(NAME, answer("300 A 10.9.8.7"))
    assert ask(forwarding, NAME).answer[0].ttl == 300
    seen = []

    def has_fallen_twice():
        seen.append(ask(forwarding, NAME).answer[0].ttl)
        return len(set(seen)) > 2

    eventually(has_fallen_twice)
    assert seen == sorted(seen, reverse=True)
    assert forwarding.counter("forward_hits") == len(seen)


def test_34_hits_have_the_case_and_the_id_of_who_asked(forwarding, upstream):
    upstream.on(NAME, RIGHT)
    ask(forwarding, NAME)
    with udp(forwarding) as client:
        for identity, name in ((1, "WWW.example.com"), (65535, "www.EXAMPLE.com"), (0, NAME)):
            client.send(query(name, identity=identity))
            reply = dns.message.from_wire(client.recv(4096))
            assert reply.id == identity
            assert reply.question[0].name.to_text(True) == name
            assert reply.answer[0].name.to_text(True) == name
            assert reply.flags & dns.flags.RA and not reply.flags & dns.flags.AA
    assert forwarding.counter("forward_hits") == 3


@pytest.mark.parametrize("rdtype", ["A", "AAAA"])
def test_34_sets_turn(forwarding, upstream, rdtype):
    hosts = [f"10.0.0.{i}" if rdtype == "A" else f"2001:db8::{i}" for i in range(1, 6)]
    upstream.on(
        NAME, answer("9 CNAME o.example.", *(f"o.example. 9 {rdtype} {host}" for host in hosts))
    )
    firsts = set()
    for _ in range(20):
        found = addresses(ask(forwarding, NAME, rdtype))
        assert sorted(found) == hosts
        firsts.add(found[0])
    assert firsts == set(hosts)


def test_34_sets_turn_for_who_asks_for_both_families(forwarding, upstream):
    """As getaddrinfo() does: with one counter, A would always find it even, and begin with the same."""
    hosts = ["10.0.0.1", "10.0.0.2"]
    upstream.on(NAME, answer(*(f"9 A {host}" for host in hosts)))
    upstream.on(NAME, answer("9 AAAA 2001:db8::1", "9 AAAA 2001:db8::2"), rdtype="AAAA")
    ask(forwarding, NAME, "A")
    ask(forwarding, NAME, "AAAA")
    firsts = []
    for _ in range(6):
        firsts.append(addresses(ask(forwarding, NAME, "A"))[0])
        ask(forwarding, NAME, "AAAA")
    assert firsts in (hosts * 3, hosts[::-1] * 3)


def test_34_do_and_cd_are_other_questions(forwarding, upstream):
    upstream.on(NAME, RIGHT)
    cd = dns.flags.RD | dns.flags.CD
    for _ in range(2):
        assert ask(forwarding, NAME).edns == -1
        assert ask(forwarding, NAME, use_edns=0, want_dnssec=True).ednsflags == dns.flags.DO
        assert ask(forwarding, NAME, flags=cd).flags & dns.flags.CD
    assert forwarding.counter("forward_hits") == 3
    seen = {
        (bool(one.query.ednsflags & dns.flags.DO), bool(one.query.flags & dns.flags.CD))
        for one in upstream.asked(NAME)
    }
    assert seen == {(False, False), (True, False), (False, True)}


# 35: denials


def asked_for_twice(daemon, upstream, behaviour):
    """What two questions for the same get; and whether the second came out of the cache."""
    upstream.on(NAME, behaviour)
    replies = [ask(daemon, NAME), ask(daemon, NAME)]
    return replies, daemon.counter("forward_hits") == 1


@pytest.mark.parametrize("code", ["NXDOMAIN", "NOERROR"])
def test_35_denials_are_kept_as_their_soa_says(forwarding, upstream, code):
    (first, then), was_kept = asked_for_twice(
        forwarding, upstream, negative(code, ttl=86400, minimum=90000, owner="com.")
    )
    assert rcode(first) == rcode(then) == code
    assert was_kept
    assert first.authority[0].ttl == 3600
    assert then.authority[0].ttl <= 3600
    assert then.authority[0].name == dns.name.from_text("com")


def test_35_the_smaller_of_ttl_and_minimum(forwarding, upstream):
    (first, _), was_kept = asked_for_twice(forwarding, upstream, negative(ttl=600, minimum=77))
    assert was_kept
    assert first.authority[0].ttl == 77


@pytest.mark.parametrize(
    "behaviour",
    [
        answer(rcode="NXDOMAIN"),
        answer(),
        answer("60 CNAME gone.example."),
        answer(authority=["com. 60 NS ns.example."]),
        negative(minimum=0),
        negative(ttl=0),
        answer("0 A 10.9.8.7"),
        answer("60 A 10.9.8.7", additional=["ns.example. 0 A 10.0.0.1"]),
    ],
    ids=["nx", "nodata", "alias", "referral", "minimum-0", "soa-0", "a-0", "additional-0"],
)
def test_35_what_is_not_kept(forwarding, upstream, behaviour):
    (first, then), was_kept = asked_for_twice(forwarding, upstream, behaviour)
    assert rcode(first) == rcode(then)
    assert first.answer == then.answer
    assert not was_kept


def test_35_an_alias_of_nothing_is_kept_with_its_soa(forwarding, upstream):
    (_, then), was_kept = asked_for_twice(
        forwarding,
        upstream,
        answer("60 CNAME gone.example.", authority=["example. 60 SOA a. b. 1 2 3 4 50"]),
    )
    assert was_kept
    assert then.answer[0].rdtype == dns.rdatatype.CNAME
    assert then.answer[0].ttl <= 50


# 36: failures


@pytest.mark.parametrize("code", ["SERVFAIL", "REFUSED", "NOTIMP"])
def test_36_the_next_upstream_is_asked(forward, upstream, second, code):
    upstream.on(NAME, failure(code))
    second.on(NAME, RIGHT)
    daemon = forward(upstream, second)
    assert addresses(ask(daemon, NAME)) == ["10.9.8.7"]
    assert upstream.asked(NAME) and second.asked(NAME)


@pytest.mark.parametrize("code", ["SERVFAIL", "REFUSED"])
def test_36_a_failure_of_all_is_passed_on_and_kept_for_a_moment(forward, upstream, second, code):
    upstream.on(NAME, failure(code))
    second.on(NAME, failure(code))
    daemon = forward(upstream, second)
    assert rcode(ask(daemon, NAME)) == code

    def was_hit():
        before_it = daemon.counter("forward_hits")
        assert rcode(ask(daemon, NAME)) == code
        return daemon.counter("forward_hits") > before_it

    eventually(was_hit, what="a failure out of the cache")
    # It is gone after 5 s, and what is right comes through.
    upstream.on(NAME, RIGHT)
    eventually(lambda: addresses(ask(daemon, NAME)) == ["10.9.8.7"])


# 37: TC


def test_37_what_is_truncated_is_asked_by_tcp(forwarding, upstream):
    lines = [f"60 A 10.1.{i // 250}.{i % 250 + 1}" for i in range(1000)]
    upstream.on(NAME, truncated(answer(*lines)))
    by_udp = ask(forwarding, NAME, use_edns=0, payload=4096)
    assert by_udp.flags & dns.flags.TC
    assert len(by_udp.to_wire()) <= 1232
    whole = ask(forwarding, NAME, tcp=True)
    assert not whole.flags & dns.flags.TC
    assert len(addresses(whole)) == 1000
    assert {one.tcp for one in upstream.asked(NAME)} == {False, True}


def test_37_connections_end_with_what_is_asked_over_them(forwarding, upstream):
    # Servers have few: dnsmasq 20, for all of its clients.
    upstream.default = truncated(answer("60 A 10.9.8.7"))
    for i in range(30):
        assert addresses(ask(forwarding, f"n{i}.example.com")) == ["10.9.8.7"]
    assert forwarding.counter("forward_tcp") >= 30
    eventually(lambda: upstream.connections == 0, what="the end of all connections")


def test_37_a_cut_record_in_a_truncated_reply(forwarding, upstream):
    cut = changed(answer("60 A 10.6.6.6", flags=dns.flags.TC), lambda wire: wire[:-7])
    upstream.on(NAME, truncated(RIGHT, by_udp=cut))
    assert addresses(ask(forwarding, NAME)) == ["10.9.8.7"]


def test_37_what_fits_without_its_additional_records_is_not_truncated(forwarding, upstream):
    glue = [f"ns{i}.example. 60 A 10.0.0.{i}" for i in range(1, 60)]
    upstream.on(NAME, answer("60 A 10.9.8.7", additional=glue))
    reply = ask(forwarding, NAME)
    assert not reply.flags & dns.flags.TC
    assert addresses(reply) == ["10.9.8.7"]
    assert not reply.additional
    assert len(ask(forwarding, NAME, tcp=True).additional) == 59


def test_37_who_cannot_come_back_by_tcp_has_what_fits(forwarding, upstream):
    hosts = [f"10.0.0.{i}" for i in range(1, 101)]
    upstream.on(NAME, truncated(answer(*(f"60 A {host}" for host in hosts))))
    reply = ask(forwarding, NAME)
    assert reply.flags & dns.flags.TC
    assert len(addresses(reply)) == (512 - 12 - len(NAME) - 2 - 4) // 16
    assert set(addresses(reply)) < set(hosts)


@pytest.mark.parametrize("records", [100, 600])
def test_37_an_upstream_that_sends_more_than_it_may(forwarding, upstream, records):
    """By UDP and without TC; the second is more than any buffer for it."""
    upstream.on(NAME, answer(*(f"60 A 10.1.{i // 250}.{i % 250 + 1}" for i in range(records))))
    assert len(addresses(ask(forwarding, NAME, tcp=True))) == records


@pytest.mark.parametrize(
    "end",
    [b"", b"\0", b"\0\x40abc", b"\0\0", b"\xff\xff" + bytes(1000), b"\0\x0c" + bytes(12)],
    ids=["nothing", "half-a-length", "cut", "empty", "too-long", "not-asked"],
)
def test_37_connections_that_end_badly(forward, upstream, second, end):
    upstream.on(NAME, truncated(lambda asked: [Last(end)]))
    second.on(NAME, RIGHT)
    assert addresses(ask(forward(upstream, second), NAME)) == ["10.9.8.7"]


# 38: what passes through, and what does not

RECORDS = [
    "60 MX 10 mail.example.com.",
    "60 NS ns.example.com.",
    "60 TXT \"one\" \"two\"",
    "60 SOA ns.example.com. nobody.example.com. 1 2 3 4 5",
    "60 AAAA 2001:db8::1",
    "60 SRV 1 2 3 target.example.com.",
    "60 NAPTR 100 10 \"s\" \"SIP+D2U\" \"\" _sip._udp.example.com.",
    "60 CAA 0 issue \"ca.example.net\"",
    "60 DS 1 13 2 " + "ab" * 32,
    "60 HTTPS 1 . alpn=h2 ipv4hint=10.0.0.1",
    "60 HINFO \"cpu\" \"os\"",
    "60 RP a.example.com. b.example.com.",
    "60 AFSDB 1 a.example.com.",
    "60 LOC 52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m",
    "60 NSEC b.example.com. A RRSIG NSEC",
    "60 TLSA 3 1 1 " + "cd" * 32,
    "60 DNAME other.example.",
]


def test_38_records_of_every_kind_pass_untouched(forwarding, upstream):
    """As dnspython compresses and reads them."""
    glue = ["mail.example.com. 60 A 10.0.0.1", "target.example.com. 60 A 10.0.0.2"]
    upstream.on(NAME, answer(*RECORDS, authority=RECORDS[:2], additional=glue))
    sent = dns.message.from_wire(
        answer(*RECORDS, authority=RECORDS[:2], additional=glue)(
            Asked(b"", ("", 0), True, dns.message.make_query(NAME, "MX", use_edns=False))
        )[0]
    )
    for _ in range(2):
        told = ask(forwarding, NAME, "MX", tcp=True)
        for section in ("answer", "authority", "additional"):
            assert getattr(told, section) == getattr(sent, section)


def test_38_the_longest_names(forwarding, upstream):
    for labels in ([b"x"] * 127, [b"y" * 63] * 3 + [b"z" * 61]):
        name = dns.name.Name([*labels, b""])
        for _ in range(2):
            assert addresses(ask(forwarding, name)) == ["192.0.2.1"]
    assert forwarding.counter("forward_hits") == 2


def test_38_a_ttl_above_31_bits_is_not_kept(forwarding, upstream):
    """RFC 2181 8."""

    def highest(wire):
        wire[-10:-6] = b"\x80\0\0\0"

    upstream.on(NAME, changed(answer("60 A 10.9.8.7", edns=False), highest))
    for _ in range(2):
        assert addresses(ask(forwarding, NAME)) == ["10.9.8.7"]
    assert forwarding.counter("forward_hits") == 0


def test_38_unknown_types_pass_untouched(forwarding, upstream):
    data = rb"\# 6 c00c00ffffff"
    upstream.on(NAME, answer(f"60 TYPE65400 {data.decode()}"))
    for _ in range(2):
        reply = ask(forwarding, NAME, "TYPE65400")
        assert reply.answer[0][0].data == bytes.fromhex("c00c00ffffff")


def test_38_signatures_pass_untouched(forwarding, upstream):
    signature = (
        "60 RRSIG A 13 3 60 20300101000000 20200101000000 1 example.com. "
        "oJB1W6WNGv+ldvQ3WDG0MQkg5IEhjRip8WTrPYGv07h108dUKGMeDPKijVCHX3DDKdfb+v6o"
    )
    upstream.on(NAME, answer("60 A 10.9.8.7", signature))
    reply = ask(forwarding, NAME, use_edns=0, want_dnssec=True)
    assert {rrset.rdtype for rrset in reply.answer} == {dns.rdatatype.A, dns.rdatatype.RRSIG}


def test_38_options_between_neighbours_are_not_passed_on(forwarding, upstream):
    options = [dns.edns.GenericOption(code, b"x" * 8) for code in (3, 8, 10, 11, 12, 65001)]

    def with_options(asked):
        reply = dns.message.make_response(asked.query)
        reply.use_edns(0, options=options, payload=1232)
        return [reply.to_wire()]

    upstream.on(NAME, with_options)
    reply = ask(forwarding, NAME, use_edns=0, options=options, payload=4096)
    assert reply.edns == 0 and not reply.options and reply.payload == 1232
    asked = upstream.asked(NAME)[-1]
    assert not asked.query.options
    assert asked.query.payload == 1232


def test_38_ad_is_what_the_upstream_said_for_those_who_ask(forwarding, upstream):
    upstream.on(NAME, answer("60 A 10.9.8.7", flags=dns.flags.AD))
    upstream.on("plain.example", RIGHT)
    ad = dns.flags.RD | dns.flags.AD
    for _ in range(2):  # from the upstream, and from the cache
        assert not ask(forwarding, NAME).flags & dns.flags.AD
        assert ask(forwarding, NAME, flags=ad).flags & dns.flags.AD
        assert ask(forwarding, NAME, use_edns=0, want_dnssec=True).flags & dns.flags.AD
        assert not ask(forwarding, "plain.example", flags=ad).flags & dns.flags.AD
    assert not ask(forwarding, "svc_a.eas.internal", flags=ad).flags & dns.flags.AD


# 39: equal questions


def ask_together(forwarding, upstream, name):
    """23 equal questions, answered once all of them wait. False if that took so long that crowflyd
    had given up on some of them, as it may on a machine that is busy."""
    upstream.hold(name)
    names = [name, name.upper(), name.title()]
    before = forwarding.counter("forward_coalesced")
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(udp(forwarding)) for _ in range(10)]
        streams = [stack.enter_context(tcp(forwarding)) for _ in range(3)]
        for number, client in enumerate(clients):
            client.send(query(names[number % 3], identity=number))
            client.send(query(names[number % 3], identity=100 + number))
        for number, stream in enumerate(streams):
            stream.sendall(frame(query(names[number % 3], identity=number)))
        eventually(lambda: forwarding.counter("forward_coalesced") >= before + 22)
        upstream.release(RIGHT)
        found = []
        for number, client in enumerate(clients):
            replies = [dns.message.from_wire(client.recv(4096)) for _ in range(2)]
            assert {reply.id for reply in replies} == {number, 100 + number}
            for reply in replies:
                assert reply.question[0].name.to_text(True) == names[number % 3]
                found.append(addresses(reply))
        for number, stream in enumerate(streams):
            reply = receive_frame(stream)
            assert reply.id == number
            found.append(addresses(reply))
    assert all(each in ([], ["10.9.8.7"]) for each in found)
    return all(found)


def test_39_equal_questions_are_asked_once(forwarding, upstream):
    names = (f"equal{i}.example" for i in range(5))
    name = next((name for name in names if ask_together(forwarding, upstream, name)), None)
    assert name is not None
    # 23 questions; one, and again only because nobody answered for so long.
    assert len(upstream.asked(name)) <= 5


def test_39_many_askers_are_answered_from_where_they_asked(daemon, upstream):
    """Their replies leave together, more than go into one system call, by two sockets in turn."""
    address = daemon.dns[0]
    ports = daemon.dns[1], free_port(address)
    listen = ",".join(f"{address}:{port}" for port in ports)
    daemon.set("dns", listen=listen, upstream="%s:%d" % upstream.endpoint)
    daemon.start()
    upstream.hold(NAME)
    with contextlib.ExitStack() as stack:
        clients = []
        for number in range(100):
            client = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            client.settimeout(BOUND_S)
            client.connect((address, ports[number // 10 % 2]))  # which hears that one alone
            client.send(query(NAME, identity=number))
            clients.append(client)
        eventually(lambda: daemon.counter("forward_coalesced") == 99)
        upstream.release(RIGHT)
        for number, client in enumerate(clients):
            reply = dns.message.from_wire(client.recv(4096))
            assert reply.id == number
            assert addresses(reply) == ["10.9.8.7"]
    assert daemon.counter("dns_unsent") == 0


def test_39_a_and_aaaa_of_one_socket_do_not_wait_for_each_other(forwarding, upstream):
    upstream.on(NAME, RIGHT, "A")
    upstream.on(NAME, None, "AAAA")
    with udp(forwarding) as client:
        client.send(query(NAME, "AAAA", identity=1))
        client.send(query(NAME, "A", identity=2))
        assert dns.message.from_wire(client.recv(4096)).id == 2
        upstream.release(negative("NOERROR"))
        assert dns.message.from_wire(client.recv(4096)).id == 1


def test_39_askers_who_left_are_no_harm(forwarding, upstream):
    upstream.hold(NAME)
    with udp(forwarding) as client, tcp(forwarding) as stream:
        client.send(query(NAME))
        stream.sendall(frame(query(NAME)))
        upstream.wait(NAME)
        eventually(lambda: forwarding.counter("forward_coalesced") == 1)
    upstream.release(RIGHT)
    assert addresses(ask(forwarding, NAME)) == ["10.9.8.7"]
    assert_served(forwarding)


# 40: silence


def test_40_another_upstream_answers_for_a_silent_one(forward, upstream, second):
    upstream.default = silent
    second.on(NAME, RIGHT)
    daemon = forward(upstream, second)
    assert addresses(ask(daemon, NAME)) == ["10.9.8.7"]
    assert upstream.asked(NAME) and second.asked(NAME)


def test_40_when_all_are_silent_the_asker_is_told(forward, upstream, second):
    upstream.default = second.default = silent
    daemon = forward(upstream, second)
    with udp(daemon) as client:
        client.settimeout(BOUND_S)
        client.send(query(NAME))
        assert rcode(dns.message.from_wire(client.recv(4096))) == "SERVFAIL"
    assert daemon.counter("forward_failed") == 1
    assert_served(daemon)


def test_40_a_late_reply_is_no_harm(forwarding, upstream):
    upstream.hold(NAME)
    assert rcode(ask(forwarding, NAME)) == "SERVFAIL"
    upstream.release(RIGHT)
    upstream.on("other.example", RIGHT)
    assert addresses(ask(forwarding, "other.example")) == ["10.9.8.7"]


def test_40_a_late_reply_is_heard_after_quick_ones(forwarding, upstream):
    """c-ares 1.34 would wait for five times as long as replies to a port took, and count that each
    second: the fourth query leaves 1.74 s after the first."""
    assert len(list(ask_many(forwarding, [f"n{i}.example" for i in range(800)]))) == 800
    upstream.on(NAME, silent)
    with udp(forwarding) as client:
        client.send(query(NAME))
        upstream.wait(NAME, count=4)
        first = upstream.asked(NAME)[0]
        upstream.forge(first, *RIGHT(first))
        assert addresses(dns.message.from_wire(client.recv(4096))) == ["10.9.8.7"]


def test_40_a_silent_name_does_not_condemn_the_upstream(forward, upstream, second):
    upstream.on(NAME, silent)
    second.on(NAME, silent)
    daemon = forward(upstream, second)
    with udp(daemon) as client:
        for identity in range(3):
            client.send(query(NAME, identity=identity))
            assert rcode(dns.message.from_wire(client.recv(4096))) == "SERVFAIL"
    for number in range(20):
        ask(daemon, f"n{number}.example")
    assert not [one for one in second.asked() if re.match(r"n\d+\.example", one.name)]
    assert not daemon.log_lines("silent")


def test_40_an_upstream_that_is_back_is_asked_again(forward, upstream, second):
    upstream.default = silent
    daemon = forward(upstream, second)
    for number in range(5):
        assert addresses(ask(daemon, f"n{number}.example")) == ["192.0.2.1"]
    daemon.wait_log("is silent")
    upstream.default = answer("3600 A 192.0.2.2")
    names = (f"m{number}.example" for number in range(10000))
    eventually(lambda: addresses(ask(daemon, next(names))) == ["192.0.2.2"])
    daemon.wait_log("answers again")


@pytest.mark.parametrize("by_tcp", [False, True])
def test_40_an_upstream_that_is_not_there(forward, upstream, second, by_tcp):
    """A closed port; and one that is open for UDP alone, and says TC."""
    if by_tcp:
        upstream.on(NAME, truncated(silent))
    else:
        upstream.close()
    second.on(NAME, RIGHT)
    assert addresses(ask(forward(upstream, second), NAME)) == ["10.9.8.7"]


# 41: what is malformed


def replaced(size, data):
    """The last bytes become others."""

    def change(wire):
        wire[len(wire) - size :] = data

    return change


def counts(*values):
    def change(wire):
        wire[6:12] = struct.pack("!HHH", *values)

    return change


RECORD = 16  # bytes of the only one, an A record whose owner is a pointer; it stands at 0x21
FIXED_A = b"\0\1\0\1\0\0\0\x3c\0\4\1\1\1\1"  # behind another owner
MALFORMED = {
    "cut": lambda wire: wire[:-1],
    "longer": lambda wire: wire + b"x",
    "count-too-small": counts(0, 0, 0),
    "count-too-large": counts(2, 0, 0),
    "counts-of-65535": counts(65535, 65535, 65535),
    "rdlength-too-small": replaced(6, b"\0\3\1\1\1"),
    "rdlength-too-large": replaced(6, b"\0\xff\1\1\1\1"),
    "a-of-5-bytes": replaced(6, b"\0\5\1\1\1\1\1"),
    "owner-points-to-itself": replaced(RECORD, b"\xc0\x21" + FIXED_A),
    "owner-points-forward": replaced(RECORD, b"\xc0\x30" + FIXED_A),
    "owner-points-to-the-header": replaced(RECORD, b"\xc0\0" + FIXED_A),
    "owner-points-nowhere": replaced(RECORD, b"\xff\xff" + FIXED_A),
    "owner-of-a-reserved-type": replaced(RECORD, b"\x80x\0" + FIXED_A),
    "cname-points-to-itself": replaced(RECORD, b"\xc0\x0c\0\5\0\1\0\0\0\x3c\0\2\xc0\x2d"),
    "cname-beyond-its-data": replaced(RECORD, b"\xc0\x0c\0\5\0\1\0\0\0\x3c\0\1\1x\0"),
    "another-class": replaced(RECORD, b"\xc0\x0c\0\1\0\3\0\0\0\x3c\0\4\1\1\1\1"),
    "opt-in-the-answer": replaced(RECORD, b"\0\0\x29\4\xd0\0\0\0\0\0\0"),
}
# What does not even name the question might be anybody's.
NOBODYS = {
    "empty": lambda wire: b"",
    "half-a-header": lambda wire: wire[:6],
    "header": lambda wire: wire[:12],
    "no-question": lambda wire: wire[:4] + b"\0\0" + wire[6:],
    "two-questions": lambda wire: wire[:4] + b"\0\2" + wire[6:],
}


def malformed(change):
    """10.6.6.6, in a reply without OPT that was changed."""

    def behave(asked):
        wire = bytearray(WRONG_WITHOUT_EDNS(asked)[0])
        broken = change(wire)
        return [bytes(wire if broken is None else broken)]

    return behave


@pytest.mark.parametrize("name", MALFORMED)
def test_41_a_malformed_answer_is_servfail(forwarding, upstream, name):
    upstream.on(NAME, malformed(MALFORMED[name]))
    reply = ask(forwarding, NAME)
    assert rcode(reply) == "SERVFAIL"
    assert not reply.answer
    assert forwarding.counter("forward_malformed") >= 1
    assert addresses(ask(forwarding, "other.example")) == ["192.0.2.1"]


@pytest.mark.parametrize("name", NOBODYS)
def test_41_what_names_no_question_is_ignored(forwarding, upstream, name):
    upstream.on(NAME, before(malformed(NOBODYS[name]), RIGHT))
    assert addresses(ask(forwarding, NAME)) == ["10.9.8.7"]


def test_41_another_upstream_is_asked(forward, upstream, second):
    upstream.on(NAME, changed(WRONG, lambda wire: wire + b"x"))
    second.on(NAME, RIGHT)
    assert addresses(ask(forward(upstream, second), NAME)) == ["10.9.8.7"]


def test_41_long_chains_pass(forwarding, upstream):
    chain = [f"n{i}.example. 60 CNAME n{i + 1}.example." for i in range(30)]
    upstream.on(NAME, answer("60 CNAME n0.example.", *chain, "n30.example. 60 A 10.9.8.7"))
    for _ in range(2):
        assert addresses(ask(forwarding, NAME, use_edns=0, payload=1232)) == ["10.9.8.7"]
    assert forwarding.counter("forward_hits") == 1


def test_41_labels_of_any_bytes(forwarding, upstream):
    name = dns.name.Name([b"a.b\0\xffC", b"example", b""])
    wire = dns.message.make_query(name, "A", use_edns=False).to_wire()
    with udp(forwarding) as client:
        for _ in range(2):
            client.send(wire)
            reply = dns.message.from_wire(client.recv(4096))
            assert reply.question[0].name.labels == name.labels
            assert addresses(reply) == ["192.0.2.1"]
    assert upstream.asked()[-1].query.question[0].name.labels == name.labels
    assert forwarding.counter("forward_hits") == 1


def test_41_labels_of_any_bytes_by_tcp(forwarding, upstream):
    """Many at once, in one connection and more."""
    upstream.default = truncated(RIGHT)
    wires = []
    for i in range(100):
        name = dns.name.Name([b"n%d \xff" % (i // 2), b"_tcp" if i % 2 else b"o!k", b"example", b""])
        wires.append(dns.message.make_query(name, "A", use_edns=False).to_wire())
    with udp(forwarding) as client:
        for wire in wires:
            client.send(wire)
        for _ in wires:
            assert addresses(dns.message.from_wire(client.recv(4096))) == ["10.9.8.7"]
    sent = {dns.message.from_wire(wire).question[0].name for wire in wires}
    for tcp_too in (False, True):
        asked = {one.query.question[0].name for one in upstream.asked() if one.tcp == tcp_too}
        assert {name for name in asked if name.labels[-2] == b"example"} == sent


# 42: stale answers


@pytest.mark.parametrize(
    "outage",
    [failure("SERVFAIL"), failure("REFUSED"), silent],
    ids=["servfail", "refused", "silent"],
)
def test_42_a_stale_answer_serves_while_upstreams_fail(forwarding, upstream, outage):
    upstream.on(NAME, answer("1 A 10.9.8.7"))
    assert addresses(ask(forwarding, NAME)) == ["10.9.8.7"]
    upstream.on(NAME, outage)

    def is_stale():
        reply = ask(forwarding, NAME)
        assert addresses(reply) == ["10.9.8.7"]
        assert reply.answer[0].ttl <= 30
        return forwarding.counter("forward_stale")

    eventually(is_stale, what="a stale answer")
    assert len(upstream.asked(NAME)) >= 2
    upstream.on(NAME, answer("300 A 10.1.1.1"))
    eventually(lambda: addresses(ask(forwarding, NAME)) == ["10.1.1.1"])


def test_42_a_failure_is_never_served_stale(forwarding, upstream):
    upstream.on(NAME, failure("SERVFAIL"))
    for _ in range(3):
        assert rcode(ask(forwarding, NAME)) == "SERVFAIL"
    assert forwarding.counter("forward_stale") == 0


# 43: loops


@pytest.mark.parametrize(
    "listen, spelling",
    [
        ("127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),
        ("0.0.0.0", "127.1.2.3"),
        ("0.0.0.0", "0.0.0.0"),
        ("0.0.0.0", "[::ffff:127.0.0.1]"),
        ("[::]", "[::1]"),
        ("[::]", "[::]"),
        ("[::1]", "[::1]"),
    ],
)
def test_43_ourselves_as_upstream(daemon, listen, spelling):
    """A socket of [::] is for IPv6 alone, so 127.0.0.1 is not ourselves there."""
    port = free_port("0.0.0.0")
    daemon.set("dns", listen=f"{listen}:{port}", upstream=f"{spelling}:{port}", allow="127.0.0.1")
    daemon.dns = ("::1" if listen.startswith("[") else "127.0.0.1", port)
    daemon.start()
    assert rcode(ask(daemon, NAME)) in ("SERVFAIL", "REFUSED")
    assert daemon.log_lines("upstream", str(port))
    assert daemon.counter("forward_queries") == 0


class Relay:
    """A name server that asks crowflyd whatever it is asked: a loop with a stranger in it."""

    def __init__(self, daemon, network_of):
        address = network_of.endpoint[0]
        self.endpoint = address, free_port(address)
        self._front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._front.bind(self.endpoint)
        self._back = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._back.bind((address, 0))
        self._daemon = daemon
        self._sources = {}
        self._wake, self._poke = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        with selectors.DefaultSelector() as selector:
            for sock in (self._front, self._back, self._wake):
                selector.register(sock, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is self._wake:
                        return
                    wire, source = key.fileobj.recvfrom(65535)
                    if key.fileobj is self._front:
                        self._sources[wire[:2]] = source
                        self._back.sendto(wire, self._daemon.dns)
                    elif wire[:2] in self._sources:
                        self._front.sendto(wire, self._sources[wire[:2]])

    def close(self):
        self._poke.close()
        self._thread.join()
        for sock in (self._front, self._back, self._wake):
            sock.close()


def test_43_a_chain_that_leads_back_is_found(forward, upstream, daemon):
    relay = Relay(daemon, upstream)
    try:
        forward(relay)
        daemon.wait_log("forwards to crowflyd")
        sent = daemon.counter("forward_queries")
        for number in range(20):
            assert rcode(ask(daemon, f"n{number}.example")) == "SERVFAIL"
        assert daemon.counter("forward_queries") == sent
    finally:
        relay.close()


def test_43_two_that_forward_to_each_other(daemon):
    with Daemon() as other:
        other.source(type="file", endpoint=None, path="/nonexistent", services="svc_b")
        for one, its_upstream in ((daemon, other), (other, daemon)):
            one.set("dns", upstream="%s:%d" % its_upstream.dns)
            one.start()
        daemon.wait_instances("svc_a", 4)
        other.wait_log("forwards to crowflyd")
        for number in range(20):
            assert rcode(ask(daemon, f"n{number}.example")) == "SERVFAIL"
        # A question goes to the other one at most, who knows better than to ask back.
        assert daemon.counter("forward_queries") <= 100
        assert other.counter("forward_queries") <= 10


def test_43_another_upstream_serves_beside_a_loop(forward, upstream, daemon):
    relay = Relay(daemon, upstream)
    try:
        forward(relay, upstream)
        daemon.wait_log("forwards to crowflyd")
        assert addresses(ask(daemon, NAME)) == ["192.0.2.1"]
    finally:
        relay.close()


# 44: a full cache (its cost is tests/unit/test_ring.c's and bench's)


def test_44_a_full_cache_makes_room(forward, upstream):
    daemon = forward(upstream, cache="100")
    names = [f"n{i}.example.com" for i in range(600)]
    for _ in range(2):
        for reply in ask_many(daemon, names):
            assert addresses(reply) == ["192.0.2.1"]
    assert daemon.counter("forward_evictions") >= 300


def test_44_no_cache(forward, upstream):
    daemon = forward(upstream, cache="0")
    upstream.on(NAME, RIGHT)
    for _ in range(3):
        assert addresses(ask(daemon, NAME)) == ["10.9.8.7"]
    assert len(upstream.asked(NAME)) >= 3
    upstream.on(NAME, failure("SERVFAIL"))
    assert rcode(ask(daemon, NAME)) == "SERVFAIL"


# The traps of c-ares (1 and 2, ids and ports, are 32; 4, failures with their packet, is 36)


def test_trap_3_replies_above_512_bytes_are_taken_by_udp(forwarding, upstream):
    lines = [f"60 A 10.0.0.{i}" for i in range(1, 71)]
    upstream.on(NAME, answer(*lines))
    assert len(addresses(ask(forwarding, NAME, use_edns=0, payload=1232))) == 70
    assert not any(one.tcp for one in upstream.asked(NAME))
    assert forwarding.counter("forward_tcp") == 0


def test_trap_4_an_upstream_that_refuses_is_heard(forwarding, upstream):
    for code in ("SERVFAIL", "REFUSED", "NOTIMP"):
        name = f"{code}.example"
        upstream.on(name, failure(code))
        assert rcode(ask(forwarding, name)) == code
        assert len(upstream.asked(name)) == 1


@pytest.mark.parametrize("want_dnssec", [False, True])
def test_trap_5_a_server_of_before_edns(forwarding, upstream, want_dnssec):
    upstream.default = without_edns(RIGHT)
    reply = ask(forwarding, NAME.replace("com", "example"), use_edns=0, want_dnssec=want_dnssec)
    assert addresses(reply) == ["10.9.8.7"]
    names = (f"n{number}.example" for number in range(10000))

    def is_asked_without():
        name = next(names)
        assert addresses(ask(forwarding, name)) == ["10.9.8.7"]
        return [one.query.edns >= 0 for one in upstream.asked(name)] == [False]

    eventually(is_asked_without, what="a first question without OPT")
    assert all(re.search(r"\.(example|test)$", one.name) for one in upstream.asked())


def test_trap_5_a_probe_is_sent_again_without(forward, upstream):
    upstream.default = without_edns(RIGHT)
    forward(upstream)
    probes = eventually(lambda: len(asked := upstream.asked()) > 1 and asked)
    assert [one.query.edns >= 0 for one in probes] == [True, False]
    assert len({one.name for one in probes}) == 1 and probes[0].name.endswith(".test")


def test_trap_5_many_at_once(forwarding, upstream):
    """Whatever is under way when the first FORMERR comes has one of its own to come."""
    upstream.default = without_edns(RIGHT)
    names = [f"{'x' * (i % 20)}n{i}.example" for i in range(300)]
    for reply in ask_many(forwarding, names):
        assert addresses(reply) == ["10.9.8.7"]
    wanted = {*names}
    assert {one.name for one in upstream.asked() if not one.name.endswith(".test")} == wanted


@pytest.mark.parametrize("refusal", [bare("FORMERR"), failure("FORMERR")], ids=["bare", "with-opt"])
def test_trap_5_formerr_that_says_less(forward, upstream, second, refusal):
    """A bare header does not name the question, and one with OPT knows EDNS: others are asked."""
    upstream.on(NAME, refusal)
    second.on(NAME, RIGHT)
    assert addresses(ask(forward(upstream, second), NAME)) == ["10.9.8.7"]


# And all the while


def test_two_workers(forward, upstream):
    daemon = forward(upstream, workers="2")
    names = [f"n{i}.example.com" for i in range(20)]
    for _ in range(10):  # sockets, each of which is one worker's or the other's
        for reply in ask_many(daemon, names):
            assert addresses(reply) == ["192.0.2.1"]
    assert daemon.counter("forward_hits") >= 100
    assert len(upstream.asked("n0.example.com")) <= 10


def test_what_is_malformed_goes_nowhere(forwarding, upstream):
    good = query(NAME)
    with udp(forwarding) as client:
        for bad in (good[:-1], good + b"x", good[:5] + b"\2" + good[6:], good[:12] + b"\xc0\x0c"):
            client.send(bad)
            assert client.recv(4096)[3] & 15 == 1
    assert not upstream.asked(NAME)


def test_a_reply_sent_to_us_gets_no_reply(forwarding):
    with udp(forwarding) as client:
        packet = bytearray(query(NAME))
        packet[2] |= 0x80
        client.send(bytes(packet))
        client.send(query("svc_a.eas.internal", identity=77))
        assert dns.message.from_wire(client.recv(4096)).id == 77
    assert forwarding.counter("dns_dropped") == 1


def test_questions_are_pipelined_by_tcp_and_answered_as_they_come(forwarding, upstream):
    upstream.hold("slow.example")
    with tcp(forwarding) as stream:
        stream.sendall(
            frame(query("slow.example", identity=1))
            + frame(query(NAME, identity=2))
            + frame(query("svc_a.eas.internal", identity=3))
        )
        assert {receive_frame(stream).id, receive_frame(stream).id} == {2, 3}
        upstream.release(RIGHT)
        assert receive_frame(stream).id == 1


@pytest.mark.parametrize("size", [1, 200, 4000])
def test_large_answers_by_tcp(forwarding, upstream, size):
    upstream.on(NAME, truncated(answer(*(f"60 TXT {'x' * 250}{i}" for i in range(size // 20 + 1)))))
    for _ in range(2):
        reply = ask(forwarding, NAME, "TXT", tcp=True)
        assert len(reply.answer[0]) == size // 20 + 1


def test_a_flood_of_random_bytes_from_the_upstream(forwarding, upstream):
    """Whoever can send from the upstream's address and guess the port is no harm with garbage."""
    upstream.hold(NAME)
    with udp(forwarding) as client:
        client.send(query(NAME, identity=5))
        (asked, *_) = upstream.wait(NAME)
        for seed in range(500):
            garbage = (asked.wire[:2] if seed % 2 else b"\0\0") + bytes(
                (seed * 7919 + i * 104729) >> 3 & 255 for i in range(seed % 90)
            )
            upstream.forge(asked, garbage)
        upstream.release(RIGHT)
        assert dns.message.from_wire(client.recv(4096)).id == 5
    assert_served(forwarding)
