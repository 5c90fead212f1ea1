"""The weights through real resolvers on the instances' own network. They sort an answer by RFC 6724
rule 9: the address that shares most bits with the host's own comes first, whatever its weight."""

import collections
import json
import os
import shutil
from pathlib import Path

import pytest

from tests.system.daemon import SANITIZED, eventually, run
from tests.system.namespace import Namespace, NamespaceDaemon

RESOLVERS = Path(__file__).resolve().parents[1] / "resolvers"
NAME = "svc.eas.internal"
LOOKUPS = 600

# The host is 10.0.5.9: the lightest instance shares 31 bits with it, the heaviest 24.
HOST = "10.0.5.9/24"
WEIGHTS = {8: 1, 11: 2, 13: 3, 2: 4, 20: 5, 40: 6, 70: 7, 200: 8}
V4 = {f"10.0.5.{host}": weight for host, weight in WEIGHTS.items()}
V6 = {f"fd00:5::{host:x}": weight for host, weight in WEIGHTS.items()}

# Chi-square with 7 degrees of freedom: independent draws pass this once in 1000 runs. Picks stray
# far less (they are a sequence, not draws), and one instance for all has some thousands.
CHI_SQUARE_MAX = 24.3


def chi_square(found, weights):
    total, weight = sum(found.values()), sum(weights.values())
    assert set(found) <= set(weights)
    shares = {address: total * part / weight for address, part in weights.items()}
    return sum((found[address] - share) ** 2 / share for address, share in shares.items())


@pytest.fixture
def namespace():
    with Namespace() as own:
        own.run("ip", "link", "set", "lo", "up")
        own.run("ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1")
        for link in ("v0", "v1"):
            own.run("ip", "link", "set", link, "up")
        own.replace("/etc/nsswitch.conf", "hosts: files dns\n")
        yield own


@pytest.fixture
def sorted_daemon(namespace):
    """A crowflyd that serves the instances of V4 and V6; the host has no address yet."""
    with NamespaceDaemon(namespace) as daemon:
        items = [{"app": "x", "ip": ip, "port": 80, "weight": w} for ip, w in {**V4, **V6}.items()]
        lists = daemon.directory / "list.json"
        lists.write_text(json.dumps({"endpoints": {"items": items}}))
        daemon.set("source f", type="file", path=lists, services="svc")
        namespace.replace("/etc/resolv.conf", f"nameserver {daemon.dns[0]}\n")
        yield daemon
        if daemon.process is not None:
            assert daemon.stop() == 0, daemon.log()


@pytest.fixture
def near(namespace, sorted_daemon):
    """Started on the network of the instances."""
    namespace.run("ip", "address", "add", HOST, "dev", "v0")
    namespace.run("ip", "address", "add", "fd00:5::9/64", "dev", "v0", "nodad")
    sorted_daemon.start()
    sorted_daemon.wait_instances("svc", len(V4) + len(V6))
    return sorted_daemon


def build(directory, compiler, *flags, source="first.c"):
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    program = directory / compiler
    done = run(compiler, *flags, "-o", program, RESOLVERS / source)
    assert done.returncode == 0, done.stderr
    return program


def build_go(directory):
    if shutil.which("go") is None:
        pytest.skip("go is not installed")
    environment = {**os.environ, "GOCACHE": str(directory / "go-cache"), "GO111MODULE": "off"}
    program = directory / "first-go"
    done = run("go", "build", "-o", program, RESOLVERS / "first.go", environment=environment)
    assert done.returncode == 0, done.stderr
    return program


def command_of(resolver, directory):
    """The program that looks up by a resolver, and its environment."""
    if resolver == "glibc":
        return [build(directory, "gcc")], {}
    if resolver == "musl":
        return [build(directory, "musl-gcc", "-static")], {}
    if resolver == "go":
        return [build_go(directory)], {"GODEBUG": "netdns=go"}
    interpreter = {"python": "/usr/bin/python3", "node": "node", "java": "java"}[resolver]
    if shutil.which(interpreter) is None:
        pytest.skip(f"{interpreter} is not installed")
    script = {"python": "first.py", "node": "first.js", "java": "First.java"}[resolver]
    return [interpreter, RESOLVERS / script], {}


def firsts(namespace, command, *arguments, **environment):
    """How often each address came first."""
    text = namespace.run(*command, NAME, LOOKUPS, *arguments, **environment)
    found = collections.Counter(text.split())
    assert sum(found.values()) == LOOKUPS
    return found


@pytest.mark.parametrize("resolver", ["glibc", "python", "node", "java", "go", "musl"])
def test_weights_survive_a_resolver_that_sorts(namespace, near, resolver):
    command, environment = command_of(resolver, near.directory)
    found = firsts(namespace, command, **environment)
    assert chi_square(found, V4) < CHI_SQUARE_MAX, found


def test_weights_survive_a_resolver_that_sorts_ipv6(namespace, near):
    found = firsts(namespace, [build(near.directory, "gcc")], 6)
    assert chi_square(found, V6) < CHI_SQUARE_MAX, found


@pytest.mark.skipif(SANITIZED, reason="a sanitizer's runtime must be the first library of a program")
def test_without_netlink_it_is_said_and_weights_are_lost(namespace, sorted_daemon):
    """What the tests above would see if the host's addresses were not known."""
    program = build(sorted_daemon.directory, "gcc")
    library = sorted_daemon.directory / "no_netlink.so"
    assert run("gcc", "-shared", "-o", library, RESOLVERS / "no_netlink.c").returncode == 0
    namespace.run("ip", "address", "add", HOST, "dev", "v0")
    sorted_daemon.set("dns", answers=8)
    sorted_daemon.start(environment={"LD_PRELOAD": str(library)})
    sorted_daemon.wait_instances("svc", len(V4) + len(V6))
    assert firsts(namespace, [program]) == {"10.0.5.8": LOOKUPS}
    assert len(sorted_daemon.log_lines("warning", "cannot learn this host's addresses")) == 1


ANSWER = """
import sys, dns.message, dns.query
for _ in range(50):
    reply = dns.query.udp(dns.message.make_query(sys.argv[1], "A"), sys.argv[2], timeout=10)
    print(len(reply.answer[0]))
"""


def sizes(namespace, daemon):
    """How many addresses answers have."""
    text = namespace.run("/usr/bin/python3", "-c", ANSWER, NAME, daemon.dns[0])
    return set(map(int, text.split()))


def test_addresses_that_come_and_go_are_noticed(namespace, sorted_daemon):
    def change(operation):
        before = sorted_daemon.counter("dns_address_changes")
        namespace.run("ip", "address", operation, HOST, "dev", "v0")
        eventually(lambda: sorted_daemon.counter("dns_address_changes") > before)

    program = build(sorted_daemon.directory, "gcc")
    sorted_daemon.set("dns", answers=8)
    sorted_daemon.start()
    sorted_daemon.wait_instances("svc", len(V4) + len(V6))
    assert sizes(namespace, sorted_daemon) == {8}, "nothing is near"
    change("add")
    assert 1 in sizes(namespace, sorted_daemon), "the heaviest share least with the host: they stand alone"
    found = firsts(namespace, [program])
    assert chi_square(found, V4) < CHI_SQUARE_MAX, found
    change("del")
    assert sizes(namespace, sorted_daemon) == {8}


def test_changes_that_the_kernel_could_not_deliver(namespace, sorted_daemon):
    """More at once than the socket's buffer holds, and more than are kept; the last one matters."""
    sorted_daemon.start()
    sorted_daemon.wait_instances("svc", len(V4) + len(V6))
    commands = [f"address add 10.9.{n // 250}.{n % 250}/32 dev v0" for n in range(1000)]
    batch = sorted_daemon.directory / "batch"
    batch.write_text("\n".join([*commands, f"address add {HOST} dev v0"]) + "\n")
    with sorted_daemon.stopped():
        namespace.run("ip", "-batch", batch)
    eventually(lambda: 1 in sizes(namespace, sorted_daemon), what="the last address")
    assert sorted_daemon.counter("dns_address_changes") < len(commands), "all were delivered"
