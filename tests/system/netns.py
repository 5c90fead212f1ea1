"""A network of a test's own: addresses that are not loopback, and ports that nobody else has.

The calling thread moves into a new network namespace. What it starts there lives there.
"""

import contextlib
import ctypes
import os

import pytest

from tests.system.daemon import run

CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


def _must(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


@contextlib.contextmanager
def own_network(*addresses):
    """With loopback up, and these addresses ("192.0.2.1/24") beside it on the same interface, so that
    a client bound to one reaches a server on another as if from another host."""
    if os.geteuid() != 0:
        pytest.skip("a network namespace of one's own needs root")
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        _must(libc.unshare(CLONE_NEWNET))
        try:
            assert run("ip", "link", "set", "lo", "up").returncode == 0
            for address in addresses:
                # nodad: an IPv6 address is usable at once (RFC 4862 5.4 has it wait otherwise)
                flags = ["nodad"] if ":" in address else []
                assert run("ip", "addr", "add", address, "dev", "lo", *flags).returncode == 0
            yield
        finally:
            _must(libc.setns(before, CLONE_NEWNET))
    finally:
        os.close(before)
