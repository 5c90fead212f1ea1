"""The discovery API served again: what an SDK that is pointed at crowflyd gets."""

import collections
import http.client
import json

import pytest

from tests.system import lookup
from tests.system.conftest import WEIGHTS
from tests.system.daemon import BOUND_S, eventually

PATHS = [
    "/exported/apis/eas.alibaba-inc.k8s.io/v1/upstreams/",
    "/api/v1/servicediscovery/upstreams/",
]


def ask(daemon, path, method="GET", **headers):
    """Status, headers and body."""
    connection = http.client.HTTPConnection(*daemon.http, timeout=BOUND_S)
    try:
        connection.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def strict(body):
    """(ip, port) -> weight, as the strictest of the SDKs reads it: Go's, whose process dies of a
    null list, of a weight that is no integer, and of one below 1."""
    document = json.loads(body)
    assert set(document) == {"correlative", "endpoints"}
    assert all(type(name) is str for name in document["correlative"]) and document["correlative"]
    assert set(document["endpoints"]) == {"items"}
    items = document["endpoints"]["items"]
    assert type(items) is list and items
    for item in items:
        assert {key: type(value) for key, value in item.items()} == {
            "app": str, "ip": str, "port": int, "weight": int}
        assert 1 <= item["weight"] <= 1_000_000 and 1 <= item["port"] <= 65535
    return {(item["ip"], item["port"]): item["weight"] for item in items}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("more", ["", "?internal=true", "?internal=false"])
def test_both_paths_and_any_internal(running, easim, path, more):
    status, headers, body = ask(running, path + "svc_a" + more)
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert strict(body) == {(i["ip"], i["port"]): i["weight"] for i in easim.instances("svc_a")}
    assert json.loads(body)["correlative"] == ["svc_a"]


def test_what_the_platform_says_is_what_the_mirror_says(running, easim):
    """Field for field, but for the order."""
    address = easim.endpoint.removeprefix("http://")
    connection = http.client.HTTPConnection(address, timeout=BOUND_S)
    connection.request("GET", PATHS[0] + "svc_a")
    theirs = json.loads(connection.getresponse().read())
    connection.close()
    ours = json.loads(ask(running, PATHS[0] + "svc_a")[2])
    for document in theirs, ours:
        document["endpoints"]["items"].sort(key=lambda item: (item["ip"], item["port"]))
    assert ours == theirs


def test_each_answer_starts_at_another_instance(running):
    count = len(WEIGHTS)
    firsts = collections.Counter(
        json.loads(ask(running, PATHS[1] + "svc_a")[2])["endpoints"]["items"][0]["ip"]
        for _ in range(5 * count))
    assert sorted(firsts.values()) == [5] * count


def test_unchanged(running, easim):
    _status, headers, _body = ask(running, PATHS[0] + "svc_a")
    status, again, body = ask(running, PATHS[0] + "svc_a", If_None_Match=headers["ETag"])
    assert (status, body, again["ETag"]) == (304, b"", headers["ETag"])
    easim.add_instance("svc_b")
    running.wait_instances("svc_b", 2)
    assert ask(running, PATHS[0] + "svc_a", If_None_Match=headers["ETag"])[0] == 304
    status, _headers, body = ask(running, PATHS[0] + "svc_b", If_None_Match=headers["ETag"])
    assert (status, len(strict(body))) == (200, 2)


@pytest.mark.parametrize("value, status", [
    ("%s", 304), ("*", 304), ('"other", %s', 304), ("W/%s", 304),
    ("%sx", 200), ("x%s", 200), ('W/"other"', 200), ("", 200),
])  # fmt: skip
def test_what_the_asker_has(running, value, status):
    tag = ask(running, PATHS[0] + "svc_b")[1]["ETag"].removeprefix("W/")
    assert ask(running, PATHS[0] + "svc_b", If_None_Match=value.replace("%s", tag))[0] == status


@pytest.mark.parametrize("value", ["", "*", "no tag"])
def test_head_says_what_get_says(running, value):
    got, head = (ask(running, PATHS[0] + "svc_a", method, If_None_Match=value)
                 for method in ("GET", "HEAD"))
    assert head[0] == got[0]
    assert head[2] == b""
    for headers in got[1], head[1]:
        del headers["Date"]
    assert head[1].items() == got[1].items()
    if got[0] == 200:
        assert int(head[1]["Content-Length"]) == len(got[2])


def test_the_last_good_list_serves_on(running, easim):
    good = strict(ask(running, PATHS[0] + "svc_a")[2])
    for fault in ("empty", "html", "null"):
        easim.fault(fault)
        running.wait_polls(3)
        assert strict(ask(running, PATHS[0] + "svc_a")[2]) == good


def test_who_is_ejected_is_withheld(running, easim):
    easim.kill("svc_a", 2)
    gone = easim.instances("svc_a")[2]

    def is_ejected():
        lookup.ask(running, "svc-a.eas.internal")  # what DNS gives is probed
        return running.service("svc_a")["counts"]["ejected"] == 1

    eventually(is_ejected, what="an ejected instance")
    shown = strict(ask(running, PATHS[0] + "svc_a")[2])
    assert len(shown) == len(WEIGHTS) - 1
    assert (gone["ip"], gone["port"]) not in shown


def test_unknown(running):
    status, _headers, body = ask(running, PATHS[0] + "no_such_service")
    assert status == 404
    assert b"no such service" in body


@pytest.mark.parametrize("name", ["", "a/b", "..%2f..%2fetc", "%3Cscript%3E", "svc_a%00b", "x" * 300])
def test_what_is_no_name(running, name):
    assert ask(running, PATHS[0] + name)[0] == 404


def test_before_the_first_list(daemon, easim):
    daemon.set("source eas", endpoint="http://127.0.0.1:1")
    daemon.start()
    daemon.wait_polls(2)
    status, headers, body = ask(daemon, PATHS[0] + "svc_a")
    assert (status, headers["Retry-After"]) == (503, "1")
    assert b"svc_a has no list yet" in body


@pytest.fixture
def on_demand(daemon):
    daemon.set("source eas", services="*")
    daemon.start()
    return daemon


def test_on_demand(on_demand, easim):
    assert on_demand.status()["services"] == []
    status, _headers, body = ask(on_demand, PATHS[0] + "svc_a")
    assert status == 200
    assert strict(body) == {(i["ip"], i["port"]): i["weight"] for i in easim.instances("svc_a")}
    assert on_demand.counter("http_waited") == 1
    assert ask(on_demand, PATHS[0] + "svc_a")[0] == 200
    assert on_demand.counter("http_waited") == 1


def test_on_demand_unknown(on_demand):
    assert ask(on_demand, PATHS[0] + "no_such_service")[0] == 404
    assert on_demand.counter("http_waited") == 1


def test_on_demand_while_discovery_does_not_answer(on_demand, easim):
    easim.fault("hang")
    on_demand.set("source eas", timeout="50ms")
    on_demand.reload()
    on_demand.wait_log("reloaded")
    status, headers, body = ask(on_demand, PATHS[0] + "svc_a")
    assert (status, headers["Retry-After"]) == (503, "1")
    assert b"could not say" in body


def test_many_wait_and_the_daemon_ends(on_demand, easim):
    """Suspended connections end with the daemon."""
    easim.fault("hang")
    connections = [http.client.HTTPConnection(*on_demand.http, timeout=BOUND_S) for _ in range(8)]
    for i, connection in enumerate(connections):
        connection.request("GET", PATHS[0] + f"svc_{i}")
    eventually(lambda: on_demand.counter("http_waited") == 8, what="eight waiting requests")
    assert on_demand.stop() == 0, on_demand.log()
    for connection in connections:
        connection.close()


def test_those_who_wait_leave_room(on_demand, easim):
    """As many as there are places wait for discovery: the first of them get the answer that there
    is, and somebody who asks for something else gets his."""
    easim.fault("hang")
    on_demand.set("source eas", timeout="60s")  # longer than the test would wait
    on_demand.reload()
    on_demand.wait_log("reloaded")
    waiting = [http.client.HTTPConnection(*on_demand.http, timeout=BOUND_S) for _ in range(256)]
    for connection in waiting:
        connection.request("GET", PATHS[0] + "svc_a")
    assert on_demand.get("/healthz") == (200, b"ok\n")
    answer = waiting[0].getresponse()
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert on_demand.get("/healthz") == (200, b"ok\n")
    assert on_demand.counter("http_waited") == 256
    for connection in waiting:
        connection.close()
