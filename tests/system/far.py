"""Programs whose instances are far away: slow_link.py's network, with the library or without."""

import os
import sys
from pathlib import Path

import pytest

from tests.system.daemon import BUILD, preload_environment, run

UNSHARE = ["unshare", "-n" if os.geteuid() == 0 else "-rn"]
LINK = [sys.executable, Path(__file__).with_name("slow_link.py")]
NAMES = ("LD_PRELOAD", "CROWFLY_RUNTIME_DIR", "CROWFLY_LOG")


def must_be_possible():
    done = run(*UNSHARE, "test", "-w", "/dev/net/tun")
    if done.returncode != 0:
        pytest.skip(f"needs a network namespace and /dev/net/tun: {done.stderr.strip()}")


def run_there(delay_ms, *command):
    return run(*UNSHARE, *LINK, delay_ms, *command)


def loaded(daemon, *libraries):
    """The start of a command line by which a program is under the library, and more behind it."""
    preloads = ":".join(map(str, (BUILD / "libcrowfly.so", *libraries)))
    values = preload_environment(daemon.runtime_dir, preloads, CROWFLY_LOG="info")
    return ["env", *(f"{name}={values[name]}" for name in NAMES)]
