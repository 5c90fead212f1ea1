"""What programs do that is easily got wrong (the other tests of snippets), where crowflyd is not there:
without a snapshot, all is as without the library; with the one that it left, as if it were there."""

import pytest

from tests.system.conftest import Preload, loaded_by
from tests.system.daemon import BUILD
from tests.system.snippet import (
    INSTANCES,
    NOT_UNDER_ASAN,
    UNDER_ASAN,
    bare,
    endpoints,
    lines,
    peers_of,
    snippet,
    without_peer,
)

# Snippets that end by themselves whether the instance IP:PORT answers or refuses.
CASES = [
    "connect_blocking IP PORT",
    "connect_blocking IP PORT 3000",
    "connect_nonblocking IP PORT",
    "mixed_modes IP PORT",
    "mixed_modes IP PORT 3000",
    "options_kept IP PORT",
    "options_kept IP PORT pending",
    "options_default IP PORT",
    "inherited IP PORT",
    "v4mapped IP PORT",
    "eintr IP PORT restart",
    "interrupted_twice IP PORT",
    "pending_fork IP PORT",
    "blocked_beside poll IP PORT",
    "wait_cancel IP PORT",
    "unseen raw IP PORT",
    "unseen again IP PORT",
    "reused close_range IP PORT",
    "reused dup2 IP PORT",
    "reused close IP PORT",
    "reused vfork IP PORT",
    "reused leave IP PORT",
    "signal_connect IP IP PORT",
    "signal_connect IP IP PORT pending both",
    "many_threads IP PORT 8 10",
    "fork_lookup IP PORT 5",
    "closefrom IP PORT",
    "cancel IP PORT IP",
]
# What is never moved on, or ends with the program that began it.
KERNELS = [
    "pass_through IP PORT",
    "fast_open IP PORT",
    "connected IP PORT",
    "reused exec IP PORT",
]
# Snippets whose waits are to be longer than they have time for.
SILENT = [
    "wait_timeout IP PORT 20",
    "wait_signal IP PORT",
    "eintr IP PORT interrupt",
    "eintr IP PORT once",
    "connect_blocking IP PORT 100",
    "reused close_range IP PORT",
    "reused dup2 IP PORT",
    "reused close IP PORT",
]


def words_of(case, place):
    name, *words = case.split()
    if UNDER_ASAN and name in NOT_UNDER_ASAN | {"wait_cancel"}:
        pytest.skip(f"ASan does not bear {name}")
    return [name, *({"IP": place[0], "PORT": place[1]}.get(word, word) for word in words)]


def settled(output):
    """Without what depends on who is quicker: a thread that is cancelled, or the kernel."""
    return [line for line in output if not line.endswith((" cancelled", " returned"))]


@pytest.fixture
def unserved(tmp_path):
    """Runs a snippet under the library, with no daemon and no snapshot."""
    preload = Preload(tmp_path, BUILD / "libcrowfly.so")
    return lambda name, *arguments: lines(preload.run(snippet(name), *arguments))


def assert_same(unserved, words):
    assert settled(unserved(*words)) == settled(bare(*words))


@pytest.mark.parametrize("case", CASES + KERNELS)
def test_without_a_snapshot_all_is_as_without_crowfly(unserved, easim, case):
    words = words_of(case, endpoints(easim)[0])
    assert_same(unserved, words)
    easim.kill("svc_a", 0)
    assert_same(unserved, words)


@pytest.mark.parametrize("case", SILENT)
def test_without_a_snapshot_silence_is_as_without_crowfly(unserved, easim, case):
    easim.blackhole("svc_a", 0)
    assert_same(unserved, words_of(case, endpoints(easim)[0]))


@pytest.mark.parametrize("case", CASES)
def test_a_snapshot_that_was_left_behind_does_it(running, easim, case):
    running.kill()
    here = endpoints(easim)
    words = words_of(case, here[0])
    usual = settled(bare(*words))
    easim.kill("svc_a", 0)
    found = settled(loaded_by(running)(*words))
    assert all(peer[-2].removeprefix("::ffff:") != here[0][0] for peer in peers_of(found))
    assert without_peer(found) == without_peer(usual)
    for index in range(INSTANCES):
        easim.kill("svc_a", index)
    assert settled(loaded_by(running)(*words)) == settled(bare(*words))
