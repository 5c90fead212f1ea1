"""The host names that discovery is at are looked up through the upstreams, never by asking the
system, which may be crowflyd itself."""

import contextlib
import ctypes
import os

import pytest

from tests.easim import Easim
from tests.system.daemon import Daemon, eventually, run
from tests.system.lookup import addresses, ask
from tests.system.upstream import Upstream, answer, negative, silent

CLONE_NEWNS = 0x20000
CLONE_FS = 0x200
THREADS = 3  # the main one, one that answers DNS, and ThreadSanitizer's own where it is


@contextlib.contextmanager
def own_resolv_conf(directory, text):
    """The calling thread, and what it starts, sees this text as /etc/resolv.conf."""
    if os.geteuid() != 0:
        pytest.skip("a mount namespace of one's own needs root")
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY)
    where = directory / "resolv.conf"
    where.write_text(text)
    try:
        with contextlib.ExitStack() as stack:
            stack.callback(os.chdir, os.getcwd())  # setns(2) leaves it at the root
            # A thread that shares its root with others cannot come back (setns(2)): CLONE_FS.
            assert libc.unshare(CLONE_NEWNS | CLONE_FS) == 0, os.strerror(ctypes.get_errno())
            stack.callback(lambda: libc.setns(before, CLONE_NEWNS))
            assert run("mount", "--make-rprivate", "/").returncode == 0
            assert run("mount", "--bind", where, "/etc/resolv.conf").returncode == 0
            yield
    finally:
        os.close(before)


@pytest.fixture
def upstream(easim):
    with Upstream() as scripted:
        script(scripted, answer("60 A " + host_of(easim)))
        yield scripted


def script(upstream, behaviour, host="eas.example"):
    """What is asked for the host's IPv4 addresses gets; there are no others."""
    upstream.on(host, negative("NOERROR"), "AAAA")
    upstream.on(host, behaviour, "A")


def host_of(easim):
    return easim.endpoint.removeprefix("http://").split(":")[0]


def named(easim, name="eas.example"):
    return f"http://{name}:{easim.endpoint.split(':')[2]}"


def endpoint(upstream):
    return "%s:%d" % upstream.endpoint


def threads(daemon):
    return len(os.listdir(f"/proc/{daemon.process.pid}/task"))


def test_a_cold_start_where_resolv_conf_names_crowflyd_alone(daemon, easim, upstream, tmp_path):
    daemon.source(endpoint=named(easim), services="svc_a,svc_b")
    daemon.set("dns", upstream=endpoint(upstream))
    with own_resolv_conf(tmp_path, f"nameserver {daemon.dns[0]}\n"):
        daemon.start()
        daemon.wait_instances("svc_a", 4)
        daemon.wait_instances("svc_b", 1)
        assert addresses(ask(daemon, "www.example.com")) == ["192.0.2.1"]
        assert threads(daemon) <= THREADS
        assert daemon.counter("dns_queries_udp") == 1, "it asked itself nothing"


def test_resolv_conf_that_names_crowflyd_alone_and_no_upstream(daemon, easim, tmp_path):
    daemon.dns = daemon.dns[0], 53
    daemon.set("dns", listen=daemon.dns[0])
    daemon.source(endpoint=named(easim), services="svc_a")
    with own_resolv_conf(tmp_path, f"nameserver {daemon.dns[0]}\n"):
        daemon.start()
        daemon.wait_log(r"cannot look up eas\.example: .*names nobody but crowflyd")


@pytest.mark.skipif(os.geteuid() != 0, reason="the servers of a resolv.conf are at port 53")
def test_without_upstream_the_systems_servers_are_asked(daemon, easim, tmp_path):
    with Upstream(("127.77.255.250", 53)) as scripted:
        script(scripted, answer("60 A " + host_of(easim)), "eas.cluster.example")
        daemon.source(endpoint=named(easim, "eas"), services="svc_a")
        text = f"search cluster.example\nnameserver {scripted.endpoint[0]}\n"
        with own_resolv_conf(tmp_path, text):
            daemon.start()
            daemon.wait_instances("svc_a", 4)


def test_one_look_up_serves_many_services(upstream):
    services = {f"svc_{i}": [1] for i in range(100)}
    with Easim(services) as easim, Daemon() as daemon:
        script(upstream, answer("60 A " + host_of(easim)))
        daemon.source(endpoint=named(easim), services=",".join(services))
        daemon.set("dns", upstream=endpoint(upstream))
        daemon.start()
        daemon.wait_polls(300, "polls_ok")
        assert len(upstream.asked("eas.example", "A")) == 1
        assert threads(daemon) <= THREADS


def test_a_silent_name_server_takes_no_thread(daemon, upstream):
    script(upstream, silent)
    upstream.on("eas.example", silent, "AAAA")
    daemon.source(
        endpoint="http://eas.example", services=",".join(f"s{i}" for i in range(200)), timeout="300ms"
    )
    daemon.set("dns", upstream=endpoint(upstream))
    daemon.start()
    daemon.wait_polls(200)
    assert threads(daemon) <= THREADS
    assert "cannot look up eas.example" in daemon.service("s1")["poll"]["detail"]
    assert endpoint(upstream) in daemon.service("s1")["poll"]["detail"]


def test_addresses_of_before_are_kept(daemon, easim, upstream):
    script(upstream, answer("0 A " + host_of(easim)))
    daemon.source(endpoint=named(easim), services="svc_a")
    daemon.set("dns", upstream=endpoint(upstream))
    daemon.start()
    daemon.wait_instances("svc_a", 4)
    script(upstream, negative())
    upstream.on("eas.example", negative(), "AAAA")
    eventually(lambda: daemon.counter("hosts_failed") > 0)
    daemon.wait_polls(3, "polls_ok")
    assert daemon.log_lines("addresses of before")


def test_several_addresses_are_tried(daemon, easim, upstream):
    script(upstream, answer("60 A 127.77.255.254", "60 A " + host_of(easim)))
    daemon.source(endpoint=named(easim), services="svc_a")
    daemon.set("dns", upstream=endpoint(upstream))
    daemon.start()
    daemon.wait_instances("svc_a", 4)
