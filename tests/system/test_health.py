"""Health: the host learns once which instances are down, and who is back.

Probes and waits are shortened by [health]; nothing here sleeps or asserts a time.
"""

import collections
import contextlib
import socket
import struct
import subprocess
import sys
import time

import pytest

from tests.easim import Easim
from tests.system.daemon import BUILD, SANITIZED, Daemon, eventually, preload_environment
from tests.system.lookup import addresses, ask
from tests.system.snippet import snippet
from tests.system.stepper import Steppers

NAME = "svc_a.eas.internal"
QUICK = {"eject_backoff_min": "20ms", "eject_backoff_max": "100ms", "recovery_ramp": "0s"}
CLIENTS = 64


@pytest.fixture
def easim():
    """svc_a with four instances of one weight, svc_b with one."""
    with Easim() as running:
        running.add_service("svc_a", [100] * 4, same_port=True)
        running.add_service("svc_b", [1])
        yield running


@pytest.fixture
def daemon(easim):
    with Daemon() as configured:
        configured.source(endpoint=easim.endpoint, services="svc_a,svc_b")
        configured.set("health", **QUICK)
        yield configured
        if configured.process is not None:
            assert configured.stop() == 0, configured.log()


def start(daemon, **health):
    daemon.set("health", **health)
    daemon.start()
    daemon.wait_instances("svc_a", 4)
    daemon.wait_instances("svc_b", 1)


def states(daemon, service="svc_a"):
    """Address -> state, of the image that is out."""
    return {i["address"]: i["state"] for i in daemon.service(service)["instances"]}


def ejected(daemon, service="svc_a"):
    return {address for address, state in states(daemon, service).items() if state == "ejected"}


def wait_ejected(daemon, addresses_out, service="svc_a"):
    eventually(lambda: ejected(daemon, service) == set(addresses_out),
               what=f"{addresses_out or 'nobody'} out of picks")  # fmt: skip


def datagram(instance, service="svc_a", error=111):
    """What the preload library sends when a connect() has failed."""
    name = service.encode()
    address = b"\0" * 10 + b"\xff\xff" + socket.inet_aton(instance["ip"])
    head = struct.pack("=HHIIHH16s", 1, 1, error, 100, instance["port"], len(name), address)
    return head + name


def report(daemon, instance, service="svc_a", times=1, error=111):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.connect(str(daemon.runtime_dir / "report"))
        for _ in range(times):
            sock.send(datagram(instance, service, error))


@pytest.fixture
def steppers(daemon):
    with contextlib.ExitStack() as stack:

        def begin(count=CLIENTS):
            return stack.enter_context(Steppers(daemon, count))

        yield begin


# Programs


def test_who_refuses_costs_the_host_no_more_than_what_was_in_flight(daemon, easim, steppers):
    start(daemon)
    programs = steppers()
    assert programs.connect(5) == 0
    victim = easim.instances("svc_a")[0]["ip"]
    easim.retire("svc_a", 0)
    in_vain = 0
    while not ejected(daemon):
        in_vain += programs.connect()
    assert 1 <= in_vain <= CLIENTS
    assert ejected(daemon) == {victim}
    assert programs.connect(20) == 0, "the image is out"


def test_who_is_silent_costs_those_alone_that_met_it(daemon, easim, steppers):
    """FAULTS N1."""
    start(daemon)
    programs = steppers()
    assert programs.connect(5) == 0
    victim = easim.instances("svc_a")[0]["ip"]
    easim.blackhole("svc_a", 0)
    while programs.connect() == 0:
        pass
    wait_ejected(daemon, {victim})
    assert programs.connect(20) == 0
    assert daemon.counter("probes_timeout") >= 2


def test_an_address_resolved_before_goes_elsewhere_at_once(daemon, easim, steppers):
    """A program that holds on to an address does not pay for it."""
    start(daemon)
    victim = easim.instances("svc_a")[0]
    easim.retire("svc_a", 0)
    report(daemon, victim)
    wait_ejected(daemon, {victim["ip"]})
    environment = preload_environment(
        daemon.runtime_dir, BUILD / "libcrowfly.so", CROWFLY_LOG="info"
    )
    done = subprocess.run(
        [snippet("connect_blocking"), victim["ip"], str(victim["port"])],
        env=environment, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert "connect 0" in done.stdout
    assert done.stderr == "", "an attempt was in vain"


def test_survivors_are_given_their_shares(daemon, easim):
    """FAULTS N2."""
    start(daemon)
    victim = easim.instances("svc_a")[0]
    easim.retire("svc_a", 0)
    report(daemon, victim)
    wait_ejected(daemon, {victim["ip"]})
    first = collections.Counter(addresses(ask(daemon, NAME))[0] for _ in range(600))
    assert set(first) == {i["ip"] for i in easim.instances("svc_a")[1:]}
    assert all(abs(count - 200) <= 6 for count in first.values()), first


def test_who_is_back_is_picked_again(daemon, easim, steppers):
    start(daemon)
    victim = easim.instances("svc_a")[0]
    easim.retire("svc_a", 0)
    report(daemon, victim)
    wait_ejected(daemon, {victim["ip"]})
    easim.revive("svc_a", 0)
    wait_ejected(daemon, set())
    assert daemon.counter("readmissions") == 1
    assert steppers(4).connect(20) == 0


def test_who_comes_and_goes_is_followed(daemon, easim):
    start(daemon)
    victim = easim.instances("svc_a")[0]
    for _ in range(5):
        easim.retire("svc_a", 0)
        # One report a second is taken for news; this is what programs send meanwhile.
        eventually(lambda: report(daemon, victim) or ejected(daemon) == {victim["ip"]},
                   what="out of picks")  # fmt: skip
        easim.revive("svc_a", 0)
        wait_ejected(daemon, set())
    assert daemon.counter("ejections") == daemon.counter("readmissions") == 5


# All of them


def test_all_down_means_all_in(daemon, easim, steppers):
    """FAULTS N3."""
    start(daemon)
    programs = steppers(4)
    instances = easim.instances("svc_a")
    for index in range(4):
        easim.retire("svc_a", index)
    for instance in instances:
        report(daemon, instance)
    daemon.wait_log("service svc_a: all 4 instances seem to be down")
    wait_ejected(daemon, set())
    probes = daemon.counter("probes")
    eventually(lambda: daemon.counter("probes") > probes + 20, what="twenty more probes")
    assert ejected(daemon) == set()
    assert len(daemon.log_lines("seem to be down")) == 1, "said once"
    easim.revive("svc_a", 2)
    daemon.wait_log("service svc_a: 1 of 4 instances answer again")
    wait_ejected(daemon, {i["ip"] for i in instances} - {instances[2]["ip"]})
    assert programs.connect(5) == 0


def test_the_only_one_stays(daemon, easim):
    start(daemon)
    easim.retire("svc_b", 0)
    report(daemon, easim.instances("svc_b")[0], "svc_b")
    daemon.wait_log("service svc_b: its only instance seems to be down: connect refused")
    assert ejected(daemon, "svc_b") == set()


def in_own_network():
    """A command prefix that runs what follows in a network of its own, with lo alone."""
    probe = subprocess.run(["unshare", "-n", "true"], capture_output=True, check=False)
    if probe.returncode != 0:
        pytest.skip("needs root, or unshare: a network namespace of its own")
    return ["unshare", "-n", "sh", "-c", 'ip link set lo up; exec "$@"', "sh"]


def test_a_lost_route_ejects_nobody(tmp_path):
    """FAULTS N6: to a host without a route, everything is unreachable."""
    prefix = in_own_network()
    items = [{"app": "x", "ip": f"10.9.8.{n}", "port": 80, "weight": 100} for n in range(1, 5)]
    listed = tmp_path / "list.json"
    listed.write_text('{"endpoints":{"items":%s}}' % str(items).replace("'", '"'))

    class Alone(Daemon):
        def command(self, *arguments):
            return [*prefix, *super().command(*arguments)]

    with Alone() as daemon:
        daemon.set("source disk", type="file", path=listed, services="svc_a")
        daemon.set("health", **QUICK)
        daemon.start()
        daemon.wait_log("service svc_a: 4 instances")
        report(daemon, {"ip": "10.9.8.1", "port": 80}, error=101)
        daemon.wait_log("all 4 instances seem to be down, the first: unreachable; all stay in "
                        "picks, and the network of this host may be the cause")  # fmt: skip
        assert not daemon.log_lines("out of picks")
        assert daemon.stop() == 0


# Lists


def test_who_leaves_the_list_and_comes_back_is_in_at_once(daemon, easim):
    start(daemon, eject_backoff_max="1h", eject_backoff_min="1m")
    victim = easim.instances("svc_a")[0]
    easim.retire("svc_a", 0)
    report(daemon, victim)
    wait_ejected(daemon, {victim["ip"]})
    easim.set_weight("svc_a", 1, 50)  # another list, in which it still is
    eventually(lambda: 50 in daemon.instances("svc_a").values(), what="the new weight")
    assert ejected(daemon) == {victim["ip"]}
    easim.unlist("svc_a", 0)
    daemon.wait_instances("svc_a", 3)
    easim.list("svc_a", 0)
    daemon.wait_instances("svc_a", 4)
    assert ejected(daemon) == set()


def test_an_address_of_another_service_is_wrong_until_the_next_list(daemon, easim, steppers):
    """FAULTS N5: it answers, so that no probe can tell."""
    start(daemon)
    foreign = easim.instances("svc_b")[0]
    own = easim.instances("svc_a")
    easim.set_items("svc_a", [{"ip": foreign["ip"], "port": foreign["port"], "weight": 1}])
    daemon.wait_instances("svc_a", 1)
    report(daemon, foreign)
    eventually(lambda: daemon.counter("probes_ok") >= 1, what="the probe")
    assert ejected(daemon) == set()
    easim.set_items("svc_a", None)
    daemon.wait_instances("svc_a", 4)
    before = easim.instances("svc_b")[0]["connections"]
    assert steppers(4).connect(20) == 0
    assert easim.instances("svc_b")[0]["connections"] == before
    assert sum(i["connections"] for i in easim.instances("svc_a")) >= 80
    assert len(own) == 4


def test_a_restart_knows_nothing_of_health(daemon, easim):
    start(daemon, eject_backoff_max="1h", eject_backoff_min="1m")
    victim = easim.instances("svc_a")[0]
    easim.retire("svc_a", 0)
    report(daemon, victim)
    wait_ejected(daemon, {victim["ip"]})
    assert daemon.stop() == 0
    daemon.start()
    assert set(states(daemon).values()) == {"up"}
    report(daemon, victim)
    wait_ejected(daemon, {victim["ip"]})


def test_without_probes_nobody_is_out(daemon, easim):
    start(daemon)
    victim = easim.instances("svc_a")[0]
    easim.retire("svc_a", 0)
    report(daemon, victim)
    wait_ejected(daemon, {victim["ip"]})
    daemon.set("health", probe_rate="0")
    daemon.reload()
    wait_ejected(daemon, set())
    report(daemon, victim)
    daemon.wait_polls(2)
    assert ejected(daemon) == set()


# DNS alone


def test_what_dns_hands_out_is_probed_without_any_report(daemon, easim):
    start(daemon, probe_interval="50ms")
    victim = easim.instances("svc_a")[0]["ip"]
    while victim not in addresses(ask(daemon, NAME)):
        pass
    easim.retire("svc_a", 0)
    wait_ejected(daemon, {victim})
    assert daemon.counter("reports_failed") == 0
    given = {a for _ in range(30) for a in addresses(ask(daemon, NAME))}
    assert victim not in given and len(given) == 3
    easim.revive("svc_a", 0)
    wait_ejected(daemon, set())
    assert victim in {a for _ in range(30) for a in addresses(ask(daemon, NAME))}


@pytest.mark.skipif(SANITIZED, reason="a library cannot be loaded before a sanitizer's")
def test_a_daemon_under_its_own_library(daemon, easim):
    """As where LD_PRELOAD is set for a whole container. The library goes round who is down."""
    start(daemon)
    assert daemon.stop() == 0  # leaves a snapshot, which the library finds at its start
    daemon.start(environment=preload_environment(daemon.runtime_dir))
    daemon.wait_instances("svc_a", 4)
    victim = easim.instances("svc_a")[0]["ip"]
    easim.retire("svc_a", 0)
    report(daemon, easim.instances("svc_a")[0])
    eventually(lambda: daemon.counter("probes") >= 5, what="probes of who is down")
    assert daemon.counter("probes_ok") == 0
    assert ejected(daemon) == {victim}


def test_what_nobody_asked_for_is_not_probed(daemon, easim):
    start(daemon, probe_interval="10ms")
    daemon.wait_polls(10)
    assert daemon.counter("probes") == 0


# Hostile senders


def test_forged_reports_cost_an_instance_a_probe_a_second(daemon, easim):
    start(daemon)
    victim = easim.instances("svc_a")[0]
    began = time.monotonic()
    while daemon.counter("probes") < 2:
        report(daemon, victim, times=200)
    most = int(time.monotonic() - began) + 2
    report(daemon, victim, times=200)
    assert daemon.counter("probes") <= most
    assert easim.instances("svc_a")[0]["connections"] <= most
    assert easim.instances("svc_a")[0]["requests"] == 0, "a probe sends nothing"
    assert daemon.counter("reports_known") >= 300
    assert ejected(daemon) == set()


def test_nobody_makes_us_connect_elsewhere(daemon, easim):
    start(daemon)
    with socket.create_server((daemon.dns[0], 0)) as other:
        ip, port = other.getsockname()
        report(daemon, {"ip": ip, "port": port}, times=50)
        report(daemon, easim.instances("svc_a")[0], service="svc_b", times=50)
        eventually(lambda: daemon.counter("reports_unknown") == 100, what="all reports")
        assert daemon.counter("probes") == 0
        other.setblocking(False)
        with pytest.raises(BlockingIOError):
            other.accept()


def test_a_sender_has_an_allowance(easim, daemon):
    easim.add_service("large", [1] * 100, same_port=True)
    daemon.source(endpoint=easim.endpoint, services="large")
    daemon.start()
    daemon.wait_instances("large", 100)
    for instance in easim.instances("large"):
        report(daemon, instance, "large")
    eventually(lambda: daemon.counter("reports_failed") == 100, what="all reports")
    limited = daemon.counter("reports_limited")
    assert limited >= 50
    eventually(lambda: daemon.counter("probes") >= 20, what="what was allowed")
    assert daemon.counter("probes") <= 50
    # One of 256 processes shares the first one's allowance (daemon/health/limit.h).
    for instance in easim.instances("large")[97:]:
        report_from_another_process(daemon, instance, "large")
    eventually(lambda: daemon.counter("reports_failed") == 103, what="the other ones' reports")
    assert daemon.counter("reports_limited") - limited <= 1, "each has an allowance of its own"


def report_from_another_process(daemon, instance, service):
    send = (
        "import socket, sys;"
        "socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)"
        ".sendto(bytes.fromhex(sys.argv[2]), sys.argv[1])"
    )
    where, what = daemon.runtime_dir / "report", datagram(instance, service).hex()
    subprocess.run([sys.executable, "-c", send, where, what], check=True)


FLOOD = 50_000 if SANITIZED else 1_000_000


def cpu_s(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def flood(daemon, instance, count):
    """Sends without waiting. Returns how many were taken, and the seconds it took."""
    sent, taken, began = datagram(instance), 0, time.monotonic()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.connect(str(daemon.runtime_dir / "report"))
        sock.setblocking(False)
        for _ in range(count):
            try:
                sock.send(sent)
                taken += 1
            except BlockingIOError:
                pass
    return taken, time.monotonic() - began


def test_a_flood_of_reports_is_borne(daemon, easim, capsys):
    start(daemon)
    polls, before = daemon.counter("polls_ok"), cpu_s(daemon.process.pid)
    taken, took = 0, 0.0
    for _ in range(10):
        more, seconds = flood(daemon, easim.instances("svc_a")[1], FLOOD // 10)
        taken, took = taken + more, took + seconds
        assert addresses(ask(daemon, NAME))
    used = cpu_s(daemon.process.pid) - before
    daemon.wait_polls(1, "polls_ok")
    assert daemon.counter("polls_ok") > polls
    assert daemon.counter("reports_shed") > 0
    eventually(lambda: daemon.counter("reports_failed") == taken, what="all that were taken")
    assert ejected(daemon) == set()
    with capsys.disabled():
        print(f"\n{FLOOD} reports in {took:.1f} s: {taken} taken, {FLOOD - taken} shed by the "
              f"kernel; crowflyd used {used:.2f} s of cpu, {1e6 * used / max(taken, 1):.1f} us "
              f"for each that was taken, {100 * used / took:.0f} % of one cpu")  # fmt: skip
