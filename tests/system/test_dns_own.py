"""What the responder says of its own names, check by check (the numbers are those of the list that
the responder was built to), as an encoder and decoder that are not ours understand it. What needs
an image that no discovery makes (all ejected, an empty list) is in tests/unit/test_answer.c."""

import datetime
import socket
import struct

import dns.flags
import dns.message
import dns.query
import dns.rdataclass
import dns.rdatatype
import dns.reversename
import pytest

from tests.system.daemon import eventually
from tests.system.lookup import addresses, ask, rcode

NAME = "svc_a.eas.internal"


def only(reply):
    """The one set of the answer section."""
    [rrset] = reply.answer
    return rrset


def bytes_of(daemon, query):
    """The bytes of a query and of its reply by UDP."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(10)
        client.connect(daemon.dns)
        client.send(query.to_wire())
        return query.to_wire(), client.recv(4096)


def is_denial(reply, code, zone):
    """NODATA or NXDOMAIN as RFC 2308 has it: the SOA of the zone says how long it holds."""
    [authority] = reply.authority
    assert (rcode(reply), reply.answer) == (code, [])
    assert reply.flags & dns.flags.AA
    assert authority.name.to_text() == zone
    assert authority.ttl <= 5
    assert authority[0].minimum <= 5
    return True


def test_1_own_names_are_answered_with_authority(running):
    reply = ask(running, NAME)
    assert rcode(reply) == "NOERROR"
    assert reply.flags & dns.flags.AA
    assert reply.flags & dns.flags.RA


def test_2_the_question_is_echoed_and_owners_point_to_it(running):
    query = dns.message.make_query("SVC-a.EAS.internal", "A", use_edns=False)
    sent, got = bytes_of(running, query)
    reply = dns.message.from_wire(got)
    assert reply.question[0].name.to_text() == "SVC-a.EAS.internal."
    assert reply.answer[0].name.to_text() == "SVC-a.EAS.internal."
    # Header and question as they came, then 16 bytes a record: the owner takes two of them.
    assert len(got) == len(sent) + 16 * len(only(reply))
    assert got[12 : len(sent)] == sent[12:]


@pytest.mark.parametrize("rdtype", ["AAAA", "MX", "NAPTR", "DS", "SVCB", "TYPE65000"])
def test_3_other_types_are_nodata(running, rdtype):
    assert is_denial(ask(running, NAME, rdtype), "NOERROR", "eas.internal.")


def test_4_unknown_names_do_not_exist(running):
    for name in ("nope.eas.internal", "deep.svc_a.eas.internal"):
        assert is_denial(ask(running, name), "NXDOMAIN", "eas.internal.")


def test_5_an_empty_list_takes_nothing_away(running, easim):
    """Discovery that lists nobody is not believed, so no name of it ever is NODATA."""
    easim.fault("empty")
    running.wait_polls(2, "polls_empty")
    assert addresses(ask(running, NAME))


def test_6_names_between_exist(daemon, easim):
    easim.add_service("group.item", [1])
    daemon.source(endpoint=easim.endpoint, services="svc_a,group.item")
    daemon.start()
    daemon.wait_instances("svc_a", 4)
    daemon.wait_instances("group.item", 1)
    assert addresses(ask(daemon, "group.item.eas.internal"))
    for name in ("item.eas.internal", "_tcp.svc_a.eas.internal", "_tcp.group.item.eas.internal"):
        assert is_denial(ask(daemon, name), "NOERROR", "eas.internal.")
    for name in ("other.item.eas.internal", "_udp.svc_a.eas.internal", "_tcp.item.eas.internal"):
        assert is_denial(ask(daemon, name), "NXDOMAIN", "eas.internal.")


def test_7_srv(running):
    wanted = running.instances("svc_a")
    query = dns.message.make_query("_http._tcp.svc_a.eas.internal", "SRV", payload=1232)
    _, got = bytes_of(running, query)
    reply = dns.message.from_wire(got)
    additional = {rrset.name: rrset[0].address for rrset in reply.additional}
    found = {(additional[record.target], record.port): record.weight for record in only(reply)}
    assert found == wanted
    assert min(found.values()) >= 1
    assert got.count(b"\x03eas\x08internal\0") == 1 + len(wanted), "targets are whole"
    for target, address in additional.items():
        assert addresses(ask(running, target.to_text())) == [address]


def https(reply):
    """(address, port) of each record, in the order of their priorities."""
    records = sorted(only(reply), key=lambda record: record.priority)
    assert [record.priority for record in records] == list(range(1, len(records) + 1))
    found = []
    for record in records:
        port, hint = record.params[3], record.params[4]
        assert set(record.params) == {3, 4}
        found.append((hint.addresses[0], port.port))
        assert record.target.to_text() == f"ip-{hint.addresses[0].replace('.', '-')}.eas.internal."
    return found


def test_8_https(running):
    wanted = running.instances("svc_a")
    firsts = []
    for _ in range(130):
        found = https(ask(running, NAME, "HTTPS"))
        assert len(found) == 3
        assert set(found) <= set(wanted)
        firsts.append(found[0])
    for endpoint, weight in wanted.items():
        assert abs(firsts.count(endpoint) - weight / 2) <= 6, "a share of 260"


def test_8_https_of_ipv6(daemon, easim):
    daemon.source(endpoint=easim.endpoint, services="svc_b", accept="fd00::/8")
    easim.set_items("svc_b", [{"ip": "fd00::9", "port": 8443, "weight": 1, "app": "x"}])
    daemon.start()
    daemon.wait_instances("svc_b", 1)
    [record] = only(ask(daemon, "svc_b.eas.internal", "HTTPS"))
    assert record.params[3].port == 8443
    assert record.params[6].addresses == ("fd00::9",)
    assert addresses(ask(daemon, record.target.to_text(), "AAAA")) == ["fd00::9"]


def test_8_https_may_be_turned_off_and_on(running):
    running.set("dns", https="no")
    running.reload()
    eventually(lambda: not ask(running, NAME, "HTTPS").answer)
    assert is_denial(ask(running, NAME, "HTTPS"), "NOERROR", "eas.internal.")
    running.set("dns", https="yes")
    running.reload()
    eventually(lambda: ask(running, NAME, "HTTPS").answer)


def test_8_ptr(running, easim):
    address = easim.instances("svc_a")[0]["ip"]
    reverse = dns.reversename.from_address(address).to_text()
    reply = ask(running, reverse, "PTR")
    assert [record.target.to_text() for record in only(reply)] == ["svc-a.eas.internal."]
    assert reply.flags & dns.flags.AA
    assert is_denial(ask(running, reverse, "TXT"), "NOERROR", reverse)
    elsewhere = ask(running, dns.reversename.from_address("127.99.99.99").to_text(), "PTR")
    assert not elsewhere.answer
    assert not elsewhere.flags & dns.flags.AA, "not ours to say"


def test_8_ptr_names_the_services_that_share_an_address(daemon, easim):
    names = [f"s{number}" for number in range(6)]
    item = {"ip": "127.0.0.9", "port": 80, "weight": 1, "app": "x"}
    for name in names:
        easim.add_service(name, [1])
        easim.set_items(name, [item])
    daemon.source(endpoint=easim.endpoint, services=",".join(names))
    daemon.start()
    for name in names:
        daemon.wait_instances(name, 1)
    found = [record.target.to_text() for record in only(ask(daemon, "9.0.0.127.in-addr.arpa", "PTR"))]
    assert len(found) == len(set(found)) == 4
    assert set(found) <= {f"{name}.eas.internal." for name in names}


def test_8_the_apex(running):
    assert only(ask(running, "eas.internal", "SOA")).rdtype == dns.rdatatype.SOA
    [ns] = only(ask(running, "eas.internal", "NS"))
    assert ns.target.to_text() == "eas.internal."
    assert is_denial(ask(running, "eas.internal", "A"), "NOERROR", "eas.internal.")


def text_of(reply):
    [record] = only(reply)
    return dict(string.decode().split("=", 1) for string in record.strings)


def test_txt_is_the_state_of_a_service(running, easim):
    found = text_of(ask(running, NAME, "TXT"))
    taken = datetime.datetime.strptime(found.pop("taken"), "%Y-%m-%dT%H:%M:%SZ")
    age = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None) - taken
    assert datetime.timedelta(0) <= age + datetime.timedelta(seconds=1) < datetime.timedelta(hours=1)
    assert found == {
        "instances": "4", "up": "4", "ejected": "0", "drained": "0",
        "weight": "260", "source": "eas", "stale": "no",
    }
    easim.set_weight("svc_a", 0, 0)
    eventually(lambda: text_of(ask(running, NAME, "TXT"))["drained"] == "1")
    easim.fault("refuse")
    eventually(lambda: text_of(ask(running, NAME, "TXT"))["stale"] == "yes")
    assert text_of(ask(running, NAME, "TXT"))["weight"] == "160"


@pytest.mark.parametrize("name", [NAME, "_http._tcp.svc_a.eas.internal", "eas.internal"])
def test_9_any_is_one_small_set(running, easim, name):
    for _ in range(40):
        easim.add_instance("svc_a")
    running.wait_instances("svc_a", 44)
    _, got = bytes_of(running, dns.message.make_query(name, "ANY", payload=4096))
    assert len(dns.message.from_wire(got).answer) <= 1
    assert len(got) <= 512


@pytest.mark.parametrize("rdclass", ["CH", "HS", "NONE", "ANY"])
def test_10_other_classes_get_no_data(running, rdclass):
    query = dns.message.make_query(NAME, "A", use_edns=False)
    query.question[0].rdclass = dns.rdataclass.from_text(rdclass)
    reply = dns.query.udp(query, running.dns[0], port=running.dns[1], timeout=10)
    assert not reply.answer
    assert not reply.additional


@pytest.mark.parametrize("rdtype", [252, 251, 249, 0])
@pytest.mark.parametrize("tcp", [False, True])
def test_11_types_that_ask_for_more_than_data(running, rdtype, tcp):
    query = dns.message.make_query("eas.internal", "A", use_edns=False).to_wire()
    query = query[:-4] + struct.pack("!2H", rdtype, 1)
    how = dns.query.tcp if tcp else dns.query.udp
    reply = how(dns.message.from_wire(query), running.dns[0], port=running.dns[1], timeout=10)
    assert not reply.answer
    assert addresses(ask(running, NAME))


def test_12_before_the_first_list_nothing_is_denied(daemon, easim):
    easim.fault("hang")
    daemon.start()
    for rdtype in ("A", "AAAA", "SRV", "HTTPS", "TXT"):
        assert rcode(ask(daemon, NAME, rdtype)) == "SERVFAIL"


@pytest.mark.parametrize("name", [NAME, "nope.eas.internal", "deep.svc_a.eas.internal"])
def test_12_search_suffixes_are_denied_here(running, name):
    for suffix in ("corp.example.com", "cluster.local", "eu"):
        reply = ask(running, f"{name}.{suffix}")
        assert is_denial(reply, "NXDOMAIN", f"eas.internal.{suffix}.")
    assert not ask(running, "eas.internal.corp.example.com").flags & dns.flags.AA, "not ours"


def test_13_weight_0_is_drained(running, easim):
    drained = easim.instances("svc_a")[0]["ip"]
    easim.set_weight("svc_a", 0, 0)
    eventually(lambda: 0 in running.instances("svc_a").values())
    for rdtype in ("A", "HTTPS", "SRV"):
        for _ in range(20):
            reply = ask(running, NAME, rdtype, use_edns=0, payload=1232)
            assert drained not in addresses(reply)
            assert drained.replace(".", "-") not in reply.to_text()


def test_queries_are_counted_by_type(running):
    types = {"A": 3, "AAAA": 2, "SRV": 1, "HTTPS": 2, "PTR": 1, "TXT": 2, "MX": 1, "NS": 1}
    for rdtype, count in types.items():
        for _ in range(count):
            ask(running, NAME, rdtype)
    other = types.pop("MX") + types.pop("NS")
    counters = running.status()["counters"]
    found = {rdtype: counters[f"dns_asked_{rdtype.lower()}"] for rdtype in types}
    assert found == types
    assert counters["dns_asked_other"] == other
