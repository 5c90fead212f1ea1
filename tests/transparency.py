#!/usr/bin/env python3
"""CPython's own suites with and without libcrowfly.so: each test must end in the same way.

They are Debian's libpython3.11-testsuite, run by Debian's Python, whose sockets, event loops,
subprocesses and signal handlers go through every function that the library stands before. A daemon
runs and its list names 127.0.0.1, where the tests connect, so that the library looks at each
connect() before it lets it pass. Closes with counts: a test that differs has failed.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.system.daemon import Daemon, preload_environment  # noqa: E402

PYTHON = "/usr/bin/python3"
LIBRARY_OF_TESTS = Path("/usr/lib/python3.11/test")
SUITES = [
    "test_socket",
    "test_asyncio",
    "test_selectors",
    "test_poll",
    "test_epoll",
    "test_select",
    "test_httplib",
    *sorted(path.stem for path in LIBRARY_OF_TESTS.glob("test_urllib*.py")),
    "test_ssl",
    "test_subprocess",
    "test_signal",
]
# Of virtual machines' sockets, which ask the host.
IGNORED = "*VSOCK*"
BOUND_S = 600  # for a suite; the longest, test_asyncio, takes about a tenth of it
SERVICE = "local"
# Tests that depend on time end otherwise now and then, with the library or without. A difference
# counts if it is there in each of so many pairs of runs.
ROUNDS = 3


def environment_of(runtime_dir):
    """Without what would change the tests themselves."""
    keep = {name: value for name, value in os.environ.items() if not name.startswith("CROWFLY_")}
    keep.pop("LD_PRELOAD", None)
    if runtime_dir is None:
        return keep
    loaded = preload_environment(runtime_dir)
    return {**keep, **{name: loaded[name] for name in ("LD_PRELOAD", "CROWFLY_RUNTIME_DIR")}}


def run_suite(suite, environment, only):
    """Outcome of each test by its name, and of the suite itself under the suite's."""
    with tempfile.TemporaryDirectory(prefix="transparency-") as directory:
        report = Path(directory) / "report.xml"
        command = [PYTHON, "-m", "test", "--junit-xml", report, "-i", IGNORED, suite]
        for name in only:
            command += ["-m", name]
        status = _run_bounded(command, {**environment, "TMPDIR": directory}, directory)
        outcomes = _outcomes(report) if report.exists() else {}
    outcomes[suite] = status
    return outcomes


def _run_bounded(command, environment, directory):
    process = subprocess.Popen(
        command,
        env=environment,
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return f"exit status {process.wait(BOUND_S)}"
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # its own session: what it started goes, too
        process.wait()
        return f"not done in {BOUND_S} s"


def _outcomes(report):
    outcomes = {}
    for case in ET.parse(report).iter("testcase"):
        found = {child.tag for child in case} & {"failure", "error", "skipped"}
        outcomes[case.get("name")] = found.pop() if found else "passed"
    return outcomes


def differences(bare, loaded):
    """(without, with) of each test that ended otherwise."""
    names = bare.keys() | loaded.keys()
    pairs = {name: (bare.get(name, "absent"), loaded.get(name, "absent")) for name in names}
    return {name: pair for name, pair in sorted(pairs.items()) if pair[0] != pair[1]}


def compare(suite, runtime_dir):
    """Outcomes without the library, the differences that every round has shown, and the others."""
    first, lasting, unsteady = None, {}, {}
    for _ in range(ROUNDS):
        only = [name for name in lasting if name != suite]
        bare = run_suite(suite, environment_of(None), only)
        loaded = run_suite(suite, environment_of(runtime_dir), only)
        found = differences(bare, loaded)
        if first is None:
            first, lasting = bare, found
        unsteady.update({name: pair for name, pair in lasting.items() if name not in found})
        lasting = {name: pair for name, pair in lasting.items() if name in found}
        if not lasting:
            break
    return first, lasting, unsteady


def show(suite, outcomes, lasting, unsteady, seconds):
    ends = list(outcomes.values())
    print(
        f"{suite:24} {ends.count('passed'):5} ok {ends.count('skipped'):4} skipped "
        f"{ends.count('failure') + ends.count('error'):3} fail without the library; "
        f"{len(lasting)} differ with it  ({outcomes[suite]}, {seconds:.0f} s)",
        flush=True,
    )
    for name, (without, loaded) in lasting.items():
        print(f"  DIFFERS {name}: {without} without the library, {loaded} with it")
    for name, (without, loaded) in unsteady.items():
        print(f"  unsteady {name}: once {without} without the library, {loaded} with it")


def live_daemon(daemon):
    """Knows an instance on 127.0.0.1, on a port that nothing connects to."""
    item = {"app": SERVICE, "ip": "127.0.0.1", "port": 1, "weight": 1}
    path = daemon.directory / "list.json"
    path.write_text(json.dumps({"correlative": [SERVICE], "endpoints": {"items": [item]}}))
    daemon.source("local", type="file", path=path, services=SERVICE)
    daemon.set(f"service {SERVICE}", port=1)
    daemon.start()
    daemon.wait_instances(SERVICE, 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("suites", nargs="*", default=SUITES, help="default: all of them")
    options = parser.parse_args()
    if not (LIBRARY_OF_TESTS / "test_socket.py").exists():
        sys.exit("the suites are not here: apt-get install libpython3.11-testsuite")
    passed = failed = skipped = 0
    with Daemon() as daemon:
        live_daemon(daemon)
        for suite in options.suites:
            start = time.monotonic()
            outcomes, lasting, unsteady = compare(suite, daemon.runtime_dir)
            show(suite, outcomes, lasting, unsteady, time.monotonic() - start)
            same = [end for name, end in outcomes.items() if name not in lasting]
            skipped += same.count("skipped")
            passed += len(same) - same.count("skipped")
            failed += len(lasting)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
