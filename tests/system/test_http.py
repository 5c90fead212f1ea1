"""The HTTP face of crowflyd, asked by Python's client."""

import contextlib
import http.client
import json
import shutil
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.system.daemon import BOUND_S, Daemon
from tests.system.netns import own_network

STATUS = "/api/v1/status"


def ask(daemon, method, path, **headers):
    """Status, headers and body."""
    connection = http.client.HTTPConnection(*daemon.http, timeout=BOUND_S)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def test_health(running):
    status, headers, body = ask(running, "GET", "/healthz")
    assert (status, body) == (200, b"ok\n")
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_who_comes_in_the_same_moment_waits_for_no_second_syn(running):
    """The kernel takes them while the daemon is busy with something else."""
    crowd = 200
    if int(Path("/proc/sys/net/core/somaxconn").read_text()) < crowd:
        pytest.skip(f"net.core.somaxconn is less than {crowd}")
    with running.stopped(), contextlib.ExitStack() as clients:
        for _ in range(crowd):
            clients.enter_context(socket.create_connection(running.http, timeout=BOUND_S))


def test_status_document(running, easim):
    status, headers, body = ask(running, "GET", STATUS)
    assert (status, headers["Content-Type"]) == (200, "application/json")
    told = json.loads(body)
    assert told["pid"] == running.process.pid
    assert told["generation"] >= 1
    assert told["counters"]["polls_ok"] >= 2
    [service] = [service for service in told["services"] if service["name"] == "svc_a"]
    assert (service["zone"], service["port"], service["stale"]) == ("eas.internal", 80, False)
    assert service["poll"]["outcome"] == "ok"
    assert {(i["address"], i["port"]): i["weight"] for i in service["instances"]} == {
        (i["ip"], i["port"]): i["weight"] for i in easim.instances("svc_a")
    }


def test_status_before_the_first_list(daemon):
    daemon.set("source eas", endpoint="http://127.0.0.1:1")
    daemon.start()
    service = daemon.service("svc_a")
    assert service["instances"] == []
    assert service["list_age_s"] is None


def test_metrics(running):
    status, headers, body = ask(running, "GET", "/metrics")
    assert (status, headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    lines = body.decode().splitlines()
    assert 'crowfly_service_instances{service="svc_a",state="up"} 4' in lines
    assert "crowfly_ready 1" in lines
    for name in running.status()["counters"]:
        assert f"# TYPE crowfly_{name}_total counter" in lines


def test_metrics_please_promtool(running):
    if not shutil.which("promtool"):
        pytest.skip("promtool is not installed (package prometheus)")
    done = subprocess.run(["promtool", "check", "metrics"], input=running.get("/metrics")[1],
                          capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_ready(running):
    assert running.get("/readyz") == (200, b"ready\n")


def test_ready_though_discovery_is_down(daemon):
    """Asked in vain is asked: what is wrong is discovery's."""
    daemon.set("source eas", endpoint="http://127.0.0.1:1")
    daemon.start()
    daemon.wait_polls(2)
    assert daemon.get("/readyz") == (200, b"ready\n")


def test_status_of_one_service(running):
    told = json.loads(ask(running, "GET", STATUS + "?service=svc_b")[2])
    assert [service["name"] for service in told["services"]] == ["svc_b"]
    assert told["services"][0]["counts"] == {"up": 1, "drained": 0, "ejected": 0, "tombstones": 0}


def test_another_host_is_refused_unless_it_is_allowed(daemon):
    """Listening on every address; this host is always let in, by any of them."""
    port = daemon.http[1]
    daemon.set("http", listen=f"0.0.0.0:{port}", allow="192.0.2.0/24")
    daemon.start()
    assert daemon.get("/healthz") == (200, b"ok\n")


def asks_from(source, server):
    """The status of a GET by a host with that address."""
    connection = http.client.HTTPConnection(server, 9550, BOUND_S, source_address=(source, 0))
    try:
        connection.request("GET", STATUS)
        return connection.getresponse().status
    finally:
        connection.close()


def test_other_hosts_need_allow():
    """Asked for each request: a reload changes it at once."""
    with own_network("192.0.2.1/32", "192.0.2.2/32", "198.51.100.2/32"), Daemon() as guarded:
        guarded.source(endpoint="http://127.0.0.1:1", services="svc_a")
        guarded.set("http", listen="192.0.2.1:9550", allow="192.0.2.2/31")
        guarded.start()
        assert asks_from("192.0.2.2", "192.0.2.1") == 200
        assert asks_from("192.0.2.1", "192.0.2.1") == 200, "this host itself"
        assert asks_from("198.51.100.2", "192.0.2.1") == 403
        guarded.set("http", allow="198.51.100.0/24")
        guarded.reload()
        guarded.wait_log("reloaded")
        assert asks_from("198.51.100.2", "192.0.2.1") == 200
        assert asks_from("192.0.2.2", "192.0.2.1") == 403
        assert guarded.stop() == 0, guarded.log()


def test_head(running):
    status, headers, body = ask(running, "HEAD", STATUS)
    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) > 0


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_other_methods(running, method):
    status, headers, _body = ask(running, method, STATUS)
    assert (status, headers["Allow"]) == (405, "GET, HEAD")


def test_unknown_path_names_those_that_exist(running):
    status, _headers, body = ask(running, "GET", "/nothing")
    assert status == 404
    assert STATUS.encode() in body


@pytest.mark.parametrize("path", ["/healthz%00", "/service/svc_a%00", "//healthz", "/healthz/"])
def test_what_is_nearly_a_path_is_none(running, path):
    assert ask(running, "GET", path)[0] == 404


def test_a_name_that_was_pointed_at_this_host_reads_nothing(running):
    status, _headers, body = ask(running, "GET", STATUS, Host="evil.example")
    assert status == 421
    assert b"svc_a" not in body


def test_many_at_once(running):
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _i: running.get("/healthz"), range(200)))
    assert answers == [(200, b"ok\n")] * 200


def test_one_who_sends_nothing_delays_nobody(running):
    with socket.create_connection(running.http):
        assert running.get("/healthz") == (200, b"ok\n")


def test_requests_are_counted(running):
    before = running.counter("http_requests")
    assert running.counter("http_requests") == before + 1


def test_other_hosts_are_let_in_by_name_alone(daemon):
    daemon.set("http", listen="0.0.0.0:9550")
    daemon.write_config()
    done = daemon.run()
    assert done.returncode == 2
    assert "0.0.0.0:9550" in done.stderr
    assert "allow=10.0.0.0/8" in done.stderr


def test_an_address_in_use_is_named(daemon):
    with socket.create_server((daemon.http[0], 0)) as taken:
        endpoint = "%s:%d" % taken.getsockname()
        daemon.set("http", listen=endpoint)
        daemon.write_config()
        done = daemon.run()
    assert done.returncode == 1
    assert endpoint in done.stderr
