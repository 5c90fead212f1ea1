"""crowfly doctor: each thing that can be wrong is found, and comes with the next step."""

import json
import os
import shutil
import socket
import threading

import pytest

from tests.system.daemon import BOUND_S, BUILD, ROOT, eventually, run

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make a namespace")


class Findings:
    """What doctor found: Findings.of("dns") are (verdict, text) of that subject."""

    def __init__(self, done):
        assert done.stderr == ""
        self.status = done.returncode
        told = json.loads(done.stdout)
        self.all = told["findings"]
        verdicts = [finding["verdict"] for finding in self.all]
        assert told["failed"] == verdicts.count("fail")
        assert told["warned"] == verdicts.count("warn")
        assert self.status == (1 if told["failed"] else 0)
        for finding in self.all:
            assert finding["verdict"] == "ok" or finding["next"], finding

    def of(self, about):
        return [(f["verdict"], f["text"]) for f in self.all if f["about"] == about]

    def only(self, about):
        found = self.of(about)
        assert len(found) == 1, self.all
        return found[0]


@pytest.fixture
def doctor(daemon):
    environment = {**os.environ, "CROWFLY_RUNTIME_DIR": str(daemon.runtime_dir)}

    def ask(*arguments, prefix=()):
        command = [*prefix, BUILD / "crowfly", "doctor", "--json", *arguments]
        return Findings(run(*command, environment=environment))

    return ask


def test_a_host_where_all_is_well(running, doctor, own_library):
    found = doctor()
    assert found.status == 0
    assert found.only("daemon")[0] == "ok"
    assert found.only("snapshot")[0] == "ok"
    assert found.only("http") == ("ok", "http://%s:%d/ answers, and is ready" % running.http)
    assert found.only("service") == ("ok", "2 services with a good list")
    assert found.only("preload")[0] == "ok"
    assert found.only("dns")[0] == "ok"
    assert found.of("instance") == [
        ("ok", "svc_a: 4 of 4 instances take connections"),
        ("ok", "svc_b: 1 of 1 instances take connections"),
    ]


def test_for_people(running, daemon, own_library):
    done = run(BUILD / "crowfly", "doctor", "--runtime-dir", daemon.runtime_dir)
    assert done.returncode == 0
    assert "nothing is wrong" in done.stdout
    assert "\033" not in done.stdout


def test_one_service(running, doctor):
    found = doctor("--service", "svc_b")
    assert [text for _, text in found.of("instance")] == ["svc_b: 1 of 1 instances take connections"]


def test_no_daemon_and_no_snapshot(daemon, doctor):
    found = doctor()
    assert found.only("daemon")[0] == "fail"
    verdict, text = found.only("snapshot")
    assert verdict == "note" and str(daemon.runtime_dir) in text
    assert found.of("instance") == []


def test_a_snapshot_that_was_taken_away(running, doctor):
    with running.stopped():  # else it writes another
        (running.runtime_dir / "snapshot").unlink()
        found = doctor()
    assert found.only("daemon")[0] == "ok"
    verdict, text = found.only("snapshot")
    assert verdict == "fail" and "though crowflyd runs" in text


@needs_root
def test_a_user_who_may_not_look(running, doctor):
    running.runtime_dir.chmod(0o700)
    running.directory.chmod(0o755)
    found = doctor(prefix=("setpriv", "--reuid", "65534", "--clear-groups"))
    verdict, text = found.only("daemon")
    assert verdict == "fail" and "may not look into" in text and "does not run" not in text
    assert found.of("snapshot") == []


def test_a_daemon_that_died(running, doctor):
    """What fails because of that is said, and is no failure of its own."""
    running.kill()
    found = doctor()
    assert [f["about"] for f in found.all if f["verdict"] == "fail"] == ["daemon"]
    verdict, text = found.only("dns")
    assert verdict == "note" and "does not answer, as crowflyd does not run" in text
    verdict, text = found.only("http")
    assert verdict == "note" and "refuses connections, as crowflyd does not run" in text
    follow = [f["about"] for f in found.all if "from which this follows" in (f["next"] or "")]
    assert follow == ["http", "dns"]


def test_a_daemon_that_died_and_somebody_in_its_place(running, doctor):
    """An answer that is wrong does not follow from its death."""
    running.kill()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(running.dns)
        other.settimeout(BOUND_S)
        answers = threading.Thread(target=deny_both, args=(other,))
        answers.start()
        verdict, text = doctor("--service", "svc_b").only("dns")
        answers.join()
    assert verdict == "fail" and "the answer has no address" in text


def deny_both(sock):
    """Answers NXDOMAIN to the question for IPv4 addresses, and to that for IPv6."""
    for _ in range(2):
        query, where = sock.recvfrom(512)
        sock.sendto(query[:2] + b"\x81\x83" + query[4:], where)


def test_a_daemon_that_hangs(running, doctor):
    with running.stopped():
        found = doctor("--service", "svc_b")
    assert found.only("daemon")[0] == "ok"
    verdict, text = found.only("http")
    assert verdict == "fail" and "no answer came within 3 s" in text


def test_pages_that_are_off(daemon, doctor):
    daemon.set("http", listen="none")
    daemon.start()
    eventually(lambda: doctor("--service", "svc_b").of("service") ==
               [("ok", "1 service with a good list")], what="the list")
    verdict, text = doctor("--service", "svc_b").only("http")
    assert verdict == "note" and "listen=none" in text


def test_pages_that_are_not_ready(easim, daemon, doctor):
    easim.fault("hang", "svc_b")
    daemon.set("source eas", timeout="60s")
    daemon.start()
    daemon.wait_instances("svc_a", 4)
    verdict, text = doctor("--service", "svc_a").only("http")
    assert verdict == "warn" and text.endswith("is not ready: 1 service was not asked for yet, or "
                                               "is not shown yet")


def test_another_server_in_the_place_of_the_pages(running, doctor):
    """crowflyd is gone, and somebody else listens there."""
    running.kill()
    with socket.create_server(running.http) as other:
        answers = threading.Thread(target=answer_once, args=(other, b"HTTP/1.0 404 No\r\n\r\n"))
        answers.start()
        verdict, text = doctor("--service", "svc_b").only("http")
        answers.join()
        assert verdict == "fail" and "answers 404, as crowflyd does not" in text
        answers = threading.Thread(target=answer_once, args=(other, b"220 mail.example\r\n"))
        answers.start()
        verdict, text = doctor("--service", "svc_b").only("http")
        answers.join()
        assert verdict == "fail" and "not HTTP" in text


def answer_once(server, answer):
    connection, _peer = server.accept()
    with connection:
        connection.recv(4096)
        connection.sendall(answer)


def test_a_snapshot_that_is_left_behind(easim, running, doctor, tmp_path):
    """As where a container mounts the file in place of its directory."""
    shutil.copy(running.runtime_dir / "snapshot", tmp_path)
    easim.add_instance("svc_b", 100)
    running.wait_instances("svc_b", 2)
    assert doctor().only("snapshot")[0] == "ok"
    found = doctor("--runtime-dir", tmp_path)
    [(verdict, text)] = [pair for pair in found.of("snapshot") if pair[0] != "ok"]
    assert verdict == "warn" and f"the snapshot in {tmp_path} is older" in text


def test_a_service_that_is_not_there(running, doctor):
    verdict, text = doctor("--service", "nope").only("service")
    assert verdict == "fail" and "nope" in text


NOT_OURS = [{"ip": "192.0.2.1", "port": 80, "weight": 100}]


@pytest.mark.parametrize(
    "spoil, ending, step",
    [
        (lambda easim: easim.fault("status", "svc_b", status=500), "answered 500", "crowflyd's log"),
        (lambda easim: easim.fault("status", "svc_b", status=404), "answered 404", "its name"),
        (lambda easim: easim.set_weight("svc_b", 0, 0), "instances of weight 0", "a weight above 0"),
        (lambda easim: easim.set_items("svc_b", NOT_OURS), "networks that they are in", "accept="),
    ],
    ids=["fails", "unknown", "drained", "outside"],
)
def test_a_service_without_a_list(easim, daemon, doctor, spoil, ending, step):
    spoil(easim)
    daemon.start()
    daemon.wait_instances("svc_a", 4)
    daemon.wait_log("service svc_b: .*there is no list yet")
    found = doctor()
    verdict, text = found.only("service")
    assert verdict == "fail" and text.startswith("svc_b has no list yet")
    assert text.endswith(ending)
    assert step in next(each["next"] for each in found.all if each["about"] == "service")


def test_discovery_that_fails(easim, running, doctor):
    easim.fault("status", "svc_b", status=500)
    eventually(lambda: running.service("svc_b")["stale"], what="svc_b is stale")
    verdict, text = doctor().only("service")
    assert verdict == "warn" and text.startswith("svc_b: discovery has not confirmed its list")
    assert text.endswith("answered 500")


def test_an_instance_that_refuses(easim, running, doctor):
    easim.kill("svc_a", 0)
    victim = "{ip}:{port}".format(**easim.instances("svc_a")[0])
    found = doctor("--service", "svc_a")
    assert ("ok", "svc_a: 3 of 4 instances take connections") in found.of("instance")
    (failed,) = [pair for pair in found.of("instance") if pair[0] == "warn"]
    assert victim in failed[1] and "refuses" in failed[1]


def test_the_same_step_is_told_once(easim, running, daemon):
    for i in (0, 1):
        easim.kill("svc_a", i)
    done = run(BUILD / "crowfly", "doctor", "--service", "svc_a", "--runtime-dir", daemon.runtime_dir)
    assert done.stdout.count("look at the instance's process") == 1
    assert done.stdout.count("-> as above\n") == 1


def test_below_crowfly_run(easim, running, doctor, own_library):
    """The library goes round an instance that refuses; doctor must see it all the same."""
    easim.kill("svc_a", 0)
    found = doctor("--service", "svc_a", prefix=(BUILD / "crowfly", "run", "--"))
    assert ("ok", "svc_a: 3 of 4 instances take connections") in found.of("instance")


def test_an_instance_that_is_silent(easim, running, doctor):
    easim.blackhole("svc_b", 0)
    victim = "{ip}:{port}".format(**easim.instances("svc_b")[0])
    found = doctor("--service", "svc_b")
    verdict, text = found.only("instance")
    assert verdict == "fail", "all instances of the service"
    assert victim in text and "does not answer" in text
    (finding,) = [f for f in found.all if f["about"] == "instance"]
    assert "security group" in finding["next"]


def test_an_instance_that_is_being_taken_down(easim, running, doctor):
    easim.set_weight("svc_a", 0, 0)
    easim.kill("svc_a", 0)
    eventually(lambda: running.service("svc_a")["counts"]["drained"] == 1, what="it is drained")
    found = doctor("--service", "svc_a")
    assert found.of("instance") == [("ok", "svc_a: 3 of 3 instances take connections")]


@needs_root
def test_a_host_without_a_route(running, doctor):
    found = doctor("--service", "svc_b", prefix=("unshare", "--net"))
    verdict, text = found.only("instance")
    assert verdict == "fail" and "outside the networks" in text
    assert found.only("dns")[0] == "fail"


def test_a_responder_that_is_off(daemon, doctor):
    daemon.set("dns", listen="none")
    daemon.start()
    daemon.wait_instances("svc_b", 1)
    assert doctor("--service", "svc_b").only("dns")[0] == "note"


def test_programs(running, doctor, own_library):
    verdict, text = doctor("--service", "svc_b", "curl").only("program")
    assert verdict == "ok" and shutil.which("curl") in text
    verdict, text = doctor("--service", "svc_b", "/sbin/ldconfig").only("program")
    assert verdict == "warn" and "statically linked" in text
    verdict, text = doctor("--service", "svc_b", "no-such-program").only("program")
    assert verdict == "fail"


def test_a_script_without_its_interpreter(running, doctor, tmp_path):
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    assert doctor("--service", "svc_b", script).only("program")[0] == "ok"
    script.write_text("#!/no/such/shell\n")
    verdict, text = doctor("--service", "svc_b", script).only("program")
    assert verdict == "fail" and "no interpreter /no/such/shell" in text


def test_a_host_without_getent(running, doctor):
    found = doctor("--service", "svc_b", prefix=("env", "PATH=/nowhere"))
    assert found.of("preload") == []
    verdict, text = found.only("system")
    assert verdict == "warn" and "getent" in text
    assert found.only("dns")[0] == "ok"


@needs_root
@pytest.mark.parametrize("hosts, found", [
    ("files mdns4_minimal [NOTFOUND=return]", "warn"),
    ("files mdns4_minimal [NOTFOUND=return] dns", "note"),
    ("files resolve", "note"),
])  # fmt: skip
def test_who_is_asked_for_hosts(running, doctor, tmp_path, hosts, found):
    (tmp_path / "nsswitch.conf").write_text(f"hosts:\t{hosts}\n")
    script = 'mount --bind "$0" /etc/nsswitch.conf && exec "$@"'
    prefix = ("unshare", "--mount", "--net", "sh", "-c", script, tmp_path / "nsswitch.conf")
    verdict, text = doctor("--service", "svc_b", prefix=prefix).only("system")
    assert verdict == found
    assert ("lets no program ask DNS" in text) == (found == "warn")


@needs_root
def test_how_the_system_resolves(running, doctor, tmp_path):
    """systemd-resolved's stub gets another next step than a plain name server."""

    def with_resolv_conf(text):
        (tmp_path / "resolv.conf").write_text(text)
        script = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
        return doctor("--service", "svc_b",
                      prefix=("unshare", "--mount", "--net", "sh", "-c", script,
                              tmp_path / "resolv.conf"))  # fmt: skip

    def system(found):
        (finding,) = [f for f in found.all if f["about"] == "system"]
        return finding

    stub = system(with_resolv_conf("nameserver 127.0.0.53\noptions edns0\n"))
    assert stub["verdict"] == "note" and "resolved-crowfly.conf" in stub["next"]
    plain = system(with_resolv_conf("nameserver 192.0.2.1\n"))
    assert "names other servers" in plain["text"] and "upstream" in plain["next"]
    assert "names no server" in system(with_resolv_conf("# nothing\n"))["text"]


@needs_root
def test_a_host_whose_name_server_is_the_responder(daemon, doctor, tmp_path):
    address, _port = daemon.dns
    daemon.set("dns", listen=f"{address}:53")  # resolv.conf(5) knows no other port
    daemon.start()
    daemon.wait_instances("svc_b", 1)
    (tmp_path / "resolv.conf").write_text(f"nameserver {address}\n")
    script = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
    prefix = ("unshare", "--mount", "sh", "-c", script, tmp_path / "resolv.conf")
    assert doctor("--service", "svc_b", prefix=prefix).only("system")[0] == "ok"
    daemon.kill()
    verdict, text = doctor("--service", "svc_b", prefix=prefix).only("system")
    assert verdict == "note" and "names the responder, which does not answer" in text
