"""Unmodified programs under libcrowfly.so, and the same programs when crowfly is not there."""

import collections
import errno
import json
import re
import sys

import pytest

from tests.system.daemon import eventually, run
from tests.system.shares import assert_fair

NAME = "svc_a.eas.internal"
URL = f"http://{NAME}/api/predict/svc_a"
REQUESTS = 100


def ips(easim, service="svc_a"):
    return [instance["ip"] for instance in easim.instances(service)]


def curl(preload, *arguments, **environment):
    return preload.run("curl", "-sS", "--noproxy", "*", *arguments, **environment)


def assert_all_served(result, times=REQUESTS):
    assert result["failures"] == []
    assert sum(result["served"].values()) == times


# Names.


def test_many_lookups_of_one_process_follow_the_weights(running, preload):
    assert_fair(preload.probe().lookup(name=NAME, times=2600), running.instances("svc_a"))


def test_first_lookups_of_many_processes_follow_the_weights(running, preload, easim):
    processes = 260
    counts = collections.Counter()
    for _ in range(processes):
        found = preload.run("getent", "ahosts", NAME).stdout.split()
        counts[found[0]] += 1
    # Each starts at a random place: binomial, so five standard deviations and not a few picks.
    shares = [100, 100, 50, 10]
    for ip, share in zip(ips(easim), shares, strict=True):
        deviation = (share * (1 - share / processes)) ** 0.5
        assert abs(counts[ip] - share) <= 5 * deviation, counts


@pytest.mark.parametrize("name", [NAME, "svc-a.eas.internal", "SVC_A.EAS.INTERNAL", NAME + "."])
def test_spellings_of_a_name(running, preload, easim, name):
    [found] = preload.probe().lookup(name=name)
    assert found in ips(easim)


def test_a_lookup_gives_other_instances_after_the_first(running, preload, easim):
    found = [entry[0] for entry in preload.probe().lookup_all(name=NAME)]
    assert len(found) == len(set(found)) >= 3
    assert set(found) <= set(ips(easim))


def test_getent_by_the_old_interface(running, preload, easim):
    done = preload.run("getent", "hosts", "svc-b.eas.internal")
    # getent asks for IPv6 first, then for IPv4.
    assert done.returncode == 0
    assert ips(easim, "svc_b")[0] in done.stdout


def test_gethostbyname_and_its_reentrant_form(running, preload, easim):
    program = "import socket; print(socket.gethostbyname_ex('svc-b.eas.internal')[2])"
    done = preload.run(sys.executable, "-c", program)
    assert done.stdout.strip() == str(ips(easim, "svc_b"))


def test_a_map_of_ones_own(running, preload, easim):
    probe = preload.probe(CROWFLY_MAP="legacy.example.com=svc_b,other.example.com=svc_a")
    assert list(probe.lookup(name="legacy.example.com")) == ips(easim, "svc_b")
    assert_all_served(probe.get(url="http://other.example.com/", times=10), 10)


def test_aliases_and_ports_of_a_service(daemon, preload):
    daemon.set("service svc_a", alias="model.example.com", port=8080)
    daemon.start()
    daemon.wait_instances("svc_a", 4)
    probe = preload.probe()
    assert_all_served(probe.get(url="http://model.example.com:8080/", times=10), 10)
    assert probe.get(url="http://model.example.com:8081/")["failures"]


def test_names_that_are_not_ours_are_the_libcs(running, preload):
    bare = run("getent", "ahosts", "localhost")
    assert preload.run("getent", "ahosts", "localhost").stdout == bare.stdout


# Connections.


@pytest.mark.parametrize("timeout", [None, 10], ids=["blocking", "non-blocking"])
def test_requests_follow_the_weights_at_the_instances_ports(running, preload, easim, timeout):
    result = preload.probe().get(url=URL, times=520, timeout=timeout)
    assert_all_served(result, 520)
    # Every second number of the sequence, or some of them, would be up to 8 picks off.
    assert_fair(result["served"], running.instances("svc_a"), slack=3)
    assert sum(easim.requests("svc_a")) == 520


def test_curl_and_wget(running, preload, easim):
    done = curl(preload, "-d", "body", "-H", "X-Request-Id: r1", URL)
    assert json.loads(done.stdout)["received"] == 4, done.stderr
    done = preload.run("wget", "--no-proxy", "-qO-", "http://svc-a.eas.internal/")
    assert json.loads(done.stdout)["service"] == "svc_a"
    seen = collections.Counter()
    for instance in easim.instances("svc_a"):
        seen.update(instance["seen"])
    assert seen == {"r1": 1}, "sent once"


def test_the_programs_host_header_is_its_own(running, preload, easim):
    preload.probe().get(url="http://svc-b.eas.internal/")
    assert easim.instances("svc_b")[0]["hosts"] == {"svc-b.eas.internal": 1}


def test_an_instance_asked_for_by_its_own_address_and_port_is_that_one(running, preload, easim):
    probe = preload.probe()
    for instance in easim.instances("svc_a"):
        address = [instance["ip"], instance["port"]]
        assert probe.connect(ip=address[0], port=address[1]) == address


@pytest.mark.parametrize("timeout", [None, 10], ids=["blocking", "non-blocking"])
def test_a_killed_instance_costs_no_request(running, preload, easim, timeout):
    probe = preload.probe()
    probe.lookup(name=NAME)
    easim.kill("svc_a", 0)
    result = probe.get(url=URL, times=REQUESTS, timeout=timeout)
    assert_all_served(result)
    assert ips(easim)[0] not in result["served"]


def test_survivors_share_what_a_dead_instance_leaves(running, preload, easim):
    easim.kill("svc_a", 0)
    result = preload.probe().get(url=URL, times=1600)
    assert_all_served(result, 1600)
    survivors = {
        (instance["ip"], instance["port"]): instance["weight"]
        for instance in easim.instances("svc_a")[1:]
    }
    # 615 of these are picked anew; five standard deviations, had they been picked by dice.
    assert_fair(result["served"], survivors, slack=60)


def test_survivors_share_what_connects_to_a_drained_instance_bring(running, preload, easim):
    drained = easim.instances("svc_a")[0]
    for index, weight in enumerate([0, 100, 100, 100]):
        easim.set_weight("svc_a", index, weight)
    wanted = [0, 100, 100, 100]
    eventually(lambda: sorted(running.instances("svc_a").values()) == wanted)
    running.kill()  # it would find out who is dead
    easim.kill("svc_a", 1)
    probe = preload.probe()
    reached = collections.Counter(
        probe.connect(ip=drained["ip"], port=drained["port"])[0] for _ in range(600)
    )
    survivors = {(instance["ip"], instance["port"]): 1 for instance in easim.instances("svc_a")[2:]}
    # 200 of these are picked anew; five standard deviations, had they been picked by dice.
    assert_fair(reached, survivors, slack=35)


def test_curl_of_a_killed_instance(running, preload, easim):
    easim.kill("svc_a", 0)
    easim.kill("svc_a", 1)
    for _ in range(30):
        assert curl(preload, URL).returncode == 0


def test_a_refused_blocking_connect_goes_elsewhere_and_is_reported(running, preload, easim):
    victim = easim.instances("svc_a")[0]
    easim.kill("svc_a", 0)
    ip, _port = preload.probe().connect(ip=victim["ip"], port=victim["port"])
    assert ip in ips(easim)[1:]
    eventually(lambda: running.counter("reports_failed") >= 1, what="the report")


def test_an_unanswered_blocking_connect_goes_elsewhere(running, preload, easim):
    victim = easim.instances("svc_a")[0]
    easim.blackhole("svc_a", 0)
    ip, _port = preload.probe().connect(ip=victim["ip"], port=victim["port"])
    assert ip in ips(easim)[1:]


def test_when_all_are_dead_the_program_sees_the_first_error(running, preload, easim):
    for index in range(4):
        easim.kill("svc_a", index)
    victim = easim.instances("svc_a")[0]
    found = preload.probe().connect(ip=victim["ip"], port=victim["port"])
    assert found == errno.ECONNREFUSED


@pytest.mark.parametrize("timeout", [None, 10], ids=["blocking", "non-blocking"])
@pytest.mark.parametrize("own_port", [True, False], ids=["own-port", "service-port"])
def test_a_vanished_instance_is_replaced(running, preload, easim, timeout, own_port):
    victim = easim.instances("svc_a")[0]
    probe = preload.probe()
    probe.lookup(name=NAME)
    easim.unlist("svc_a", 0)
    running.wait_instances("svc_a", 3)
    easim.kill("svc_a", 0)
    port = victim["port"] if own_port else 80

    def reached():
        found = probe.connect(ip=victim["ip"], port=port, timeout=timeout)
        return isinstance(found, list) and found[0] in ips(easim)[1:]

    eventually(reached, what="another instance")


def test_a_drained_instance_is_replaced(running, preload, easim):
    victim, other = easim.instances("svc_a")[:2]
    probe = preload.probe()

    def reached(instance, port=None):
        return probe.connect(ip=instance["ip"], port=port or instance["port"])[0]

    assert [reached(victim) for _ in range(3)] == [victim["ip"]] * 3
    easim.set_weight("svc_a", 0, 0)
    eventually(lambda: 0 in running.instances("svc_a").values())
    # Who was there a moment ago: what was decided then is of another image, which the connect to
    # the other one has found to be so.
    assert reached(other) == other["ip"]
    assert reached(victim) in ips(easim)[1:]
    assert reached(victim, port=80) in ips(easim)[1:]


def test_a_slow_answer_is_never_asked_for_again(running, preload, easim):
    easim.delay("svc_b", 0, 30)
    done = curl(preload, "-m", "1", "-d", "x", "-H", "X-Request-Id: once",
                "http://svc-b.eas.internal/")  # fmt: skip
    assert done.returncode == 28  # curl: time-out
    assert easim.instances("svc_b")[0]["seen"] == {"once": 1}


def test_new_weights_reach_a_running_program(running, preload, easim):
    probe = preload.probe()
    probe.lookup(name=NAME)
    for index in range(3):
        easim.set_weight("svc_a", index, 0)
    last = {ips(easim)[3]: 50}
    eventually(lambda: probe.lookup(name=NAME, times=50) == last, what="the new weights")


# Without the daemon, and without anything.


def test_a_killed_daemon_changes_nothing(running, preload, easim):
    probe = preload.probe()
    probe.lookup(name=NAME)
    running.kill()
    assert_all_served(probe.get(url=URL, times=REQUESTS))
    easim.kill("svc_a", 0)
    assert_all_served(probe.get(url=URL, times=REQUESTS))
    assert_all_served(preload.probe().get(url=URL, times=REQUESTS))


def test_a_snapshot_that_is_gone_changes_nothing_for_who_has_it(running, preload):
    probe = preload.probe()
    probe.lookup(name=NAME)
    running.kill()
    (running.runtime_dir / "snapshot").unlink()
    assert_all_served(probe.get(url=URL, times=REQUESTS))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"\0" * 100_000),
        lambda path: path.write_bytes(path.read_bytes()[:-8]),
        lambda path: path.write_bytes(b"x" + path.read_bytes()[1:]),
        lambda path: path.chmod(0o666),
        lambda path: path.unlink() or path.symlink_to("/etc/passwd"),
        lambda path: path.unlink() or path.mkdir(),
    ],
    ids=["empty", "zeroes", "cut", "altered", "writable", "symlink", "directory"],
)
def test_a_spoilt_snapshot_is_none(running, preload, spoil):
    probe = preload.probe()
    probe.lookup(name=NAME)
    running.kill()
    spoil(running.runtime_dir / "snapshot")
    assert_all_served(probe.get(url=URL, times=20), 20)
    assert preload.run("getent", "ahosts", NAME).returncode == 2  # getent: not found
    assert preload.run("getent", "hosts", "localhost").returncode == 0


def test_without_a_daemon_all_is_as_without_crowfly(daemon, preload, easim):
    assert not daemon.runtime_dir.exists()
    instance = easim.instances("svc_a")[0]
    direct = f"http://{instance['ip']}:{instance['port']}/"
    assert json.loads(curl(preload, direct).stdout)["ip"] == instance["ip"]
    for command in (
        ["getent", "ahosts", NAME],
        ["getent", "ahosts", "localhost"],
        ["curl", "-sS", "http://127.0.0.1:1/"],
    ):
        assert told_by(preload.run(*command)) == told_by(run(*command))


def told_by(done):
    """All that a program told, but for how long it took: curl says that."""
    return done.returncode, done.stdout, re.sub(r"after \d+ ms", "after N ms", done.stderr)


def test_disabled_it_is_not_there(running, preload):
    assert preload.run("getent", "ahosts", NAME, CROWFLY_DISABLE="1").returncode == 2


def test_it_says_nothing_unless_asked(running, preload, easim):
    easim.kill("svc_a", 0)
    done = curl(preload, URL)
    assert (done.returncode, done.stderr) == (0, "")
    assert "crowfly" in curl(preload, URL, CROWFLY_LOG="debug").stderr


def test_no_descriptor_is_kept(running, preload):
    program = f"""
import os, socket
before = os.listdir("/proc/self/fd")
socket.getaddrinfo("{NAME}", 80)
assert os.listdir("/proc/self/fd") == before
"""
    done = preload.run(sys.executable, "-c", program)
    assert done.returncode == 0, done.stderr


def test_children_of_a_fork_work(running, preload):
    program = f"""
import os, socket, sys
socket.getaddrinfo("{NAME}", 80)
for _ in range(20):
    child = os.fork()
    if child == 0:
        socket.create_connection(("{NAME}", 80)).close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
"""
    done = preload.run(sys.executable, "-c", program)
    assert done.returncode == 0, done.stderr


# Names on demand.


@pytest.fixture
def demanding(daemon, easim):
    daemon.source(endpoint=easim.endpoint, services="*")
    daemon.start()
    return daemon


@pytest.mark.parametrize("name", ["svc_b.eas.internal", "svc-b.eas.internal"])
def test_a_name_on_demand_is_waited_for(demanding, preload, easim, name):
    assert list(preload.probe().lookup(name=name)) == ips(easim, "svc_b")
    assert demanding.counter("reports_wanted") >= 1


def test_more_names_on_demand_at_once_than_the_daemon_queues(daemon, preload, easim):
    names = [f"m{number}" for number in range(30)]
    for name in names:
        easim.add_service(name, [1])
    daemon.source(endpoint=easim.endpoint, services="*", timeout="10s")
    daemon.start()
    asked = [f"{name}.eas.internal" for name in names]
    assert preload.probe().lookup_at_once(names=asked) == len(names)


def test_an_unknown_name_on_demand_is_remembered_as_such(daemon, preload, easim):
    daemon.source(endpoint=easim.endpoint, services="*", timeout="10s")
    daemon.start()
    # The libc looks for the name too: where its own server does not answer, not for long.
    probe = preload.probe(RES_OPTIONS="timeout:1 attempts:1")

    def ask_while_it_is_remembered():
        """The daemon forgets it after a while, as it should, but not while it stands still."""
        nonlocal asked
        first = probe.lookup(name="nope.eas.internal")
        asked = daemon.counter("reports_wanted")
        with daemon.stopped():
            if b"nope.eas.internal" not in (daemon.runtime_dir / "snapshot").read_bytes():
                return False
            return probe.lookup(name="nope.eas.internal", times=5) == {next(iter(first)): 5}

    asked = 0
    eventually(ask_while_it_is_remembered, what="the same word on the unknown name")
    assert easim.polls("nope") == 2 * asked, "on both paths"
    # Reports are taken in order: had there been others, they would have been counted before this.
    assert list(probe.lookup(name="svc_b.eas.internal")) == ips(easim, "svc_b")
    assert daemon.counter("reports_wanted") == asked + 1
