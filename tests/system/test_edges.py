"""Connects at the edges of what the library knows: before it is ready, beside other libraries, between
families, and over links slower than its limits."""

import glob
import os
import shutil
import signal
import socket
from contextlib import closing

import pytest

from tests.system import far
from tests.system.conftest import Preload, loaded_by
from tests.system.daemon import BUILD, ROOT, SANITIZED, Daemon, preload_environment, run
from tests.system.snippet import (
    NAME,
    bare,
    endpoints,
    lines,
    peers_of,
    snippet,
    without_peer,
)

LIBRARY = BUILD / "libcrowfly.so"


# Other libraries.


EARLY = BUILD / "tests/snippets/lib/early.so"


def connected_early(daemon_dir, easim, *libraries):
    """What early.so's constructor is told, among these libraries, of the first instance."""
    environment = preload_environment(
        daemon_dir, ":".join(map(str, libraries)), EARLY=" ".join(endpoints(easim)[0])
    )
    return lines(run("true", environment=environment))


@pytest.mark.skipif(SANITIZED, reason="a sanitized library cannot be loaded into true")
@pytest.mark.parametrize("is_up", [True, False])
def test_a_connect_before_the_library_is_ready_is_the_kernels(running, easim, is_up):
    """Of two libraries that are preloaded, the linker initialises the second one first."""
    if not is_up:
        easim.kill("svc_a", 0)
    usual = connected_early(running.runtime_dir, easim, EARLY)
    assert connected_early(running.runtime_dir, easim, LIBRARY, EARLY) == usual
    # After the library's own constructor it would have gone to another instance.
    assert usual[0] == ("connect 0" if is_up else "connect ECONNREFUSED")


@pytest.mark.skipif(SANITIZED, reason="a sanitized library cannot be loaded into true")
def test_a_connect_in_a_constructor_after_the_librarys_is_moved_on(running, easim, tmp_path):
    here = endpoints(easim)
    usual = connected_early(running.runtime_dir, easim, EARLY)
    easim.kill("svc_a", 0)
    found = connected_early(running.runtime_dir, easim, EARLY, LIBRARY)
    assert all(peer in here[1:] for peer in peers_of(found))
    assert without_peer(found) == without_peer(usual)
    without_daemon = connected_early(tmp_path, easim, EARLY, LIBRARY)
    assert without_daemon == connected_early(tmp_path, easim, EARLY)


JEMALLOC = next(iter(glob.glob("/usr/lib/*/libjemalloc.so.2")), None)


@pytest.mark.skipif(JEMALLOC is None, reason="libjemalloc2 is not installed")
@pytest.mark.skipif(SANITIZED, reason="a sanitizer is an allocator itself")
@pytest.mark.parametrize("first", ["crowfly", "jemalloc"])
@pytest.mark.parametrize(
    ("words", "good"),
    [
        (["many_threads", NAME, "80", "8", "20"], "failed 0"),
        (["fork_lookup", NAME, "80", "5"], "failures 0"),
        (["connects", "IP", "PORT", "8", "pending"], "good 8"),
    ],
)
def test_beside_another_allocator(running, easim, first, words, good):
    place = dict(zip(("IP", "PORT"), endpoints(easim)[0], strict=True))
    words = [place.get(word, word) for word in words]
    easim.kill("svc_a", 0)
    libraries = [str(LIBRARY), JEMALLOC]
    if first == "jemalloc":
        libraries.reverse()
    preload = Preload(running.runtime_dir, ":".join(libraries))
    assert good in lines(preload.run(snippet(words[0]), *words[1:]))
    maps = preload.run("cat", "/proc/self/maps").stdout
    assert "libjemalloc" in maps and "libcrowfly" in maps


# Where gcc's runtimes are, and what lets one come behind a preloaded library.
RUNTIMES = {"address": ("libasan.so", {"ASAN_OPTIONS": "verify_asan_link_order=0"}),
            "thread": ("libtsan.so", {})}  # fmt: skip


@pytest.fixture(scope="module", params=RUNTIMES)
def sanitized(request, tmp_path_factory):
    """A program of somebody's that is built with a sanitizer: snippet's path by its name, the runtime,
    and what behind others it needs."""
    if SANITIZED:
        pytest.skip("that build has its own: this is the library as it is shipped")
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    where = tmp_path_factory.mktemp(request.param)

    def build(name):
        flags = [f"-fsanitize={request.param}", "-D_GNU_SOURCE", f"-I{ROOT}", "-pthread"]
        source = ROOT / "tests" / "snippets" / f"{name}.c"
        done = run("gcc", *flags, "-o", where / name, source)
        assert done.returncode == 0, done.stderr
        return where / name

    runtime, behind = RUNTIMES[request.param]
    return build, run("gcc", f"-print-file-name={runtime}").stdout.strip(), behind


@pytest.mark.parametrize("words", ["wait_poll poll", "wait_epoll wait edge", "wait_together"])
def test_beside_a_sanitizer_of_the_programs_own(running, easim, sanitized, words):
    build, runtime, behind = sanitized
    name, *words = words.split()
    program = build(name)
    here = endpoints(easim)
    usual = bare(name, *words, *here[0])
    easim.kill("svc_a", 0)
    before = Preload(running.runtime_dir, LIBRARY)
    after = Preload(running.runtime_dir, f"{runtime}:{LIBRARY}")
    for found in (
        lines(before.run(program, *words, *here[0], **behind)),
        lines(after.run(program, *words, *here[0])),
    ):
        assert peers_of(found)[0] in here[1:]
        assert without_peer(found) == without_peer(usual)


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
        daemon.serve({"mixed": places}, accept="127.0.0.0/8,::1/128")
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


@pytest.fixture
def far_daemon():
    """Gone, but for a snapshot with a service of three instances that are far away."""
    far.must_be_possible()
    with Daemon() as daemon:
        daemon.serve({"far": FAR}, accept="10.99.0.0/24")
        daemon.kill()
        yield daemon


@pytest.mark.parametrize("how", [[], ["pending"]])
def test_a_link_slower_than_the_limit_is_learnt_of(far_daemon, how):
    """300 ms there and back, and a limit of 250: the first connect moves on twice and gets its
    answer the third time. Those after it know."""
    program = [*far.loaded(far_daemon), snippet("connects")]
    found = far.run_there(150, *program, *FAR[0], 4, *how)
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
    assert found == [
        "connect ETIMEDOUT", "error 0", "second 0", f"peer {ip} {port}", "SO_SNDTIMEO 0",
    ]  # fmt: skip


def test_where_no_other_instance_can_be_tried_the_socket_is_as_after_any_failure(daemon, easim):
    """To a broadcast address connect() says so at once: nothing is sent, and what the reset of the
    silent one left on the socket would be there still."""
    easim.blackhole("svc_a", 0)
    [ip, port] = endpoints(easim)[0]
    broadcast = [("127.255.255.255", 1), ("127.255.255.255", 2)]
    daemon.serve({"narrow": [(ip, int(port)), *broadcast]})
    found = loaded_by(daemon)("reconnect", ip, port, *endpoints(easim, "svc_b")[0])
    assert found[:3] == ["connect ETIMEDOUT", "error 0", "second 0"]
