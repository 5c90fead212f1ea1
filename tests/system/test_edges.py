"""Connects at the edges of what the library knows: before it is ready, beside other libraries, between
families, and over links slower than its limits."""

import glob
import json
import os
import signal
import socket
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.system.conftest import Preload, loaded_by
from tests.system.daemon import BUILD, SANITIZED, Daemon, preload_environment, run
from tests.system.snippet import NAME, bare, endpoints, lines, snippet

LIBRARY = BUILD / "libcrowfly.so"


def file_source(daemon, service, places, **more):
    """A service of the daemon whose list is a file; once it is in the snapshot."""
    items = [{"app": service, "ip": ip, "port": port, "weight": 1} for ip, port in places]
    path = daemon.directory / f"{service}.json"
    path.write_text(json.dumps({"endpoints": {"items": items}}))
    daemon.source(service, type="file", path=path, services=service, **more)
    daemon.start()
    daemon.wait_instances(service, len(items))


# Other libraries.


@pytest.mark.skipif(SANITIZED, reason="a sanitized library cannot be loaded into true")
@pytest.mark.parametrize("is_up", [True, False])
def test_a_connect_before_the_library_is_ready_is_the_kernels(running, easim, is_up):
    """Of two libraries that are preloaded, the linker initialises the second one first."""
    early = BUILD / "tests/snippets/lib/early.so"
    if not is_up:
        easim.kill("svc_a", 0)
    environment = {**os.environ, "EARLY": " ".join(endpoints(easim)[0])}
    usual = run("true", environment={**environment, "LD_PRELOAD": str(early)})
    both = preload_environment(running.runtime_dir, f"{LIBRARY}:{early}", EARLY=environment["EARLY"])
    found = run("true", environment=both)
    assert (found.stdout, found.stderr) == (usual.stdout, usual.stderr)
    # After the library's own constructor it would have gone to another instance.
    assert found.stdout.startswith("connect 0" if is_up else "connect ECONNREFUSED")


JEMALLOC = next(iter(glob.glob("/usr/lib/*/libjemalloc.so.2")), None)


@pytest.mark.skipif(JEMALLOC is None, reason="libjemalloc2 is not installed")
@pytest.mark.skipif(SANITIZED, reason="a sanitizer is an allocator itself")
@pytest.mark.parametrize("first", ["crowfly", "jemalloc"])
@pytest.mark.parametrize(
    ("words", "good"),
    [
        (["many_threads", NAME, "80", "8", "20"], "failed 0"),
        (["fork_lookup", NAME, "80", "5"], "failures 0"),
    ],
)
def test_beside_another_allocator(running, easim, first, words, good):
    easim.kill("svc_a", 0)
    libraries = [str(LIBRARY), JEMALLOC]
    if first == "jemalloc":
        libraries.reverse()
    preload = Preload(running.runtime_dir, ":".join(libraries))
    assert good in lines(preload.run(snippet(words[0]), *words[1:]))
    maps = preload.run("cat", "/proc/self/maps").stdout
    assert "libjemalloc" in maps and "libcrowfly" in maps


# Pointers.


@pytest.mark.skipif(SANITIZED, reason="a sanitizer reports it in its own way")
def test_an_address_that_cannot_be_read_is_the_programs_fault(running):
    """The limit that libcrowfly(7) states. Those that no program can have are in pass_through."""
    assert bare("fault") == ["connect EFAULT"]
    preload = Preload(running.runtime_dir, LIBRARY)
    assert preload.run(snippet("fault")).returncode == -signal.SIGSEGV


# Families.


def test_a_socket_for_ipv6_only_blames_no_instance(running, easim):
    """v4mapped's last line is about one; its first connect goes to an instance that is up."""
    preload = Preload(running.runtime_dir, LIBRARY)
    done = preload.run(snippet("v4mapped"), *endpoints(easim)[0], CROWFLY_LOG="info")
    assert done.stdout.splitlines()[-1] == "v6 only ENETUNREACH"
    assert done.stderr == ""


def test_ipv4_is_left_where_no_ipv6_instance_is(daemon):
    with (
        closing(socket.socket(socket.AF_INET6)) as refusing,
        socket.create_server(("127.0.0.1", 0)) as good,
    ):
        refusing.bind(("::1", 0))
        places = [("::1", refusing.getsockname()[1]), good.getsockname()]
        file_source(daemon, "mixed", places, accept="127.0.0.0/8,::1/128")
        loaded = loaded_by(daemon)
        peer = f"peer ::ffff:127.0.0.1 {places[1][1]}"
        port = str(places[0][1])
        assert loaded("dual_stack", port) == [
            "connect 0", peer,
            "connect EINPROGRESS", "error 0", "error again 0", peer, "TCP_USER_TIMEOUT 0",
        ]  # fmt: skip
        assert loaded("dual_stack", port, "only") == bare("dual_stack", port, "only")


# Far away.

FAR = [("10.99.0.2", 8000), ("10.99.0.3", 8000), ("10.99.0.4", 8000)]  # slow_link.py
UNSHARE = ["unshare", "-n" if os.geteuid() == 0 else "-rn"]


@pytest.fixture
def far():
    """Runs a snippet in slow_link.py's network, where a service has three instances."""
    done = run(*UNSHARE, "test", "-w", "/dev/net/tun")
    if done.returncode != 0:
        pytest.skip(f"needs a network namespace and /dev/net/tun: {done.stderr.strip()}")
    with Daemon() as daemon:
        file_source(daemon, "far", FAR, accept="10.99.0.0/24")
        daemon.kill()
        loaded = preload_environment(daemon.runtime_dir, LIBRARY, CROWFLY_LOG="info")
        names = ("LD_PRELOAD", "CROWFLY_RUNTIME_DIR", "CROWFLY_LOG")
        program = ["env", *(f"{name}={loaded[name]}" for name in names), snippet("connects")]
        link = [sys.executable, Path(__file__).with_name("slow_link.py")]
        yield lambda delay_ms, *arguments: run(*UNSHARE, *link, delay_ms, *program, *arguments)


@pytest.mark.parametrize("how", [[], ["pending"]])
def test_a_link_slower_than_the_limit_is_learnt_of(far, how):
    """300 ms there and back, and a limit of 250: the first connect moves on twice and gets its
    answer the third time. Those after it know."""
    found = far(150, *FAR[0], 4, *how)
    assert found.stdout == "good 4\n", found
    assert len(found.stderr.splitlines()) == 2, found.stderr


# All silent.


def test_a_blocking_connect_ends_where_three_instances_are_silent(running, easim):
    """Without the library it would take the kernel's 2 minutes. The socket is as after any failure:
    the program may use it again."""
    for index in range(4):
        easim.blackhole("svc_a", index)
    running.kill()
    loaded = loaded_by(running)
    [[ip, port]] = endpoints(easim, "svc_b")
    found = loaded("reconnect", *endpoints(easim)[0], ip, port)
    assert found == ["connect ETIMEDOUT", "second 0", f"peer {ip} {port}", "SO_SNDTIMEO 0"]
