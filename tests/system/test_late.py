"""Refusals that come when connect() has returned, as over every network but loopback: slow_link.py's.

They reach the program's own wait, which must not see them while another instance is left. Where the
refusal is known before connect() returns (test_waits.py), nothing has to be hidden.
"""

import pytest

from tests.system import far
from tests.system.daemon import BUILD, Daemon
from tests.system.snippet import EPOLLS, WAITS, peer_of, snippet, without_peer

DELAY_MS = 10  # each way
NEAR_MS = 0.3  # refused when connect() has returned, and an answer comes well within 2 ms
SILENT = ("10.99.0.9", 8000)
LISTS = {
    "refused": [("10.99.0.2", 7999), ("10.99.0.3", 8000), ("10.99.0.4", 8000)],
    "silent": [("10.99.0.5", 7999), SILENT, ("10.99.0.6", 8000)],
    "down": [("10.99.0.2", 7997), ("10.99.0.3", 7997), ("10.99.0.4", 7997)],
}
GOOD = LISTS["refused"][1]


@pytest.fixture(scope="module")
def daemon():
    """It is gone; its snapshot is there."""
    far.must_be_possible()
    with Daemon() as daemon:
        daemon.serve(LISTS, accept="10.99.0.0/24")
        daemon.kill()
        yield daemon


@pytest.fixture
def under(daemon):
    """The start of a command line under the library."""
    return far.loaded(daemon)


def outputs(*commands, delay_ms=DELAY_MS):
    """What each printed, one after the other in one network; and what all said."""
    script = "; echo --; ".join("%s || exit" % " ".join(map(str, command)) for command in commands)
    done = far.run_there(delay_ms, "sh", "-c", script)
    assert done.returncode == 0, done
    return [text.splitlines() for text in done.stdout.split("--\n")], done.stderr.splitlines()


@pytest.mark.parametrize("wait", WAITS, ids="-".join)
def test_a_late_refusal_is_hidden_while_another_instance_is_left(under, wait):
    program = [snippet(wait[0]), *wait[1:]]
    loaded = [*under, *program]
    (usual, refused, silent), said = outputs(
        [*program, *GOOD], [*loaded, *LISTS["refused"][0]], [*loaded, *LISTS["silent"][0]]
    )
    assert "error 0" in usual
    assert without_peer(refused) == without_peer(usual)
    assert tuple(peer_of(refused)) in {(ip, str(port)) for ip, port in LISTS["refused"][1:]}
    assert without_peer(silent) == without_peer(usual)
    assert len(said) >= 2 and all("(refused after" in line or "(no answer" in line for line in said)


@pytest.mark.parametrize(("call", "how"), EPOLLS)
def test_an_error_without_a_hang_up_is_hidden_too(daemon, call, how):
    program = [snippet("wait_epoll"), call, how]
    torn = far.loaded(daemon, BUILD / "tests/snippets/lib/torn.so")
    (usual, found), said = outputs([*program, *GOOD], [*torn, *program, *LISTS["refused"][0]])
    assert "error 0" in usual
    assert without_peer(found) == without_peer(usual)
    assert len(said) == 1 and "(refused after" in said[0]


@pytest.mark.parametrize("wait", WAITS, ids="-".join)
def test_late_refusals_of_all_are_told_as_without_crowfly(under, wait):
    program = [snippet(wait[0]), *wait[1:], *LISTS["down"][0]]
    (usual, found), said = outputs(program, [*under, *program])
    assert "error ECONNREFUSED" in usual
    assert found == usual
    assert len(said) == 2, said


@pytest.mark.parametrize("fault", ["refused", "silent"])
def test_a_thread_that_polls_a_blocking_socket_stops_nothing(under, fault):
    program = [snippet("blocked_beside"), "poll"]
    (usual, found), _ = outputs([*program, *GOOD], [*under, *program, *LISTS[fault][0]])
    assert usual[0] == "connect 0"
    assert without_peer(found) == without_peer(usual)


@pytest.mark.parametrize("how", ["once", "once,beside"])
@pytest.mark.parametrize("place", [GOOD, LISTS["down"][0]], ids=["good", "down"])
def test_a_second_connect_is_told_how_the_first_one_ended(under, place, how):
    """0.4 s there and back: a third one, of its own, finds that too long for an attempt."""
    program = [snippet("interrupted_twice"), *place, how]
    usual, found = outputs(program, [*under, *program], delay_ms=200)[0]
    assert usual[0] == "connect EINTR"
    assert found[:3] == usual[:3]
    assert found[3] in {usual[3], usual[3].replace("ECONNREFUSED", "ETIMEDOUT")}


@pytest.mark.parametrize("how", ["level", "oneshot", "edge"])
def test_who_asks_for_no_events_is_told_of_the_failure_alone(under, how):
    program = [snippet("wait_epoll"), "wait", f"{how},nothing", *LISTS["down"][0]]
    (usual, found), _ = outputs(program, [*under, *program])
    assert "events ERR HUP" in usual
    assert found == usual


# Loops that wait by nothing that the library sees, and then ask.


def test_who_asks_by_connect_sees_a_connect_that_takes_longer(under):
    program = [snippet("unseen"), "again"]
    (usual, found), _ = outputs([*program, *GOOD], [*under, *program, *LISTS["refused"][0]])
    assert without_peer(found) == without_peer(usual)


def test_who_asks_for_the_error_waits_for_an_instance_that_is_near(under):
    """2 ms, which this machine may take for something else: so one of many has to do it."""
    raw = [snippet("unseen"), "raw"]
    usual, *found = outputs(
        [*raw, *GOOD], *[[*under, *raw, *LISTS["refused"][0]]] * 20, delay_ms=NEAR_MS
    )[0]
    assert "error 0" in usual
    assert without_peer(usual) in [without_peer(each) for each in found]


def test_who_asks_for_the_error_is_told_the_refusal_where_all_are_far(under):
    raw = [snippet("unseen"), "raw"]
    (found,), _ = outputs([*under, *raw, *LISTS["refused"][0]])
    assert found[:2] == ["connect EINPROGRESS", "error ECONNREFUSED"]
