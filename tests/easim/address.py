"""Loopback addresses of one's own.

Linux answers on all of 127.0.0.0/8 without any set-up. Everything here lives in 127.77.S.0/24
networks; whoever uses one claims it first, so that tests in parallel never meet on an address, and
a port that was closed on purpose is not taken by somebody else meanwhile.
"""

import errno
import os
import random
import socket

CLAIM_HOST = 254  # no instance gets this host number
EPHEMERAL = 32768  # ip(7): ip_local_port_range begins there, unless it was set
CLAIM_PORT = 7077  # below the ephemeral range, so that no outgoing connection sits on it


class Network:
    """A claimed 127.77.S.0/24. It is free again when closed, or when the process ends."""

    def __init__(self):
        self._claim, self.number = _claim()

    def address(self, host):
        return f"127.77.{self.number}.{host}"

    def close(self):
        self._claim.close()


def _claim():
    # Starting at the pid spreads processes that start together; any start would be right.
    for step in range(254):
        number = 1 + (os.getpid() + step) % 254
        claim = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            claim.bind((f"127.77.{number}.{CLAIM_HOST}", CLAIM_PORT))
            return claim, number
        except OSError as error:
            claim.close()
            if error.errno != errno.EADDRINUSE:
                raise
    raise RuntimeError("all 254 networks 127.77.S.0/24 are in use")


def free_port(address):
    """A port that is free on address for TCP and UDP alike (DNS wants both). Not one that the kernel
    gives: a UDP client of anybody's, which is bound to 0.0.0.0, may get the same before it is used."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    while True:
        port = random.randrange(10000, EPHEMERAL)
        try:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                with socket.socket(family, kind) as sock:
                    sock.bind((address, port))
            return port
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise


def can_bind(address, port):
    """Whether we may serve DNS there: ports below 1024 take a privilege on most systems."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((address, port))
        return True
    except OSError:
        return False
