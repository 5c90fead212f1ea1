"""Names that are not ours, through an upstream that is scripted: the straight line, who is asked
when, and what is never forwarded."""

import pytest

from tests.system.daemon import eventually
from tests.system.lookup import addresses, ask, rcode
from tests.system.upstream import Upstream, answer, failure, silent, truncated


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


def test_nobody_there_is_servfail(daemon):
    with Upstream() as gone:
        nobody = endpoint(gone)
    daemon.set("dns", upstream=nobody)
    daemon.start()
    assert rcode(ask(daemon, "www.example.com")) == "SERVFAIL"
    assert rcode(ask(daemon, "www.example.com", tcp=True)) == "SERVFAIL"


def test_ports_and_ids_vary(forwarding, upstream):
    for i in range(400):
        ask(forwarding, f"n{i}.example")
    asked = [question for question in upstream.asked() if question.name.endswith(".example")]
    assert len({question.port for question in asked}) >= 60
    assert len({question.id for question in asked}) >= 390


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
