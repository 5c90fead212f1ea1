"""Running the tiny C clients of tests/snippets and reading their lines."""

from tests.system.daemon import BUILD, run

NAME = "svc_a.eas.internal"
INSTANCES = 4

# Each way to wait for a non-blocking connect: the snippet, and words before IP and PORT.
POLLS = ["poll", "ppoll", "poll_chk", "ppoll_chk", "select", "pselect", "select_high"]
EPOLLS = [
    (call, how)
    for call in ("wait", "pwait", "pwait2")
    for how in ("level", "edge", "oneshot", "level,early", "edge,early", "oneshot,early")
] + [
    ("wait", how)
    for how in ("level,duplicate", "edge,duplicate", "oneshot,duplicate", "level,one", "edge,one")
]
WAITS = (
    [("wait_poll", call) for call in POLLS]
    + [("wait_epoll", call, how) for call, how in EPOLLS]
    + [("wait_nested",), ("wait_inside",), ("wait_together",)]
)


def snippet(name):
    return BUILD / "tests" / "snippets" / name


def lines(done):
    assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
    assert done.stderr == ""
    return done.stdout.splitlines()


def bare(name, *arguments):
    return lines(run(snippet(name), *arguments))


# gcc 12's ASan ends a process in pthread_cancel() with or without us, and LeakSanitizer's own
# descriptors are among those that closefrom closes; in a chroot, or without open(), it has no /proc.
NOT_UNDER_ASAN = {"cancel", "closefrom", "sealed"}
UNDER_ASAN = b"libasan.so" in (BUILD / "libcrowfly.so").read_bytes()


def endpoints(easim, service="svc_a"):
    return [[instance["ip"], str(instance["port"])] for instance in easim.instances(service)]


def peers_of(output):
    return [line.split()[1:] for line in output if line.startswith("peer ")]


def peer_of(output):
    [peer] = peers_of(output)
    return peer


def without_peer(output):
    return [line for line in output if not line.startswith("peer ")]
