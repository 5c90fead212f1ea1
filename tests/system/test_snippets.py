"""Tiny C clients (tests/snippets) with and without libcrowfly.so: what libc says to a program stays
what it would say, but for the instance that is reached."""

import os
import shutil
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.system.conftest import Preload
from tests.system.daemon import BUILD, eventually, run
from tests.system.snippet import (
    INSTANCES,
    NAME,
    UNDER_ASAN,
    bare,
    endpoints,
    lines,
    peer_of,
    peers_of,
    snippet,
    without_peer,
)

@pytest.fixture
def refused():
    """An address of nobody's service that refuses."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        return ["127.0.0.1", str(closed.getsockname()[1])]


# Blocking connects.


@pytest.mark.parametrize("fault", ["kill", "blackhole"])
def test_a_blocking_connect_looks_as_if_the_first_instance_had_answered(loaded, easim, fault):
    here = endpoints(easim)
    usual = bare("connect_blocking", *here[0])
    getattr(easim, fault)("svc_a", 0)
    found = loaded("connect_blocking", *here[0])
    assert peer_of(found) in here[1:]
    assert without_peer(found) == without_peer(usual)


def test_two_of_three_attempts_may_fail(loaded, easim):
    here = endpoints(easim)
    for index in range(INSTANCES - 2):
        easim.kill("svc_a", index)
    for _ in range(20):
        assert peer_of(loaded("connect_blocking", *here[0])) in here[2:]


def test_when_all_are_down_it_is_as_without_crowfly(loaded, easim):
    here = endpoints(easim)
    for index in range(INSTANCES):
        easim.kill("svc_a", index)
    for where in here:
        assert loaded("connect_blocking", *where) == bare("connect_blocking", *where)


def test_the_first_error_is_the_one_that_counts(running, loaded, easim):
    here = endpoints(easim)
    running.kill()  # it would find out who is dead, and take the one asked for out of picks
    easim.blackhole("svc_a", 0)
    for index in range(1, INSTANCES):
        easim.kill("svc_a", index)
    assert loaded("connect_blocking", *here[0])[0] == "connect ETIMEDOUT"
    assert loaded("connect_blocking", *here[1], "2000")[0] in (
        "connect ECONNREFUSED",
        "connect EINPROGRESS",  # the blackholed one came last, and had the application's 2 s
    )


@pytest.mark.parametrize("down", [1, INSTANCES])
def test_a_time_out_of_the_application_keeps_its_meaning(loaded, easim, down):
    here = endpoints(easim)
    for index in range(down):
        easim.blackhole("svc_a", index)
    arguments = [*here[0], "100"]  # less than the service's attempt-timeout
    found = loaded("connect_blocking", *arguments)
    assert found == bare("connect_blocking", *arguments)
    assert found[0] == "connect EINPROGRESS"


def test_a_time_out_of_the_application_ends_the_connect_to_an_only_instance(loaded, easim):
    easim.blackhole("svc_b", 0)
    arguments = [*endpoints(easim, "svc_b")[0], "100"]
    found = loaded("connect_blocking", *arguments)
    assert found == bare("connect_blocking", *arguments)
    assert found[0] == "connect EINPROGRESS"


def test_a_longer_time_out_of_the_application_leaves_room_for_another(loaded, easim):
    here = endpoints(easim)
    easim.blackhole("svc_a", 0)
    assert peer_of(loaded("connect_blocking", *here[0], "5000")) in here[1:]


def test_a_time_out_of_ages_is_kept(loaded, easim):
    here = endpoints(easim)
    ages = str(2**62)  # ms, as programs write "never"; not to be told in nanoseconds
    usual = bare("connect_blocking", *here[0], ages)
    easim.kill("svc_a", 0)
    found = loaded("connect_blocking", *here[0], ages)
    assert peer_of(found) in here[1:]
    assert without_peer(found) == without_peer(usual)


def test_a_v4_mapped_address_of_an_ipv6_socket(loaded, easim):
    here = endpoints(easim)
    usual = bare("v4mapped", *here[0])
    easim.kill("svc_a", 0)
    found = loaded("v4mapped", *here[0])
    host, port = peer_of(found)
    assert [host.removeprefix("::ffff:"), port] in here[1:]
    assert without_peer(found) == without_peer(usual)


@pytest.mark.parametrize("fault", ["kill", "blackhole"])
def test_options_and_local_address_survive_a_redirect(loaded, easim, fault):
    here = endpoints(easim)
    usual = bare("options_kept", *here[0])
    getattr(easim, fault)("svc_a", 0)
    found = loaded("options_kept", *here[0])
    assert peer_of(found) in here[1:]
    assert without_peer(found) == without_peer(usual)
    assert not [line for line in found if line.endswith("lost")]


@pytest.mark.parametrize("fault", ["kill", "blackhole"])
def test_options_that_another_program_has_set_survive(loaded, easim, fault):
    here = endpoints(easim)
    usual = bare("inherited", *here[0])
    assert "SO_SNDTIMEO 3000" in usual
    getattr(easim, fault)("svc_a", 0)
    found = loaded("inherited", *here[0])
    assert peer_of(found) in here[1:]
    assert without_peer(found) == without_peer(usual)


@pytest.mark.parametrize("fault", ["kill", "blackhole"])
def test_no_option_is_set_that_nobody_set(loaded, easim, fault):
    here = endpoints(easim)
    usual = bare("options_default", *here[0])
    getattr(easim, fault)("svc_a", 0)
    assert loaded("options_default", *here[0]) == usual


# Signals.


def test_restarting_signals_do_not_show(loaded, easim):
    here = endpoints(easim)
    easim.blackhole("svc_a", 0)
    found = loaded("eintr", *here[0], "restart")
    assert found[:2] == ["connect 0", "signals some"]
    assert peer_of(found) in here[1:]
    assert "SO_SNDTIMEO 0" in found


@pytest.mark.parametrize("handler", ["interrupt", "once"])
def test_other_signals_interrupt_as_ever(loaded, easim, handler):
    here = endpoints(easim)
    easim.blackhole("svc_a", 0)
    arguments = [*here[0], handler]
    found = loaded("eintr", *arguments)
    assert found == bare("eintr", *arguments)
    assert found[:3] == ["connect EINTR", "signals some", "under way yes"]


@pytest.mark.parametrize("how", ["", "beside"])
def test_a_second_connect_waits_for_the_first_ones_outcome(loaded, easim, how):
    """Longer than an attempt may take."""
    here = endpoints(easim)
    easim.blackhole("svc_a", 0)
    found = loaded("interrupted_twice", *here[0], how)
    assert found[:2] == ["connect EINTR", "again EINTR"]


@pytest.mark.parametrize("how", [[], ["pending"], ["pending", "both"]], ids="-".join)
def test_connects_in_a_signal_handler(loaded, easim, how):
    here = endpoints(easim)
    easim.kill("svc_a", 0)
    assert loaded("signal_connect", NAME, *here[0], *how) == ["failed none", "unresolved 0"]


# Other threads.


@pytest.mark.parametrize("call", ["poll", "recv", "send", "connect"])
@pytest.mark.parametrize("fault", ["kill", "blackhole"])
def test_a_thread_that_is_blocked_on_the_socket_stops_nothing(loaded, easim, call, fault):
    """What its own call says is a limit that libcrowfly(7) states; it ends in any case."""
    here = endpoints(easim)
    usual = bare("blocked_beside", call, *here[0])
    assert usual[0] == "connect 0"
    getattr(easim, fault)("svc_a", 0)
    found = loaded("blocked_beside", call, *here[0])
    assert peer_of(found) in here[1:]
    assert without_peer(found) == without_peer(usual)
    for index in range(INSTANCES):
        easim.kill("svc_a", index)
    assert loaded("blocked_beside", "poll", *here[0]) == bare("blocked_beside", "poll", *here[0])


def test_two_threads_that_connect_one_socket_share_the_attempts(loaded, easim):
    """None takes the other one's time-out away, or resets what the other has connected.

    One of three meets both of the instances that are silent.
    """
    here = endpoints(easim)
    for silent in (0, 1):
        easim.blackhole("svc_a", silent)
    with ThreadPoolExecutor(8) as threads:
        found = threads.map(lambda _: loaded("blocked_beside", "connect", *here[0]), range(16))
    assert {(each[0], peer_of(each) in here[2:]) for each in found} == {("connect 0", True)}


# Non-blocking connects.


def test_a_non_blocking_connect_to_an_instance(loaded, easim):
    here = endpoints(easim)
    assert loaded("connect_nonblocking", *here[0]) == bare("connect_nonblocking", *here[0])


def test_a_non_blocking_connect_to_a_drained_instance(loaded, running, easim):
    here = endpoints(easim)
    easim.set_weight("svc_a", 0, 0)
    eventually(lambda: 0 in running.instances("svc_a").values(), what="weight 0")
    found = loaded("connect_nonblocking", *here[0])
    assert peer_of(found) in here[1:]
    assert found[0] == "connect EINPROGRESS"


@pytest.mark.parametrize("timeout", [[], ["3000"]])
@pytest.mark.parametrize("fault", ["kill", "blackhole"])
def test_blocking_and_non_blocking_ones_in_turn(loaded, easim, fault, timeout):
    here = endpoints(easim)
    usual = bare("mixed_modes", *here[0], *timeout)
    getattr(easim, fault)("svc_a", 0)
    found = loaded("mixed_modes", *here[0], *timeout)
    assert all(peer in here[1:] for peer in peers_of(found))
    assert without_peer(found) == without_peer(usual)


def test_blocking_and_non_blocking_ones_in_turn_when_all_are_down(loaded, easim):
    here = endpoints(easim)
    for index in range(INSTANCES):
        easim.kill("svc_a", index)
    assert loaded("mixed_modes", *here[0]) == bare("mixed_modes", *here[0])


# What is not ours, or not to be touched.


@pytest.mark.parametrize(
    "name",
    [
        "connect_blocking", "connect_nonblocking", "mixed_modes", "pass_through", "connected", "v4mapped",
        "fast_open",
    ],
)
def test_an_address_of_nobodys_service(loaded, refused, name):
    assert loaded(name, *refused) == bare(name, *refused)


@pytest.mark.parametrize("name", ["pass_through", "connected", "fast_open", "v4mapped"])
def test_an_instance_that_answers(loaded, easim, name):
    here = endpoints(easim)
    assert loaded(name, *here[0]) == bare(name, *here[0])


def test_a_second_connect_beside_threads(loaded, easim):
    beside = ["connected", *endpoints(easim)[0], "beside"]
    assert loaded(*beside) == bare(*beside)


def test_fast_open_and_udp_are_never_redirected(loaded, easim):
    here = endpoints(easim)
    easim.kill("svc_a", 0)
    assert loaded("pass_through", *here[0]) == bare("pass_through", *here[0])
    assert loaded("fast_open", *here[0]) == bare("fast_open", *here[0])


# Names.

UNSPEC, INET, INET6 = 0, int(socket.AF_INET), int(socket.AF_INET6)
STREAM, DGRAM, RAW = 1, 2, 3
PASSIVE, CANONNAME, NUMERICHOST, V4MAPPED, ALL, ADDRCONFIG, NUMERICSERV = (
    0x1, 0x2, 0x4, 0x8, 0x10, 0x20, 0x400,
)  # fmt: skip


@pytest.mark.parametrize(
    "question",
    [
        ("http", UNSPEC, 0, 0, "none"),
        ("80", UNSPEC, STREAM, 0, 0),
        ("-", INET, STREAM, 0, CANONNAME),
        ("-", INET, RAW, 0, 0),
        ("domain", INET, 0, 0, 0),
        ("domain", INET, DGRAM, 17, 0),
        ("0", INET, 0, 6, V4MAPPED),
        ("80", INET6, STREAM, 0, V4MAPPED),
        ("80", INET6, 0, 0, V4MAPPED | ALL | CANONNAME),
        ("80", UNSPEC, STREAM, 0, PASSIVE | ADDRCONFIG),
        ("65535", UNSPEC, STREAM, 6, NUMERICSERV),
        # What is wrong with a question is wrong in the same way.
        ("65536", INET, STREAM, 0, 0),
        ("http", INET, STREAM, 0, NUMERICSERV),
        ("no-such-service", UNSPEC, STREAM, 0, 0),
        ("80", INET, RAW, 0, 0),
        ("80", 77, STREAM, 0, 0),
        ("80", INET, STREAM, 17, 0),
        ("80", INET, 77, 0, 0),
        ("80", INET, STREAM, 0, 0x40000000),
        ("80", UNSPEC, STREAM, 0, NUMERICHOST),
        ("80", INET, STREAM, 0, ALL),
    ],
)
def test_getaddrinfo_answers_as_libc_would(loaded, easim, question):
    """The stand-in for a name that libc resolves is a name in /etc/hosts: localhost."""
    service, *rest = map(str, question)
    found = loaded("resolve", "svc_b.eas.internal", service, *rest)
    usual = bare("resolve", "localhost", service, *rest)
    [[ip, _port]] = endpoints(easim, "svc_b")
    # libc may know localhost as ::1 too, and answers for it in the same way.
    usual = [line for line in usual if " ::1 " not in line]
    replaced = [
        line.replace("127.0.0.1 ", f"{ip} ").replace("localhost", "svc_b.eas.internal")
        for line in usual
    ]
    assert [kept(line) for line in found] == [kept(line) for line in replaced]


def kept(line):
    """errno after success is nobody's promise: libc changes it, crowfly does not."""
    return "errno" if line.startswith("errno ") else line


def test_getaddrinfo_of_another_family(loaded):
    assert loaded("resolve", NAME, "80", str(INET6), "1", "0", "0") == ["result -5"]  # EAI_NODATA


def test_getaddrinfo_keeps_errno(loaded):
    assert loaded("resolve", NAME, "80", "0", "1", "0", "0")[-1] == "errno EXDEV"


def test_the_gethostbyname_family(loaded, easim):
    [[ip, _port]] = endpoints(easim, "svc_b")
    entry = "name=svc_b.eas.internal type=2 length=4 aliases=none"
    assert loaded("resolve_r", "svc_b.eas.internal", str(INET)) == [
        "gethostbyname2_r 0 code=0", "inside yes",
        f"gethostbyname2_r {entry}", f"address {ip}",
        f"gethostbyname2 {entry}", f"address {ip}",
        f"gethostbyname {entry}", f"address {ip}",
    ]  # fmt: skip
    no_data = 4
    found = loaded("resolve_r", "svc_b.eas.internal", str(INET6))
    assert found[0] == f"gethostbyname2_r 0 code={no_data}"
    assert found[2] == f"gethostbyname2 none h_errno={no_data}"


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_the_gethostbyname_family_for_others(loaded, name):
    assert loaded("resolve_r", name, str(INET)) == bare("resolve_r", name, str(INET))


# Programs that lock themselves in, and programs that gain rights.


@pytest.mark.parametrize("how", ["seccomp", "chroot"])
def test_who_locks_itself_in_keeps_what_it_knew(loaded, easim, tmp_path, how):
    if how == "chroot" and os.geteuid() != 0:
        pytest.skip("chroot() needs root")
    found = loaded("sealed", "seccomp" if how == "seccomp" else tmp_path, NAME)
    visits = [found[i : i + 3] for i in range(0, len(found), 3)]
    assert len(visits) == 3
    for lookup, connected, peer in visits:
        assert (lookup, connected) == ("lookup 0", "connect 0")
        assert peer.split()[1:] in endpoints(easim)


@pytest.mark.skipif(UNDER_ASAN, reason="LeakSanitizer needs /proc at the end")
@pytest.mark.parametrize("how", ["seccomp", "chroot"])
def test_who_locks_itself_in_without_a_snapshot_is_as_without_crowfly(tmp_path, how):
    if how == "chroot" and os.geteuid() != 0:
        pytest.skip("chroot() needs root")
    arguments = ("seccomp" if how == "seccomp" else tmp_path, "127.0.0.1")
    alone = Preload(tmp_path / "nothing", BUILD / "libcrowfly.so")
    assert lines(alone.run(snippet("sealed"), *arguments)) == bare("sealed", *arguments)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make a setuid program")
def test_a_setuid_program_is_let_alone(running, tmp_path):
    """The dynamic linker drops LD_PRELOAD, and the library would be inert (AT_SECURE)."""
    if os.statvfs(tmp_path).f_flag & os.ST_NOSUID:
        pytest.skip("the temporary directory lets no program be setuid")
    nobody = ("setpriv", "--reuid=65534", "--clear-groups")
    if run(*nobody, "test", "-r", BUILD / "libcrowfly.so").returncode != 0:
        pytest.skip("the build cannot be read by other users")
    program = tmp_path / "resolve"
    shutil.copy(snippet("resolve"), program)
    for directory in (running.directory, tmp_path, *list(tmp_path.parents)[:2]):
        directory.chmod(0o755)

    def resolve():
        preload = Preload(running.runtime_dir, BUILD / "libcrowfly.so")
        return lines(preload.run(*nobody, program, *arguments))

    arguments = (NAME, "80", "0", "1", "0", "0")
    assert resolve()[0] == "result 0"
    program.chmod(0o4755)
    assert resolve() == bare("resolve", *arguments)


# Life of a process.


def test_forks_start_sequences_of_their_own(loaded):
    *addresses, failures = loaded("fork_lookup", NAME, "80", "20")
    assert failures == "failures 0"
    assert len(addresses) == 41  # the parent, its children, and theirs
    assert len(set(addresses)) > 1


def test_many_threads(loaded, easim):
    easim.kill("svc_a", 0)
    assert loaded("many_threads", NAME, "80", "32", "20") == [
        "unresolved 0", "failed 0", "descriptors kept",
    ]  # fmt: skip


@pytest.mark.parametrize("fault", [None, "kill", "blackhole"])
def test_cancelled_threads_leave_nothing(loaded, easim, fault):
    here = endpoints(easim)
    if fault is not None:
        getattr(easim, fault)("svc_a", 0)
    assert loaded("cancel", *here[0], NAME) == ["look-up 0", "descriptors kept"]


def test_cancelled_threads_leave_nothing_pending(loaded, easim):
    """More of them than the table of pending connects has room for: a later one is still moved on."""
    here = endpoints(easim)
    easim.kill("svc_a", 0)
    *connected, lookup, descriptors = loaded("cancel", *here[0], NAME, "pending")
    assert connected[:2] == ["connect EINPROGRESS", "error 0"]
    assert peer_of(connected) in here[1:]
    assert (lookup, descriptors) == ("look-up 0", "descriptors kept")


def test_closed_and_exhausted_descriptors(loaded):
    assert loaded("closefrom", NAME, "80") == [
        "closed look-up 0", "closed connect 0", "read close",
        "none free look-up 0", "none free connect 0",
    ]  # fmt: skip
