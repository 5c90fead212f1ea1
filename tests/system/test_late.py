"""Refusals that come when connect() has returned, as over every network but loopback: slow_link.py's.

They reach the program's own wait, which must not see them while another instance is left. Where the
refusal is known before connect() returns (test_waits.py), nothing has to be hidden.
"""

import pytest

from tests.system import far
from tests.system.daemon import Daemon
from tests.system.snippet import WAITS, peer_of, snippet, without_peer

DELAY_MS = 10  # each way
SILENT = ("10.99.0.9", 8000)
LISTS = {
    "refused": [("10.99.0.2", 7999), ("10.99.0.3", 8000), ("10.99.0.4", 8000)],
    "silent": [("10.99.0.5", 7999), SILENT, ("10.99.0.6", 8000)],
    "down": [("10.99.0.2", 7997), ("10.99.0.3", 7997), ("10.99.0.4", 7997)],
}
GOOD = LISTS["refused"][1]


@pytest.fixture(scope="module")
def under():
    """The start of a command line under the library; the daemon is gone."""
    far.must_be_possible()
    with Daemon() as daemon:
        daemon.serve(LISTS, accept="10.99.0.0/24")
        daemon.kill()
        yield far.loaded(daemon)


def outputs(*commands):
    """What each printed, one after the other in one network."""
    script = "; echo --; ".join("%s || exit" % " ".join(map(str, command)) for command in commands)
    done = far.run_there(DELAY_MS, "sh", "-c", script)
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
    assert len(said) >= 2 and all("errno 111" in line or "errno 110" in line for line in said)


@pytest.mark.parametrize("wait", WAITS, ids="-".join)
def test_late_refusals_of_all_are_told_as_without_crowfly(under, wait):
    program = [snippet(wait[0]), *wait[1:], *LISTS["down"][0]]
    (usual, found), said = outputs(program, [*under, *program])
    assert "error ECONNREFUSED" in usual
    assert found == usual
    assert len(said) == 2, said
