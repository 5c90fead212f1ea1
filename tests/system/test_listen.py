"""Where the responder's sockets come from and what they hold: addresses, threads, sockets handed
over by a service manager, a privileged port without root, and a burst of askers."""

import contextlib
import os
import re
import resource
import socket
import struct
import sys
from pathlib import Path

import pytest

from tests.easim import Easim
from tests.easim.address import free_port
from tests.system.daemon import BOUND_S, Daemon
from tests.system.netns import own_network
from tests.system.wire import assert_served, frame, query, receive_frame

NOBODY = 65534


class Activated(Daemon):
    """Started with sockets, as by a service manager."""

    sockets = ()

    def command(self, *arguments):
        self.pass_fds = [sock.fileno() for sock in self.sockets]
        launcher = Path(__file__).with_name("activate.py")
        handed = ",".join(map(str, self.pass_fds))
        return [sys.executable, launcher, handed, *super().command(*arguments)]


@pytest.fixture
def activated(easim):
    with Activated() as configured, contextlib.ExitStack() as sockets:
        configured.source(endpoint=easim.endpoint, services="svc_a")

        def hand_over(*kinds):
            """Bound sockets at one port of this test's address."""
            bound = []
            for kind in kinds:
                sock = sockets.enter_context(socket.socket(socket.AF_INET, kind))
                sock.bind((configured.dns[0], bound[0].getsockname()[1] if bound else 0))
                if kind == socket.SOCK_STREAM:
                    sock.listen()
                bound.append(sock)
            configured.dns = bound[0].getsockname()
            configured.set("dns", listen="%s:%d" % configured.dns)
            configured.sockets = (*configured.sockets, *bound)

        configured.hand_over = hand_over
        yield configured
        if configured.process is not None:
            assert configured.stop() == 0, configured.log()


def inodes(pid):
    """The sockets that a process has open."""
    found = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.add(os.readlink(entry))
    return found


def inode(sock):
    return f"socket:[{os.fstat(sock.fileno()).st_ino}]"


@pytest.mark.parametrize("workers", [1, 3])
def test_sockets_handed_over_are_used_instead_of_binding(activated, workers):
    activated.hand_over(socket.SOCK_DGRAM, socket.SOCK_STREAM)
    activated.set("dns", workers=workers)
    activated.start()
    activated.wait_instances("svc_a", 4)
    for _ in range(20):
        assert_served(activated)
    held = inodes(activated.process.pid)
    assert {inode(sock) for sock in activated.sockets} <= held
    assert not activated.log_lines("of no use")


def count_wakes(pid):
    """How often the threads of a process, but for the first, went to sleep of their own accord."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        if task.name != str(pid):
            status = (task / "status").read_text()
            total += int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", status, re.M)[1])
    return total


def test_a_query_wakes_one_worker_of_those_that_share_a_socket(activated):
    """The second one is woken if the first has not gone back to sleep when the next query comes."""
    activated.hand_over(socket.SOCK_DGRAM, socket.SOCK_STREAM)
    activated.set("dns", workers=8)
    activated.start()
    activated.wait_instances("svc_a", 4)
    before = count_wakes(activated.process.pid)
    for _ in range(300):
        assert asks(socket.AF_INET, socket.SOCK_DGRAM, activated.dns)
    assert count_wakes(activated.process.pid) - before < 300 * 3


def test_sockets_without_a_use_are_named_and_closed(activated):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stray:
        stray.bind((activated.dns[0], 0))
        activated.sockets = (stray,)
        activated.hand_over(socket.SOCK_DGRAM, socket.SOCK_STREAM)
        activated.start()
        activated.wait_instances("svc_a", 4)
        assert_served(activated)
        assert activated.log_lines("of no use and was closed", "%s:%d (UDP)" % stray.getsockname())
        assert len(activated.log_lines("of no use")) == 1
        assert inode(stray) not in inodes(activated.process.pid)


def test_the_pages_are_served_on_a_socket_handed_over(activated):
    with socket.create_server((activated.http[0], 0)) as pages:
        activated.http = pages.getsockname()
        activated.set("http", listen="%s:%d" % activated.http)
        activated.sockets = (pages,)
        activated.start()
        assert activated.get("/healthz")[0] == 200
        assert inode(pages) in inodes(activated.process.pid)
        assert not activated.log_lines("of no use")


def test_one_socket_is_handed_over_and_the_other_is_bound(activated):
    activated.hand_over(socket.SOCK_DGRAM)
    activated.start()
    activated.wait_instances("svc_a", 4)
    assert_served(activated)


def asks(family, kind, endpoint):
    with socket.socket(family, kind) as client:
        client.settimeout(BOUND_S)
        client.connect(endpoint)
        if kind == socket.SOCK_STREAM:
            client.sendall(frame(query(identity=7)))
            return receive_frame(client).id == 7
        client.send(query(identity=7))
        return struct.unpack("!H", client.recv(4096)[:2]) == (7,)


def test_several_addresses(daemon):
    second = (daemon.dns[0].rsplit(".", 1)[0] + ".54", daemon.dns[1])
    sixth = ("::1", free_port("0.0.0.0"))
    daemon.set("dns", listen="%s:%d, %s:%d, [%s]:%d" % (*daemon.dns, *second, *sixth))
    daemon.start()
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        assert asks(socket.AF_INET, kind, daemon.dns)
        assert asks(socket.AF_INET, kind, second)
        assert asks(socket.AF_INET6, kind, sixth)


def test_every_thread_answers(daemon):
    """The kernel spreads clients over the sockets by a hash of their port."""
    daemon.set("dns", workers=3)
    daemon.start("-v")
    for _ in range(100):
        assert asks(socket.AF_INET, socket.SOCK_DGRAM, daemon.dns)
    assert daemon.stop() == 0
    taken = re.findall(r"thread of the DNS responder ends; it took (\d+) queries", daemon.log())
    assert len(taken) == 3
    assert all(int(number) > 0 for number in taken)
    assert sum(map(int, taken)) == 100


ASKERS = 2000


@pytest.fixture
def many_descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < ASKERS + 200:
        pytest.skip(f"{ASKERS} sockets need a hard limit of descriptors above {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (ASKERS + 200, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_2000_clients_at_the_same_moment(running, many_descriptors):
    """All of their queries are there before the responder reads the first."""
    if line := running.log_lines("net.core.rmem_max"):
        pytest.skip(line[0])
    with contextlib.ExitStack() as clients:
        sockets = [
            clients.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            for _ in range(ASKERS)
        ]
        with running.stopped():
            for identity, client in enumerate(sockets):
                client.sendto(query(identity=identity), running.dns)
        for identity, client in enumerate(sockets):
            client.settimeout(BOUND_S)
            assert struct.unpack("!H", client.recv(4096)[:2]) == (identity,)


class Unprivileged(Daemon):
    """As user nobody, with these capabilities."""

    capabilities = "-all"

    def command(self, *arguments):
        user = f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"
        caps = f"--inh-caps={self.capabilities}", f"--ambient-caps={self.capabilities}"
        return ["setpriv", *user, *caps, *super().command(*arguments)]


@pytest.fixture
def unprivileged():
    with own_network(), Easim({"svc_a": [1]}) as easim, Unprivileged() as configured:
        os.chown(configured.directory, NOBODY, NOBODY)
        configured.source(endpoint=easim.endpoint, services="svc_a")
        configured.dns = (configured.dns[0], 53)
        configured.set("dns", listen="%s:%d" % configured.dns)
        yield configured


def test_port_53_takes_a_capability_and_not_root(unprivileged):
    unprivileged.capabilities = "+net_bind_service"
    unprivileged.start()
    unprivileged.wait_instances("svc_a", 1)
    assert_served(unprivileged)
    status = Path(f"/proc/{unprivileged.process.pid}/status").read_text()
    assert re.search(rf"Uid:\s+{NOBODY}\s", status)
    assert unprivileged.stop() == 0


def test_without_it_the_remedy_is_named(unprivileged):
    unprivileged.write_config()
    refused = unprivileged.run()
    assert refused.returncode == 1
    assert "(UDP): Permission denied" in refused.stderr
    assert "CAP_NET_BIND_SERVICE" in refused.stderr
