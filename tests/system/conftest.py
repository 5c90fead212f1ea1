"""Fixtures: a stand-in EAS, a crowflyd, programs under the preload library.

Every test has its own directories and its own 127.77.S.0/24 networks, so they run in parallel
(-n 4). The binaries are those of $CROWFLY_BUILD, by default build/.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.easim import Easim
from tests.run import SANITIZER_ENV
from tests.system.daemon import (
    BUILD,
    LIBRARY,
    SANITIZED,
    Daemon,
    end,
    preload_environment,
    run,
    spawn,
)
from tests.system.snippet import NOT_UNDER_ASAN, UNDER_ASAN, lines, snippet

WEIGHTS = [100, 100, 50, 10]

# One test alone, of a sanitized build, is run without tests/run.py.
for name, value in SANITIZER_ENV.items():
    os.environ.setdefault(name, value)


@pytest.fixture
def easim():
    """svc_a with weights 100, 100, 50, 10 and svc_b with one instance."""
    with Easim({"svc_a": WEIGHTS, "svc_b": [1]}) as running:
        yield running


@pytest.fixture
def daemon(easim):
    """A crowflyd that knows easim's two services, not started. If it runs when the test ends, it
    must end well: a sanitizer speaks by the exit status."""
    with Daemon() as configured:
        configured.source(endpoint=easim.endpoint, services="svc_a,svc_b")
        yield configured
        if configured.process is not None:
            assert configured.stop() == 0, configured.log()


@pytest.fixture
def running(daemon):
    """The same, started, with both lists."""
    daemon.start()
    daemon.wait_instances("svc_a", len(WEIGHTS))
    daemon.wait_instances("svc_b", 1)
    return daemon


class Probe:
    """probe.py as a running process: each method is one of its operations."""

    def __init__(self, environment):
        self._process = spawn(
            [sys.executable, Path(__file__).with_name("probe.py")],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __getattr__(self, operation):
        def ask(**arguments):
            print(
                json.dumps({"operation": operation, **arguments}),
                file=self._process.stdin,
                flush=True,
            )
            return json.loads(self._process.stdout.readline())

        return ask

    def close(self):
        self._process.stdin.close()
        self._process.stdout.close()
        return end(self._process)


class Preload:
    """Runs programs under libcrowfly.so, bound to the daemon's runtime directory."""

    def __init__(self, runtime_dir, library=LIBRARY):
        self.runtime_dir = runtime_dir
        self._library = library
        self._probes = []

    def environment(self, **more):
        return preload_environment(self.runtime_dir, self._library, **more)

    def run(self, *command, **environment):
        return run(*command, environment=self.environment(**environment))

    def probe(self, **environment):
        probe = Probe(self.environment(**environment))
        self._probes.append(probe)
        return probe

    def close(self):
        for probe in self._probes:
            probe.close()


@pytest.fixture
def preload(daemon):
    loaded = Preload(daemon.runtime_dir)
    yield loaded
    loaded.close()


@pytest.fixture
def own_library():
    """Asked for by tests of `crowfly run`, which loads the library of its own build."""
    if SANITIZED:
        pytest.skip("a sanitized library cannot be loaded into programs that are not")


@pytest.fixture
def loaded(running):
    """Runs a snippet under the library of the same build."""
    return loaded_by(running)


def loaded_by(daemon):
    preload = Preload(daemon.runtime_dir, BUILD / "libcrowfly.so")

    def start(name, *arguments, **environment):
        if UNDER_ASAN and name in NOT_UNDER_ASAN:
            pytest.skip(f"ASan does not bear {name}")
        return lines(preload.run(snippet(name), *arguments, **environment))

    return start
