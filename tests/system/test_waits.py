"""Non-blocking connects that fail, in each kind of wait (tests/snippets/wait_*): a program sees what
it would see if the first instance had answered, and if all are down, what it would see without
the library."""

import pytest

from tests.system.conftest import Preload
from tests.system.daemon import BUILD, run
from tests.system.snippet import (
    INSTANCES,
    UNDER_ASAN,
    WAITS,
    bare,
    endpoints,
    lines,
    peer_of,
    snippet,
    without_peer,
)

FAULTS = ["kill", "blackhole"]


def break_(easim, fault, *indices):
    for index in indices:
        getattr(easim, fault)("svc_a", index)


@pytest.fixture
def unserved(tmp_path):
    """Runs a snippet under the library, with no daemon and no snapshot."""
    preload = Preload(tmp_path, BUILD / "libcrowfly.so")
    return lambda name, *arguments: lines(preload.run(snippet(name), *arguments))


@pytest.mark.parametrize("wait", WAITS, ids="-".join)
def test_the_first_instance_seems_to_have_answered(loaded, easim, wait):
    here = endpoints(easim)
    usual = bare(*wait, *here[0])
    assert loaded(*wait, *here[0]) == usual
    for fault in FAULTS:
        break_(easim, fault, 0)
        found = loaded(*wait, *here[0])
        assert peer_of(found) in here[1:]
        assert without_peer(found) == without_peer(usual), fault


@pytest.mark.parametrize("wait", WAITS, ids="-".join)
def test_two_of_three_instances_may_fail(loaded, easim, wait):
    here = endpoints(easim)
    usual = bare(*wait, *here[3])
    easim.kill("svc_a", 0)
    easim.blackhole("svc_a", 1)
    easim.unlist("svc_a", 2)
    found = loaded(*wait, *here[0])
    assert peer_of(found) in here[2:]
    assert without_peer(found) == without_peer(usual)


@pytest.mark.parametrize("wait", WAITS, ids="-".join)
def test_when_all_are_down_each_wait_says_what_it_says_without_crowfly(loaded, easim, wait):
    here = endpoints(easim)
    break_(easim, "kill", *range(INSTANCES))
    assert loaded(*wait, *here[0]) == bare(*wait, *here[0])


@pytest.mark.parametrize("wait", WAITS, ids="-".join)
def test_without_a_daemon_nothing_is_different(unserved, easim, wait):
    here = endpoints(easim)
    assert unserved(*wait, *here[0]) == bare(*wait, *here[0])
    break_(easim, "kill", 0)
    assert unserved(*wait, *here[0]) == bare(*wait, *here[0])


@pytest.mark.parametrize("wait", WAITS, ids="-".join)
def test_the_first_error_is_the_one_that_is_told(loaded, easim, wait):
    here = endpoints(easim)
    easim.blackhole("svc_a", 0)
    break_(easim, "kill", *range(1, INSTANCES))
    found = loaded(*wait, *here[0])
    assert "error ETIMEDOUT" in found
    assert "error again 0" in found


@pytest.mark.parametrize("fault", FAULTS)
def test_who_asks_for_the_error_meanwhile_sees_no_trace_of_a_reset(loaded, easim, fault):
    """ECONNRESET is what a reset leaves until the next connect(), ECONNABORTED what is left where
    there was none."""
    here = endpoints(easim)
    usual = bare("wait_asked", *here[0])
    break_(easim, fault, 0)
    for _ in range(10):
        found = loaded("wait_asked", *here[0])
        assert peer_of(found) in here[1:]
        assert without_peer(found) == without_peer(usual)


# Time.


@pytest.mark.parametrize("down", [1, INSTANCES])
def test_time_outs_end_no_earlier_and_as_they_should(loaded, easim, down):
    here = endpoints(easim)
    break_(easim, "blackhole", *range(down))
    if down == INSTANCES:
        arguments = [*here[0], "120"]  # so that some limit of an attempt comes in each wait
    else:
        arguments = [*here[0], "20"]
    found = loaded("wait_timeout", *arguments)
    assert found == bare("wait_timeout", *arguments)
    assert "early" not in " ".join(found)


def test_signals_end_waits_as_ever(loaded, easim):
    here = endpoints(easim)
    break_(easim, "blackhole", *range(INSTANCES))
    found = loaded("wait_signal", *here[0])
    assert found == bare("wait_signal", *here[0])
    assert found[1] == "poll EINTR"


@pytest.mark.skipif(UNDER_ASAN, reason="ASan does not bear pthread_cancel")
def test_waits_can_be_cancelled(loaded, easim):
    here = endpoints(easim)
    usual = bare("wait_cancel", *here[0])
    easim.blackhole("svc_a", 0)
    found = loaded("wait_cancel", *here[0])
    assert peer_of(found) in here[1:]
    # On one that answers, a thread may be back before it is cancelled.
    assert found[:4] == ["connect EINPROGRESS", "p cancelled", "s cancelled", "e cancelled"]
    assert without_peer(found)[4:] == without_peer(usual)[4:]


# Descriptors that become something else, and other processes.


@pytest.mark.parametrize("how", ["close_range", "dup2", "close"])
@pytest.mark.parametrize("down", [1, INSTANCES])
def test_another_socket_at_the_same_number_is_not_touched(loaded, easim, how, down):
    here = endpoints(easim)
    break_(easim, "blackhole", *range(down))
    found = loaded("reused", how, *here[0])
    assert found == bare("reused", how, *here[0])
    assert found[1:] == ["pair works", "TCP_USER_TIMEOUT 0"]


@pytest.mark.parametrize("how", ["vfork", "leave"])
def test_a_vfork_child_changes_nothing_for_its_parent(loaded, easim, how):
    here = endpoints(easim)
    usual = bare("reused", how, *here[0])
    easim.blackhole("svc_a", 0)
    found = loaded("reused", how, *here[0])
    assert peer_of(found) in here[1:]
    assert without_peer(found) == without_peer(usual)


def test_exec_ends_what_the_library_knows(loaded, easim):
    """The limit that the documentation states: the connect is the kernel's from then on."""
    here = endpoints(easim)
    usual = bare("reused", "exec", *here[0])
    assert loaded("reused", "exec", *here[0]) == usual


@pytest.mark.parametrize("fault", FAULTS)
def test_parent_and_child_after_a_fork(loaded, easim, fault):
    here = endpoints(easim)
    usual = bare("pending_fork", *here[0])
    break_(easim, fault, 0)
    found = loaded("pending_fork", *here[0])
    assert peer_of(found) in here[1:]
    assert without_peer(found) == without_peer(usual)


# What is kept, and what is never done.


@pytest.mark.parametrize("fault", FAULTS)
def test_options_and_local_address_survive(loaded, easim, fault):
    here = endpoints(easim)
    usual = bare("options_kept", *here[0], "pending")
    break_(easim, fault, 0)
    found = loaded("options_kept", *here[0], "pending")
    assert peer_of(found) in here[1:]
    assert without_peer(found) == without_peer(usual)
    assert not [line for line in found if line.endswith("lost")]


@pytest.mark.parametrize("how", ["raw", "again"])
@pytest.mark.parametrize("fault", FAULTS)
def test_loops_that_a_library_cannot_see(loaded, easim, how, fault):
    here = endpoints(easim)
    usual = bare("unseen", how, *here[0])
    assert loaded("unseen", how, *here[0]) == usual
    if (how, fault) == ("raw", "blackhole"):
        pytest.skip("nobody but the kernel wakes a raw wait: after 1 s, and only beside threads")
    break_(easim, fault, 0)
    found = loaded("unseen", how, *here[0])
    assert peer_of(found) in here[1:]
    assert without_peer(found) == without_peer(usual)
    break_(easim, "kill", *range(INSTANCES))
    assert loaded("unseen", how, *here[0]) == bare("unseen", how, *here[0])


def test_no_request_is_seen_twice(loaded, easim):
    here = endpoints(easim)
    easim.kill("svc_a", 0)
    easim.blackhole("svc_a", 1)
    assert loaded("request_once", *here[0], "svc_a", "64") == ["done 64"]
    assert sum(easim.requests("svc_a")) == 64


@pytest.mark.parametrize(("fault", "why"), [("kill", "refused"), ("blackhole", "no answer")])
def test_a_redirect_says_why_and_how_long(running, easim, fault, why):
    here = endpoints(easim)
    break_(easim, fault, 0)
    preload = Preload(running.runtime_dir, BUILD / "libcrowfly.so")
    done = preload.run(snippet("wait_poll"), "poll", *here[0], CROWFLY_LOG="info")
    [line] = done.stderr.splitlines()
    assert line.startswith(f"crowfly: cannot reach {':'.join(here[0])} of svc_a ({why} after ")
    assert line.split(" ms), trying ")[1] in [":".join(where) for where in here[1:]]
    assert run(snippet("wait_poll"), "poll", *here[1]).stderr == ""
