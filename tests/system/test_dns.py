"""The responder, asked by dnspython: names, types, weights, transports, names on demand."""

import collections

import dns.flags
import dns.message
import dns.opcode
import dns.query
import pytest

from tests.system.daemon import eventually
from tests.system.lookup import addresses, ask, first_addresses, rcode, soa
from tests.system.shares import assert_fair


def test_first_addresses_follow_the_weights(running):
    assert_fair(first_addresses(running, "svc_a.eas.internal", 520), running.instances("svc_a"))


def test_an_answer_names_several_instances_once_each(running):
    for _ in range(50):
        found = addresses(ask(running, "svc_a.eas.internal"))
        assert len(found) == len(set(found)) == 3


def test_drained_instances_are_not_named(running, easim):
    drained = easim.instances("svc_a")[0]["ip"]
    easim.set_weight("svc_a", 0, 0)
    eventually(lambda: 0 in running.instances("svc_a").values())
    seen = set()
    for _ in range(50):
        seen.update(addresses(ask(running, "svc_a.eas.internal")))
    assert drained not in seen
    assert len(seen) == 3


@pytest.mark.parametrize(
    "name", ["svc_a.eas.internal", "svc-a.eas.internal", "SVC_A.EAS.Internal", "sVc-A.eas.internal"]
)
def test_spellings_of_a_name(running, name):
    reply = ask(running, name)
    assert rcode(reply) == "NOERROR"
    assert reply.flags & dns.flags.AA
    assert reply.question[0].name.to_text() == name + ".", "the asker's case"
    assert reply.answer[0].name.to_text() == name + "."
    assert reply.answer[0].ttl == 1


def test_aliases(daemon):
    daemon.set("service svc_a", alias="Model.example.com,other.example.net")
    daemon.start()
    wanted = {ip for ip, _ in daemon.wait_instances("svc_a", 4)}
    for name in ("model.example.com", "OTHER.example.net"):
        assert set(addresses(ask(daemon, name))) <= wanted
        assert addresses(ask(daemon, name))
    assert rcode(ask(daemon, "third.example.com")) == "REFUSED"


def test_srv_names_every_port_with_resolvable_targets(running):
    wanted = running.instances("svc_a")
    reply = ask(running, "_http._tcp.svc_a.eas.internal", "SRV", use_edns=0)
    if not reply.answer:
        reply = ask(running, "svc_a.eas.internal", "SRV", use_edns=0)
    found = {}
    for record in reply.answer[0]:
        target = addresses(ask(running, record.target.to_text()))
        assert len(target) == 1
        found[(target[0], record.port)] = record.weight
    assert set(found) <= set(wanted)
    assert len(found) >= 3
    ratio = {key: found[key] / wanted[key] for key in found}
    assert max(ratio.values()) == pytest.approx(min(ratio.values()), rel=0.1)


@pytest.mark.parametrize("rdtype", ["AAAA", "MX", "CAA", "SVCB", "TYPE65000"])
def test_other_types_of_a_name_are_nodata(running, rdtype):
    reply = ask(running, "svc_a.eas.internal", rdtype)
    assert rcode(reply) == "NOERROR"
    assert not reply.answer
    assert soa(reply).minimum <= 5


def test_unknown_names_of_the_zone_do_not_exist(running):
    reply = ask(running, "nope.eas.internal")
    assert rcode(reply) == "NXDOMAIN"
    assert soa(reply).minimum <= 5
    assert rcode(ask(running, "deep.svc_a.eas.internal")) == "NXDOMAIN"


def test_the_apex_exists(running):
    assert rcode(ask(running, "eas.internal", "A")) == "NOERROR"
    assert ask(running, "eas.internal", "SOA").answer


@pytest.mark.parametrize("name", ["example.com", "internal", ".", "xeas.internal"])
def test_everything_else_is_refused(running, name):
    reply = ask(running, name)
    assert rcode(reply) == "REFUSED"
    assert not reply.answer


def test_tcp_answers_as_udp_does(running):
    reply = ask(running, "svc_a.eas.internal", tcp=True)
    assert len(addresses(reply)) == 3
    assert not reply.flags & dns.flags.TC


def test_edns_is_answered_by_edns_alone(running):
    plain = ask(running, "svc_a.eas.internal")
    assert plain.edns == -1
    extended = ask(running, "svc_a.eas.internal", use_edns=0, payload=4096)
    assert (extended.edns, extended.payload) == (0, 1232)


def test_an_edns_version_of_the_future_is_badvers(running):
    query = dns.message.make_query("svc_a.eas.internal", "A", use_edns=0)
    query.ednsflags |= 1 << 16  # RFC 6891 6.1.3: the version's place in the TTL
    reply = dns.query.udp(query, running.dns[0], port=running.dns[1], timeout=10)
    assert rcode(reply) == "BADVERS"
    assert not reply.answer


def test_header_of_a_reply(running):
    reply = ask(running, "svc_a.eas.internal")
    assert reply.flags & dns.flags.QR
    assert reply.flags & dns.flags.RD, "copied from the query"
    assert not reply.flags & dns.flags.AD


def test_other_classes_and_opcodes_get_no_data(running):
    assert not ask(running, "svc_a.eas.internal", rdclass="CH").answer
    update = dns.message.make_query("svc_a.eas.internal", "A")
    update.set_opcode(dns.opcode.NOTIFY)
    reply = dns.query.udp(update, running.dns[0], port=running.dns[1], timeout=10)
    assert rcode(reply) in ("NOTIMP", "REFUSED")


def test_ipv6_instances(daemon, easim):
    daemon.source(endpoint=easim.endpoint, services="svc_b", accept="127.0.0.0/8,fd00::/8")
    items = [{"ip": ip, "port": 80, "weight": 1, "app": "x"} for ip in ("127.0.0.9", "fd00::9")]
    easim.set_items("svc_b", items)
    daemon.start()
    daemon.wait_instances("svc_b", 2)
    assert addresses(ask(daemon, "svc_b.eas.internal", "A")) == ["127.0.0.9"]
    assert addresses(ask(daemon, "svc_b.eas.internal", "AAAA")) == ["fd00::9"]


def test_other_zones(daemon, easim):
    daemon.source(endpoint=easim.endpoint, services="svc_a", zone="models.corp")
    daemon.start()
    daemon.wait_instances("svc_a", 4)
    assert addresses(ask(daemon, "svc_a.models.corp"))
    assert rcode(ask(daemon, "svc_a.eas.internal")) == "REFUSED"


# Names on demand.


@pytest.fixture
def demanding(daemon, easim):
    """A daemon that polls nothing until a name is asked for."""
    daemon.source(endpoint=easim.endpoint, services="*")
    daemon.start()
    return daemon


@pytest.mark.parametrize("tcp", [False, True])
def test_a_name_on_demand_is_answered_at_once_and_polled_from_then_on(demanding, easim, tcp):
    assert easim.polls("svc_b") == 0
    [address] = addresses(ask(demanding, "svc_b.eas.internal", tcp=tcp))
    assert address == easim.instances("svc_b")[0]["ip"]
    polls = easim.polls("svc_b")
    eventually(lambda: easim.polls("svc_b") > polls + 2, what="further polls")


def test_a_hyphen_may_stand_for_an_underscore_on_demand(demanding):
    assert len(addresses(ask(demanding, "svc-a.eas.internal"))) == 3
    assert demanding.service("svc_a") is not None


def test_an_unknown_name_is_remembered_as_such(demanding, easim):
    assert rcode(ask(demanding, "no_such.eas.internal")) == "NXDOMAIN"
    asked = sum(easim.polls(name) for name in ("no_such", "no-such"))
    assert asked >= 1
    for _ in range(20):
        assert rcode(ask(demanding, "no_such.eas.internal")) == "NXDOMAIN"
    assert sum(easim.polls(name) for name in ("no_such", "no-such")) == asked


def test_discovery_down_is_servfail_and_not_nxdomain(demanding, easim):
    easim.fault("refuse")
    assert rcode(ask(demanding, "svc_a.eas.internal")) == "SERVFAIL"


def test_names_outside_the_zone_are_never_asked_of_discovery(demanding, easim):
    assert rcode(ask(demanding, "svc_a.example.com")) == "REFUSED"
    assert easim.recent_polls() == []


def test_names_on_demand_are_bounded(daemon, easim):
    for number in range(4):
        easim.add_service(f"s{number}", [1])
    daemon.source(endpoint=easim.endpoint, services="*", max_services=3)
    daemon.start()
    replies = [ask(daemon, f"s{number}.eas.internal") for number in range(4)]
    found = collections.Counter(bool(addresses(reply)) for reply in replies)
    assert found == {True: 3, False: 1}


def test_names_on_demand_survive_a_restart_without_discovery(demanding, easim):
    assert addresses(ask(demanding, "svc_b.eas.internal"))
    eventually(lambda: list(demanding.state_dir.glob("svc_b.list")), what="the state file")
    demanding.kill()
    easim.fault("refuse")
    demanding.start()
    assert addresses(ask(demanding, "svc_b.eas.internal"))


def test_names_on_demand_come_back_to_the_source_that_knew_them(demanding, easim):
    demanding.source("other", endpoint=easim.endpoint, services="*", zone="other.internal")
    demanding.stop()
    demanding.start()
    assert addresses(ask(demanding, "svc_b.other.internal"))
    eventually(lambda: list(demanding.state_dir.glob("svc_b.list")), what="the state file")
    demanding.kill()
    easim.fault("refuse")
    demanding.start()
    assert addresses(ask(demanding, "svc_b.other.internal"))
    assert not addresses(ask(demanding, "svc_b.eas.internal"))
