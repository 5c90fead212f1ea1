"""What discovery may send or do, and what the daemon makes of it: never less than it had."""

import json
import os
import socket

import pytest

from tests.system.daemon import BOUND_S, SANITIZED, eventually
from tests.system.lookup import addresses, ask, rcode

# Every way to fail that keeps the last good list, with the counter that tells of it.
FAULTS = [
    ("status", {"status": 500}, "polls_status"),
    ("status", {"status": 502}, "polls_status"),
    ("status", {"status": 503}, "polls_status"),
    ("status", {"status": 404}, "polls_status"),
    ("status", {"status": 429}, "polls_status"),
    ("status", {"status": 204}, "polls_status"),
    ("redirect", {}, "polls_status"),
    ("empty", {}, "polls_empty"),
    ("null", {}, "polls_empty"),
    ("html", {}, "polls_malformed"),
    ("nothing", {}, "polls_malformed"),
    ("truncated", {}, "polls_malformed"),
    ("raw", {"body": '{"endpoints":{"items":{}}}'}, "polls_malformed"),
    ("raw", {"body": "[" * 100_000}, "polls_malformed"),
    ("cut", {}, "polls_connect"),
    ("reset", {}, "polls_connect"),
    ("refuse", {}, "polls_connect"),
    ("hang", {}, "polls_timeout"),
    ("slow", {"bytes_per_s": 1}, "polls_timeout"),
    ("blackhole", {}, "polls_timeout"),
]


@pytest.mark.parametrize(
    ("kind", "options", "counter"), FAULTS, ids=[f"{f[0]}-{i}" for i, f in enumerate(FAULTS)]
)
def test_a_fault_keeps_the_last_good_list(daemon, easim, kind, options, counter):
    # On a slow machine no fault is to be taken for another: a time-out would be said, too.
    timeout = "500ms" if counter == "polls_timeout" else f"{BOUND_S}s"
    daemon.source(endpoint=easim.endpoint, services="svc_a,svc_b", timeout=timeout)
    daemon.start()
    good = daemon.wait_instances("svc_a", 4)
    log_before = len(daemon.log_lines("svc_a"))

    easim.fault(kind, **options)
    easim.set_weight("svc_a", 0, 77)  # visible, should the daemon take anything now
    daemon.wait_polls(6, counter)

    assert daemon.instances("svc_a") == good
    assert set(addresses(ask(daemon, "svc_a.eas.internal"))) <= {ip for ip, _ in good}
    assert len(daemon.log_lines("svc_a")) == log_before + 1, daemon.log()

    easim.fault("ok")
    eventually(lambda: 77 in daemon.instances("svc_a").values(), what="the new list")
    assert len(daemon.log_lines("svc_a")) == log_before + 2, daemon.log()


@pytest.mark.parametrize("kind", ["huge", "gzip-bomb", "endless"])
def test_a_body_beyond_32_mib_is_cut_off(daemon, easim, kind):
    daemon.source(endpoint=easim.endpoint, services="svc_a", timeout="10s")
    daemon.start()
    good = daemon.wait_instances("svc_a", 4)
    easim.fault(kind, "svc_a")
    easim.set_weight("svc_a", 0, 77)
    daemon.wait_polls(2, "polls_oversize")
    assert daemon.instances("svc_a") == good
    # 100 MiB came or were still to come; what was kept of them is under 32.
    if not SANITIZED:  # whose shadow memory is not ours to bound
        assert peak_memory_mib(daemon.process.pid) < 100


def peak_memory_mib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        peak = next(line for line in status if line.startswith("VmHWM"))
    return int(peak.split()[1]) / 1024


def test_a_redirect_is_not_followed(running, easim):
    easim.fault("redirect")
    running.wait_polls(3, "polls_status")
    assert easim.polls("svc_a", "elsewhere") == 0


def test_proxy_variables_are_ignored(daemon):
    nobody = "http://127.0.0.1:1"
    names = ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "https_proxy")
    daemon.start(environment=dict.fromkeys(names, nobody))
    daemon.wait_instances("svc_a", 4)


def test_a_hanging_service_delays_no_other(daemon, easim):
    daemon.source(endpoint=easim.endpoint, services="svc_a,svc_b", timeout="60s")
    easim.fault("hang", "svc_a")
    daemon.start()
    daemon.wait_instances("svc_b", 1)
    polls = easim.polls("svc_b")
    eventually(lambda: easim.polls("svc_b") >= polls + 10, what="10 polls of svc_b")
    assert easim.polls("svc_a") == 1
    assert daemon.service("svc_a")["instances"] == []


@pytest.mark.parametrize(("off", "on"), [("exported", "modern"), ("modern", "exported")])
def test_the_path_that_answered_is_remembered(daemon, easim, off, on):
    easim.path(off, False)
    daemon.start()
    daemon.wait_instances("svc_a", 4)
    tried = easim.polls("svc_a", off)
    assert tried <= 1
    polls = easim.polls("svc_a", on)
    eventually(lambda: easim.polls("svc_a", on) >= polls + 8, what="8 polls")
    assert easim.polls("svc_a", off) == tried


def test_a_path_that_moves_is_found_again(running, easim):
    used = "exported" if easim.polls("svc_a", "exported") else "modern"
    easim.path(used, False)
    easim.set_weight("svc_a", 0, 77)
    eventually(lambda: 77 in running.instances("svc_a").values(), what="the list by the other path")


def test_gzip_is_asked_for(running, easim):
    assert "gzip" in easim.recent_polls()[-1]["headers"]["accept-encoding"]
    assert len(running.instances("svc_a")) == 4


def test_retry_after_is_honoured(running, easim):
    easim.fault("status", "svc_a", status=429, retry_after=3600)
    running.wait_polls(1, "polls_status")
    polls, others = easim.polls("svc_a"), easim.polls("svc_b")
    eventually(lambda: easim.polls("svc_b") >= others + 15, what="15 polls of svc_b")
    assert easim.polls("svc_a") == polls


def test_every_change_is_published(running, easim):
    for weight in range(201, 211):
        easim.set_weight("svc_a", 0, weight)
        eventually(lambda w=weight: w in running.instances("svc_a").values(), what="the change")


def test_instances_come_and_go(running, easim):
    easim.add_instance("svc_b", 5)
    easim.add_instance("svc_b", 6)
    running.wait_instances("svc_b", 3)
    gone = easim.instances("svc_b")[0]
    easim.unlist("svc_b", 0)
    running.wait_instances("svc_b", 2)
    tombs = [(t["address"], t["port"]) for t in running.service("svc_b")["tombstones"]]
    assert tombs == [(gone["ip"], gone["port"])]


def test_unreachable_at_start_runs_and_says_what_it_waits_for(daemon, easim):
    easim.fault("refuse")
    daemon.start()
    daemon.wait_log(r"service svc_a: .*there is no list yet")
    assert rcode(ask(daemon, "svc_a.eas.internal")) == "SERVFAIL"
    easim.fault("ok")
    daemon.wait_instances("svc_a", 4)


# The rules of one item. Each list is two good items and one to be judged.


def item(ip="127.0.9.9", port=80, weight=100, app="x"):
    return {"ip": ip, "port": port, "weight": weight, "app": app}


GOOD = [item("127.0.9.1"), item("127.0.9.2")]

BAD_ITEMS = [
    item(port="50000"),
    item(port=0),
    item(port=-1),
    item(port=65536),
    item(port=80.5),
    item(port=None),
    item(ip=7),
    item(ip=None),
    item(ip=""),
    item(ip="host.example"),
    item(ip="127.0.9.9.9"),
    item(ip=" 127.0.9.9"),
    item(ip="127.0.9.9\u0000x"),
    item(weight=None),
    item(weight="100"),
    item(weight=True),
    item(weight=-1),
    item(weight=-0.5),
    {"ip": "127.0.9.9", "port": 80},
    {"port": 80, "weight": 1},
    {},
    [],
    7,
    None,
    "127.0.9.9:80",
]


def test_bad_items_are_dropped_and_counted(running, easim):
    for mark, bad in enumerate(BAD_ITEMS, 1000):
        # The mark tells this list from the one before it.
        easim.set_items("svc_b", [item("127.0.9.1", weight=mark), item("127.0.9.2"), bad])
        wanted = {("127.0.9.1", 80): mark, ("127.0.9.2", 80): 100}
        eventually(lambda w=wanted: running.instances("svc_b") == w, what=f"the rest beside {bad}")
    assert running.counter("items_dropped") >= len(BAD_ITEMS)


@pytest.mark.parametrize(
    ("weight", "taken"),
    [(0, 0), (1, 1), (10.4, 10), (10.6, 11), (0.2, 1), (1_000_000, 1_000_000), (10**9, 1_000_000),
     (1e300, 1_000_000), (10**30, 1_000_000)],
)  # fmt: skip
def test_weights_are_read_as_the_rules_say(running, easim, weight, taken):
    easim.set_items("svc_b", [*GOOD, item(weight=weight)])
    assert running.wait_instances("svc_b", 3)[("127.0.9.9", 80)] == taken
    states = {i["address"]: i["state"] for i in running.service("svc_b")["instances"]}
    assert states["127.0.9.9"] == ("drained" if taken == 0 else "up")


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_weight_that_is_no_number_is_never_taken(running, easim, text):
    body = json.dumps({"endpoints": {"items": [*GOOD, item(weight=424242)]}})
    easim.fault("raw", "svc_b", body=body.replace("424242", text))
    running.wait_polls(6)
    assert running.instances("svc_b").get(("127.0.9.9", 80)) in (None, 1_000_000)
    assert running.get("/healthz")[0] == 200


def test_all_drained_is_no_list(running, easim):
    easim.set_items("svc_b", [item(weight=0), item("127.0.9.8", weight=0)])
    before = running.instances("svc_b")
    running.wait_polls(3, "polls_empty")
    assert running.instances("svc_b") == before


def test_more_than_half_bad_refuses_the_list(running, easim):
    before = running.instances("svc_b")
    easim.set_items("svc_b", [item(), item(port=0), item(port=0)])
    running.wait_polls(3, "polls_refused")
    assert running.instances("svc_b") == before
    easim.set_items("svc_b", [item(), item(port=0)])
    eventually(lambda: running.instances("svc_b") == {("127.0.9.9", 80): 100})


def test_duplicates_are_merged_and_the_last_weight_wins(running, easim):
    easim.set_items("svc_b", [item(weight=1), item(weight=2), item(port=81), item(weight=3)])
    wanted = {("127.0.9.9", 80): 3, ("127.0.9.9", 81): 100}
    eventually(lambda: running.instances("svc_b") == wanted)
    assert running.counter("items_merged") >= 2


@pytest.mark.parametrize("ip", ["0.0.0.0", "127.0.9.9", "169.254.1.1", "224.0.0.1", "::1", "::"])
def test_addresses_of_no_instance_are_dropped_unless_accepted(daemon, easim, ip):
    private = [item("10.0.0.1"), item("10.0.0.2"), item("fd00::1")]
    easim.set_items("svc_b", [*private, item(ip)])
    daemon.source(endpoint=easim.endpoint, services="svc_b", accept=None)
    daemon.start()
    assert set(daemon.wait_instances("svc_b", 3)) == {(i["ip"], 80) for i in private}
    assert daemon.counter("items_outside") >= 1


def test_accept_is_a_list_of_all_that_may_be(daemon, easim):
    easim.set_items("svc_b", [item("10.0.0.1"), item("10.1.0.1"), item("fd00::1"), item("::1")])
    daemon.source(endpoint=easim.endpoint, services="svc_b", accept="10.1.0.0/16,fd00::/8,::1/128")
    daemon.start()
    found = {ip for ip, _port in daemon.wait_instances("svc_b", 3)}
    assert found == {"10.1.0.1", "fd00::1", "::1"}


def test_a_hundred_thousand_instances_and_back(daemon, easim):
    daemon.source(endpoint=easim.endpoint, services="svc_a,svc_b", timeout=f"{BOUND_S}s")
    daemon.start()
    many = [item(f"127.1.{i // 250}.{1 + i % 250}", 80, 1 + i % 7) for i in range(50_000)]
    many += [{**one, "port": 81} for one in many]
    easim.set_items("svc_b", many)
    eventually(lambda: daemon.up("svc_b") == 100_000, 3 * BOUND_S, what="all of them are up")
    assert addresses(ask(daemon, "svc_b.eas.internal"))
    easim.set_items("svc_b", None)
    eventually(lambda: daemon.up("svc_b") == 1, 3 * BOUND_S, what="one is up")


# Files as sources.


def file_source(daemon):
    lists = daemon.directory / "lists"
    lists.mkdir()
    daemon.sections.pop("source eas")
    daemon.source("disk", type="file", path=lists / "{service}.json", services="svc_a",
                  poll_interval="1h")  # fmt: skip
    return lists / "svc_a.json"


def write_list(path, items):
    """As editors and deployment tools do: a new file under the old name."""
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps({"endpoints": {"items": items}}))
    os.replace(fresh, path)


def test_a_file_is_read_and_watched(daemon):
    path = file_source(daemon)
    write_list(path, GOOD)
    daemon.start()
    daemon.wait_instances("svc_a", 2)
    write_list(path, [*GOOD, item()])
    daemon.wait_instances("svc_a", 3)
    path.write_text(json.dumps({"endpoints": {"items": [item()]}}))  # in place
    daemon.wait_instances("svc_a", 1)


def test_a_file_that_comes_late_goes_or_breaks(daemon):
    path = file_source(daemon)
    daemon.start()
    assert daemon.instances("svc_a") == {}
    write_list(path, GOOD)
    daemon.wait_instances("svc_a", 2)
    failed = daemon.counter("polls") - daemon.counter("polls_ok")
    path.write_text("{")
    path.unlink()
    eventually(lambda: daemon.counter("polls") - daemon.counter("polls_ok") > failed)
    assert len(daemon.instances("svc_a")) == 2
    write_list(path, [item()])
    daemon.wait_instances("svc_a", 1)


@pytest.mark.parametrize("scheme, first", [("https", b"\x16"), ("http", b"G")])
def test_tls_is_spoken_where_the_endpoint_says_so(daemon, scheme, first):
    with socket.socket() as listener:  # \x16 begins a TLS handshake (RFC 8446 5.1)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(BOUND_S)
        port = listener.getsockname()[1]
        daemon.source(endpoint=f"{scheme}://127.0.0.1:{port}", services="svc_a")
        daemon.start()
        client, _ = listener.accept()
        with client:
            client.settimeout(BOUND_S)
            assert client.recv(1) == first
