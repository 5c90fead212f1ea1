"""Names that are not ours, through an upstream that is scripted: the straight line, who is asked
when, and what is never forwarded."""

import contextlib
import dataclasses
import os
import resource
import socket

import dns.message
import pytest

from tests.easim.address import free_port
from tests.system.daemon import Daemon, eventually
from tests.system.lookup import addresses, ask, rcode
from tests.system.upstream import Upstream, answer, failure, silent, truncated, without_edns


@pytest.fixture
def upstream():
    with Upstream() as scripted:
        yield scripted


def endpoint(upstream):
    return "%s:%d" % upstream.endpoint


@pytest.fixture
def forwarding(daemon, upstream):
    daemon.set("dns", upstream=endpoint(upstream))
    daemon.start()
    daemon.wait_instances("svc_a", 4)
    return daemon


def test_other_names_are_refused_without_an_upstream(running):
    assert rcode(ask(running, "www.example.com")) == "REFUSED"
    assert running.log_lines("refused", "upstream")


def test_questions_are_counted_by_type_whoever_answers(forwarding):
    for rdtype in ["A", "A", "AAAA", "MX"]:  # from upstream, the cache, upstream, upstream
        ask(forwarding, "www.example.com", rdtype)
    counters = forwarding.status()["counters"]
    assert [counters[f"dns_asked_{kind}"] for kind in ("a", "aaaa", "other")] == [2, 1, 1]


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
def test_an_answer_is_forwarded_once_and_then_kept(forwarding, upstream, tcp):
    upstream.on("www.example.com", answer("60 A 10.9.8.7"))
    for _ in range(3):
        reply = ask(forwarding, "WWW.example.com", tcp=tcp)
        assert reply.question[0].name.to_text() == "WWW.example.com."
        assert addresses(reply) == ["10.9.8.7"]
    assert len(upstream.asked("www.example.com")) == 1
    assert forwarding.counter("forward_hits") == 2


def test_own_names_never_leave(forwarding, upstream):
    for name in ("svc_a.eas.internal", "nope.eas.internal", "eas.internal", "x.svc_a.eas.internal"):
        for rdtype in ("A", "AAAA", "TXT"):
            ask(forwarding, name, rdtype)
    assert not [asked for asked in upstream.asked() if "eas" in asked.name]


def test_a_large_answer_comes_by_tcp(forwarding, upstream):
    lines = [f"60 A 10.1.{i // 250}.{i % 250 + 1}" for i in range(400)]
    upstream.on("large.example", truncated(answer(*lines)))
    assert len(addresses(ask(forwarding, "large.example", tcp=True))) == 400
    assert forwarding.counter("forward_tcp") == 1


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="the kernel has no IPv6")
def test_an_upstream_of_ipv6(daemon):
    with Upstream(("::1", free_port("::1"))) as upstream:
        upstream.on("large.example.com", truncated(answer("60 A 192.0.2.2")))
        daemon.set("dns", upstream="[%s]:%d" % upstream.endpoint)
        daemon.start()
        daemon.wait_instances("svc_a", 4)
        assert addresses(ask(daemon, "www.example.com")) == ["192.0.2.1"]
        assert addresses(ask(daemon, "large.example.com")) == ["192.0.2.2"]


def test_more_upstreams_than_are_asked(daemon):
    servers = [f"127.77.255.{i}" for i in range(1, 11)]
    daemon.set("dns", upstream=",".join(servers))
    daemon.start()
    assert daemon.log_lines("127.77.255.9:53 and those behind it are not asked")
    assert daemon.log_lines("127.77.255.7:53, 127.77.255.8:53;")


@pytest.mark.parametrize("rdtype", ["ANY", "AXFR", "TYPE0", "TSIG", "OPT"])
def test_what_is_never_forwarded(forwarding, upstream, rdtype):
    reply = ask(forwarding, "www.example.com", rdtype, tcp=rdtype == "AXFR")
    assert rcode(reply) == "REFUSED"
    assert not upstream.asked("www.example.com")


def test_without_recursion_desired_nobody_is_asked(forwarding, upstream):
    assert rcode(ask(forwarding, "www.example.com", flags=0)) == "REFUSED"
    assert not upstream.asked("www.example.com")
    ask(forwarding, "www.example.com")
    assert addresses(ask(forwarding, "www.example.com", flags=0)) == ["192.0.2.1"]


@pytest.mark.parametrize("first", [failure("SERVFAIL"), failure("REFUSED"), silent])
def test_another_upstream_is_asked(daemon, upstream, first):
    with Upstream() as second:
        upstream.on("www.example.com", first)
        daemon.set("dns", upstream=f"{endpoint(upstream)},{endpoint(second)}")
        daemon.start()
        assert addresses(ask(daemon, "www.example.com")) == ["192.0.2.1"]
        assert upstream.asked("www.example.com")
        assert len(second.asked("www.example.com")) == 1


def test_a_closed_port_is_no_loss_of_time(daemon, upstream):
    with Upstream() as gone:
        nobody = endpoint(gone)
    daemon.set("dns", upstream=f"{nobody},{endpoint(upstream)}")
    daemon.start()
    assert addresses(ask(daemon, "www.example.com")) == ["192.0.2.1"]
    assert daemon.counter("forward_unreachable") > 0


def test_a_silent_upstream_is_asked_last_until_it_answers(daemon, upstream):
    """Each first question of a name costs a turn, until three names have."""
    with Upstream() as second:
        upstream.default = silent
        daemon.set("dns", upstream=f"{endpoint(upstream)},{endpoint(second)}")
        daemon.start()
        for i in range(3):
            assert addresses(ask(daemon, f"a{i}.example")) == ["192.0.2.1"]
        assert states(daemon) == ["suspect", "up"]
        turns = daemon.counter("forward_timeouts")
        for i in range(20):
            assert addresses(ask(daemon, f"b{i}.example")) == ["192.0.2.1"]
        assert daemon.counter("forward_timeouts") <= turns + 2, "but for probes nobody waited"
        upstream.default = answer("60 A 192.0.2.5")
        asked = (f"c{i}.example" for i in range(10**6))
        eventually(lambda: ask(daemon, next(asked)) and states(daemon) == ["up", "up"])
        assert daemon.log_lines("is silent") and daemon.log_lines("answers again")


def states(daemon):
    return [upstream["state"] for upstream in daemon.status()["upstreams"]]


def test_one_silent_name_condemns_nobody(forwarding, upstream):
    upstream.on("silent.example", silent)
    assert rcode(ask(forwarding, "silent.example")) == "SERVFAIL"
    assert states(forwarding) == ["up"]
    assert addresses(ask(forwarding, "www.example.com")) == ["192.0.2.1"]


def test_stale_answers_when_nobody_answers(forwarding, upstream):
    upstream.on("www.example.com", answer("1 A 10.9.8.7"))
    assert addresses(ask(forwarding, "www.example.com")) == ["10.9.8.7"]
    upstream.default = silent
    upstream.on("www.example.com", silent)

    def stale():
        reply = ask(forwarding, "www.example.com")
        assert addresses(reply) == ["10.9.8.7"]
        return forwarding.counter("forward_stale") and reply.answer[0].ttl <= 30

    eventually(stale)


def limit_descriptors(daemon, monkeypatch, soft, hard):
    command = daemon.command
    limit = ["prlimit", f"--nofile={soft}:{hard}"]
    monkeypatch.setattr(daemon, "command", lambda *more: [*limit, *command(*more)])


def test_few_descriptors_leave_fewer_ports_and_room_for_others(daemon, upstream, monkeypatch):
    limit_descriptors(daemon, monkeypatch, 64, 64)
    daemon.set("dns", upstream=endpoint(upstream))
    daemon.start()
    daemon.wait_instances("svc_a", 4)
    names = [f"n{i}.example.com" for i in range(300)]
    assert {rcode(ask(daemon, name)) for name in names} == {"NOERROR"}
    assert len({asked.port for asked in upstream.asked()}) <= 32
    assert daemon.log_lines("64 descriptors leave 32 source ports", "LimitNOFILE=")
    assert rcode(ask(daemon, "svc_a.eas.internal", tcp=True)) == "NOERROR"
    daemon.wait_polls(1, "polls_ok")


def test_few_descriptors_leave_fewer_workers_and_all_of_them_serve(daemon, monkeypatch):
    limit_descriptors(daemon, monkeypatch, 64, 64)
    with contextlib.ExitStack() as stack:
        upstreams = [stack.enter_context(Upstream()) for _ in range(8)]
        daemon.set("dns", workers="16", upstream=",".join(map(endpoint, upstreams)))
        daemon.start()
        daemon.wait_instances("svc_a", 4)
        # As many are asked in turn as one question is sent to: each has its ports by then.
        for i, scripted in enumerate(upstreams[:5]):
            names = [f"n{i}-{j}.example.com" for j in range(40)]
            assert {rcode(ask(daemon, name)) for name in names} == {"NOERROR"}
            scripted.default = failure("SERVFAIL")
        assert len(daemon.log_lines("64 descriptors are enough for 2 of 16 DNS workers")) == 1
        assert rcode(ask(daemon, "svc_a.eas.internal", tcp=True)) == "NOERROR"
        daemon.wait_polls(1, "polls_ok")
        assert daemon.counter("forward_not_asked") == 0


def test_the_limit_of_descriptors_is_raised_as_far_as_it_may_be(daemon, upstream, monkeypatch):
    limit_descriptors(daemon, monkeypatch, 64, 4096)
    daemon.set("dns", upstream=endpoint(upstream))
    daemon.start()
    assert resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE) == (4096, 4096)
    assert not daemon.log_lines("descriptors")


def test_an_upstream_is_not_blamed_for_what_is_short_here(forwarding, upstream):
    process = forwarding.process.pid
    limits = resource.prlimit(process, resource.RLIMIT_NOFILE)
    resource.prlimit(process, resource.RLIMIT_NOFILE, (3, limits[1]))
    names = [f"n{i}.example.com" for i in range(10)]
    assert "SERVFAIL" in {rcode(ask(forwarding, name)) for name in names}
    resource.prlimit(process, resource.RLIMIT_NOFILE, limits)
    assert states(forwarding) == ["up"]
    assert len(forwarding.log_lines("not its fault", "Too many open files", "ulimit -n")) == 1
    assert forwarding.counter("forward_not_asked") > 0
    assert forwarding.counter("forward_unreachable") == 0
    names = [f"m{i}.example.com" for i in range(10)]
    assert {rcode(ask(forwarding, name)) for name in names} == {"NOERROR"}


def test_nobody_there_is_servfail(daemon):
    with Upstream() as gone:
        nobody = endpoint(gone)
    daemon.set("dns", upstream=nobody)
    daemon.start()
    assert rcode(ask(daemon, "www.example.com")) == "SERVFAIL"
    assert rcode(ask(daemon, "www.example.com", tcp=True)) == "SERVFAIL"


def test_mixed_case(daemon, upstream):
    daemon.set("dns", upstream=endpoint(upstream), mixed_case="yes")
    daemon.start()
    for i in range(20):
        name = f"some-long-name-{i}.example"
        assert addresses(ask(daemon, name)) == ["192.0.2.1"]
        assert upstream.asked(name)[0].name != name
    upstream.on("folded.example", lambda asked: answer("60 A 192.0.2.9")(lowered(asked)))
    assert rcode(ask(daemon, "folded.example")) == "SERVFAIL"
    assert daemon.counter("forward_malformed") > 0


def lowered(asked):
    wire = asked.wire[:12] + asked.wire[12:].lower()
    return dataclasses.replace(asked, wire=wire, query=dns.message.from_wire(wire))


def test_a_server_without_edns(forwarding, upstream):
    for i in range(20):
        name = f"n{i}.example"
        upstream.on(name, without_edns(answer("60 A 192.0.2.3")))
        assert addresses(ask(forwarding, name, use_edns=0)) == ["192.0.2.3"]


def test_equal_questions_are_asked_once(forwarding, upstream):
    upstream.hold("held.example")
    askers = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(50)]
    for asker in askers:
        query = dns.message.make_query("held.example", "A")
        asker.sendto(query.to_wire(), forwarding.dns)
    upstream.wait("held.example")
    eventually(lambda: forwarding.counter("forward_coalesced") == 49)
    upstream.release(answer("60 A 192.0.2.4"))
    for asker in askers:
        asker.settimeout(10)
        assert addresses(dns.message.from_wire(asker.recv(4096))) == ["192.0.2.4"]
        asker.close()
    assert len({question.id for question in upstream.asked("held.example")}) <= 2


def test_ports_and_ids_vary(forwarding, upstream):
    for i in range(400):
        ask(forwarding, f"n{i}.example")
    asked = [question for question in upstream.asked() if question.name.endswith(".example")]
    assert len({question.port for question in asked}) >= 60
    assert len({question.id for question in asked}) >= 390


# Ourselves


@pytest.mark.parametrize("spelling", ["{ip}:{port}", "[::ffff:{ip}]:{port}"])
def test_our_own_address_is_left_out(daemon, upstream, spelling):
    own = spelling.format(ip=daemon.dns[0], port=daemon.dns[1])
    daemon.set("dns", upstream=f"{own},{endpoint(upstream)}")
    daemon.start()
    assert daemon.log_lines("is crowflyd itself")
    assert addresses(ask(daemon, "www.example.com")) == ["192.0.2.1"]
    assert daemon.counter("forward_timeouts") == 0


def test_nothing_left_is_servfail_and_said(daemon):
    daemon.set("dns", upstream="%s:%d" % daemon.dns)
    daemon.start()
    assert rcode(ask(daemon, "www.example.com")) == "SERVFAIL"
    assert len(daemon.log_lines("there is no upstream")) == 1
    assert daemon.counter("forward_queries") == 0


def test_a_chain_that_leads_back_is_found(easim, daemon, upstream):
    """Two crowflyds, each the other's first upstream: one of them learns it by its probe, no
    question goes round, and both resolve."""
    with Daemon() as other:
        other.source(endpoint=easim.endpoint, services="svc_a")
        other.set("dns", upstream="%s:%d" % daemon.dns + "," + endpoint(upstream))
        daemon.set("dns", upstream="%s:%d" % other.dns + "," + endpoint(upstream))
        daemon.start()
        other.start()
        for i in range(20):
            assert addresses(ask(daemon, f"a{i}.example")) == ["192.0.2.1"]
            assert addresses(ask(other, f"b{i}.example")) == ["192.0.2.1"]
        eventually(lambda: daemon.counter("forward_loops") + other.counter("forward_loops") > 0)
        looped = [one for one in (daemon, other) if one.log_lines("would be a loop")]
        assert looped
        assert all(len(one.log_lines("would be a loop")) == 1 for one in looped)
        assert daemon.counter("forward_queries") + other.counter("forward_queries") < 200
        assert other.stop() == 0


def test_a_loop_alone_is_servfail_and_no_storm(easim, daemon):
    with Daemon() as other:
        other.source(endpoint=easim.endpoint, services="svc_a")
        other.set("dns", upstream="%s:%d" % daemon.dns)
        daemon.set("dns", upstream="%s:%d" % other.dns)
        other.start()
        daemon.start()
        eventually(lambda: daemon.log_lines("would be a loop") or other.log_lines("would be a loop"))
        for i in range(5):
            assert rcode(ask(daemon, f"n{i}.example")) == "SERVFAIL"
        assert daemon.counter("forward_queries") + other.counter("forward_queries") < 100
        assert other.stop() == 0


# A file that names the upstreams


@pytest.mark.skipif(os.geteuid() != 0, reason="the servers of a resolv.conf are at port 53")
def test_a_file_is_followed(daemon, tmp_path):
    path = tmp_path / "resolv.conf"
    daemon.set("dns", upstream=path)
    daemon.start()
    assert rcode(ask(daemon, "a.example")) == "SERVFAIL"
    assert daemon.log_lines(str(path), "there is no upstream")
    with Upstream(("127.77.255.251", 53)) as first, Upstream(("127.77.255.252", 53)) as second:
        second.default = answer("60 A 192.0.2.2")
        replace(path, f"nameserver {first.endpoint[0]}\n")
        first.wait()
        assert addresses(ask(daemon, "b.example")) == ["192.0.2.1"]
        replace(path, "# nothing yet\n")
        daemon.wait_log("it names no server; the upstreams of before are asked")
        assert addresses(ask(daemon, "c.example")) == ["192.0.2.1"]
        replace(path, f"nameserver {second.endpoint[0]}\n")
        second.wait()
        assert addresses(ask(daemon, "d.example")) == ["192.0.2.2"]
    assert daemon.log_lines("forwarded to 127.77.255.251:53;")
    assert daemon.log_lines("forwarded to 127.77.255.252:53;")


def replace(path, text):
    """As systemd-resolved and NetworkManager do it."""
    beside = path.with_suffix(".new")
    beside.write_text(text)
    beside.rename(path)


def test_a_reload_changes_the_upstreams(forwarding, upstream):
    with Upstream() as other:
        other.default = answer("60 A 10.0.0.99")
        ask(forwarding, "a.example")
        forwarding.set("dns", upstream=endpoint(other))
        forwarding.reload()
        other.wait()  # its probe
        assert addresses(ask(forwarding, "b.example")) == ["10.0.0.99"]
        assert not upstream.asked("b.example")
        forwarding.set("dns", upstream=None)
        forwarding.reload()
        eventually(lambda: rcode(ask(forwarding, "c.example")) == "REFUSED")
    assert forwarding.log_lines("names of others are refused")
