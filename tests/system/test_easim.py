"""The stand-in keeps its own promises: a test of crowfly is worth no more than what it plays."""

import concurrent.futures
import contextlib
import errno
import gzip
import http.client
import json
import select
import socket
import threading
import urllib.parse

import pytest

from tests.easim import Easim, EasimError
from tests.easim.discovery import PATHS

SERVICE = "svc_a"


@pytest.fixture
def sim():
    with Easim({SERVICE: [100, 50]}) as running:
        yield running


def fetch(sim, path="exported", service=SERVICE, timeout=10, **headers):
    """Status, headers and body of one poll."""
    where = urllib.parse.urlsplit(sim.endpoint)
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("GET", PATHS[path] + service, headers=named)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def post(instance, headers=None, body=b"x"):
    connection = http.client.HTTPConnection(instance["ip"], instance["port"], 10)
    try:
        connection.request("POST", f"/api/predict/{SERVICE}", body, headers or {})
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def connect(instance, timeout):
    with socket.socket() as sock:
        sock.settimeout(timeout)
        return sock.connect_ex((instance["ip"], instance["port"]))


def test_list_has_the_platforms_shape(sim):
    status, _, body = fetch(sim)
    items = json.loads(body)["endpoints"]["items"]
    assert status == 200
    assert [item["weight"] for item in items] == [100, 50]
    assert items[0]["app"] == "svc-a"
    assert [(i["ip"], i["port"]) for i in items] == [
        (i["ip"], i["port"]) for i in sim.instances(SERVICE)
    ]


def test_gzip_when_asked(sim):
    _, headers, body = fetch(sim, Accept_Encoding="gzip")
    assert headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(body) == fetch(sim)[2]


def test_paths_are_counted_and_can_be_switched_off(sim):
    sim.path("exported", False)
    assert fetch(sim, "exported")[0] == 404
    assert fetch(sim, "modern", X_Mark="seen")[0] == 200
    assert (sim.polls(SERVICE, "exported"), sim.polls(SERVICE, "modern")) == (1, 1)
    assert sim.recent_polls()[-1]["headers"]["x-mark"] == "seen"
    assert fetch(sim, service="unknown")[0] == 404


def test_edited_lists(sim):
    sim.set_weight(SERVICE, 1, 7)
    sim.add_instance(SERVICE, 3)
    sim.unlist(SERVICE, 0)
    assert [i["weight"] for i in json.loads(fetch(sim)[2])["endpoints"]["items"]] == [7, 3]
    sim.set_items(SERVICE, [{"ip": 7}])
    assert json.loads(fetch(sim)[2])["endpoints"]["items"] == [{"ip": 7}]


@pytest.mark.parametrize(
    ("kind", "options", "status", "start"),
    [
        ("status", {"status": 503, "retry_after": 9}, 503, b"{"),
        ("empty", {}, 200, b'{"correlative":[],"endpoints":{"items":[]}}'),
        ("null", {}, 200, b'{"correlative":[],"endpoints":{"items":null}}'),
        ("html", {}, 200, b"<html>"),
        ("nothing", {}, 200, b""),
        ("raw", {"body": "[1,"}, 200, b"[1,"),
        ("truncated", {}, 200, b'{"correlative"'),
        ("redirect", {}, 302, b""),
        ("slow", {"bytes_per_s": 100000}, 200, b'{"correlative"'),
        ("huge", {"mib": 2}, 200, b"   "),
    ],
)
def test_answers_of_faults(sim, kind, options, status, start):
    good = fetch(sim)[2]
    sim.fault(kind, SERVICE, **options)
    got, headers, body = fetch(sim)
    assert (got, body[: len(start)]) == (status, start)
    assert headers.get("Retry-After") == (str(options["retry_after"]) if kind == "status" else None)
    assert kind == "slow" or body != good
    sim.fault("ok")
    assert fetch(sim)[2] == good


def test_a_bomb_is_small_on_the_wire_and_a_list_at_its_end(sim):
    good = fetch(sim)[2]
    sim.fault("gzip-bomb", mib=10)
    body = fetch(sim)[2]
    assert len(body) < 100_000
    assert gzip.decompress(body).endswith(good)


@pytest.mark.parametrize("kind", ["cut", "reset"])
def test_broken_connections(sim, kind):
    sim.fault(kind)
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        fetch(sim)


@pytest.mark.parametrize("kind", ["hang", "blackhole"])
def test_silence(sim, kind):
    sim.fault(kind)
    with pytest.raises(TimeoutError):
        fetch(sim, timeout=0.2)
    sim.fault("ok")
    assert fetch(sim)[0] == 200


def test_endless_has_no_end(sim):
    sim.fault("endless")
    where = urllib.parse.urlsplit(sim.endpoint)
    connection = http.client.HTTPConnection(where.hostname, where.port, 10)
    connection.request("GET", PATHS["modern"] + SERVICE)
    assert len(connection.getresponse().read(1 << 20)) == 1 << 20
    connection.close()


def test_refused_discovery_comes_back_at_the_same_place(sim):
    sim.fault("refuse")
    with pytest.raises(ConnectionRefusedError):
        fetch(sim)
    sim.fault("ok")
    assert fetch(sim)[0] == 200


def test_one_services_fault_is_not_anothers(sim):
    sim.add_service("other", [1])
    sim.fault("status", SERVICE, status=500)
    assert (fetch(sim)[0], fetch(sim, service="other")[0]) == (500, 200)


def test_instances_say_who_they_are_and_remember_requests(sim):
    first, second = sim.instances(SERVICE)
    answer = post(first, {"X-Request-Id": "r1"}, b"four")
    assert answer == {
        "service": SERVICE,
        "ip": first["ip"],
        "port": first["port"],
        "received": 4,
    }
    post(first, {"X-Request-Id": "r1"})
    post(second)
    assert sim.requests(SERVICE) == [2, 1]
    assert sim.instances(SERVICE)[0]["seen"] == {"r1": 2}
    assert first["ip"] != second["ip"]


def test_killed_dropped_blackholed_and_revived(sim):
    instance = sim.instances(SERVICE)[0]
    sim.kill(SERVICE, 0)
    assert connect(instance, 5) == errno.ECONNREFUSED
    sim.blackhole(SERVICE, 0)
    assert connect(instance, 0.2) == errno.EAGAIN  # the socket's own time-out: no answer came
    sim.drop(SERVICE, 0)
    assert connect(instance, 5) in (0, errno.ECONNRESET)  # accepted, and reset at once
    with pytest.raises((ConnectionResetError, http.client.RemoteDisconnected)):
        post(instance)
    sim.revive(SERVICE, 0)
    assert post(instance)["port"] == instance["port"]


def test_a_retired_instance_serves_what_it_has_accepted(sim):
    instance = sim.instances(SERVICE)[0]
    sim.delay(SERVICE, 0, 0.3)
    connections = [http.client.HTTPConnection(instance["ip"], instance["port"], 10) for _ in "ab"]
    for connection in connections:
        connection.request("GET", "/")
    sim.retire(SERVICE, 0)
    assert connect(instance, 5) == errno.ECONNREFUSED
    for connection in connections:
        assert json.loads(connection.getresponse().read())["ip"] == instance["ip"]
        connection.close()
    sim.revive(SERVICE, 0)
    assert connect(instance, 5) == 0


def test_falling_silent_among_clients_that_connect(sim):
    """Whoever takes the one place before the stand-in does has to leave it."""
    [instance, _] = sim.instances(SERVICE)
    over = threading.Event()

    def knock():
        while not over.is_set():
            with socket.socket() as client:
                client.setblocking(False)
                client.connect_ex((instance["ip"], instance["port"]))
                select.select([], [client], [], 0.001)

    with concurrent.futures.ThreadPoolExecutor() as pool, contextlib.ExitStack() as stack:
        stack.callback(over.set)
        pool.submit(knock)
        for _ in range(20):
            sim.blackhole(SERVICE, 0)
            sim.revive(SERVICE, 0)


def test_simulators_do_not_meet():
    with Easim({"s": [1]}) as one, Easim({"s": [1]}) as other:
        assert one.instances("s")[0]["ip"] != other.instances("s")[0]["ip"]


def test_nothing_is_left_of_the_one_before():
    with Easim({"gone": [1]}) as before:
        before.fault("status", status=500)
        [gone] = before.instances("gone")
        client = socket.create_connection((gone["ip"], gone["port"]))
    with client, contextlib.suppress(ConnectionResetError):
        assert client.recv(1) == b""
    with Easim({"s": [1]}) as after:
        assert fetch(after, service="s")[0] == 200
        assert fetch(after, service="gone")[0] == 404
        assert after.polls("s") == 1
        assert connect(gone, 10) == errno.ECONNREFUSED


def test_refused_operations_say_why(sim):
    with pytest.raises(EasimError, match="no service 'x'"):
        sim.kill("x", 0)
    with pytest.raises(EasimError, match="one of ok"):
        sim.fault("nonsense")
