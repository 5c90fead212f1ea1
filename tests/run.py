#!/usr/bin/env python3
"""Runs the test suites and closes with counts.

Without arguments: everything, as `make test` does. Each suite runs in the plain build and again in
builds under ASan+UBSan and under TSan, because a race or an overrun that the plain build survives
is a defect all the same. TSan is spared the unit programs that can have no race.
"""
import argparse
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
PYTHON = "/usr/bin/python3"  # Debian's: the one that Debian's pytest and dnspython belong to
JOBS = os.cpu_count() or 1
WORKERS = 2 * JOBS

# Several times what they take on 2 cpus: a test that hangs is a failure, not the end of the run.
PROGRAM_LIMIT_S = 120
PYTEST_LIMIT_S = 600
BUILD_LIMIT_S = 1200

# verify_asan_link_order: the library is preloaded, so it comes before ASan's runtime.
# handle_segv stays at its default: a crash must be a report.
SANITIZER_ENV = {
    "ASAN_OPTIONS": "verify_asan_link_order=0:detect_leaks=1:abort_on_error=0",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1",
}


# What starts a thread or has a signal handled, by itself or in a library. Without any of these a
# program has one flow of control, in which TSan can find nothing: its run would be ASan's, slower.
FLOWS = re.compile(r" U (pthread_create|thrd_create|timer_create|sigaction|signal|"
                   r"MHD_start_daemon|curl_easy_init|curl_multi_init|ares_init_options)(@|$)", re.M)


class Tally:
    """Counts of one suite, and of all of them."""

    def __init__(self, passed=0, failed=0):
        self.passed, self.failed = passed, failed
        self.skips = Counter()  # how many tests were skipped, by reason

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skips += other.skips

    def __str__(self):
        return f"{self.passed} passed, {self.failed} failed, {self.skips.total()} skipped"


def run(command, limit_s=PROGRAM_LIMIT_S, **env):
    """Runs a command, with its children ended at the limit; returns (exit code, its output)."""
    with subprocess.Popen(command, cwd=TOP, env={**os.environ, **env}, text=True, errors="replace",
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, start_new_session=True) as process:
        try:
            output, _ = process.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output = process.communicate()[0] + f"\nstill running after {limit_s} s: ended\n"
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return process.returncode, output


def count(output, pattern):
    return sum(int(number) for number in re.findall(pattern, output))


def told(command, code, output):
    """What a failed program said: which, how it ended, and nothing about tests that passed."""
    output = re.sub(r"\[ RUN      \] (\S+)\n(?:(?!\[ RUN ).*\n)*?\[       OK \] \1\n", "", output)
    end = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
    print(f"--- {' '.join(command)}: {end}\n{output.rstrip()}\n---", flush=True)


def unit(build, name):
    """One cmocka program; one that dies, or that runs no test, is a failure."""
    command = [f"{build}/tests/unit/{name}"]
    code, output = run(command, **SANITIZER_ENV)
    tally = Tally(count(output, r"\[  PASSED  \] (\d+) test"),
                  count(output, r"\[  FAILED  \] (\d+) test"))
    skipped = count(output, r"\[  SKIPPED \] (\d+) test")
    tally.skips.update(re.findall(r"^skipped: (.*)$", output, re.M))
    tally.skips["without a word (say why: \"skipped: ...\" before skip())"] += (
        skipped - tally.skips.total())
    if code != 0 or tally.passed + skipped == 0:
        tally.failed = max(tally.failed, 1)
        told(command, code, output)
    return tally


def has_flows(build, name):
    """Whether a unit's program can have more than one flow of control; if in doubt, it can."""
    code, output = run(["nm", "--undefined-only", f"{build}/tests/unit/{name}"])
    return code != 0 or bool(FLOWS.search(output))


def units(build):
    names = sorted(source.stem for source in (TOP / "tests/unit").glob("test_*.c"))
    tally = Tally()
    if "tsan" in build:
        spared = {name for name in names if not has_flows(build, name)}
        names = [name for name in names if name not in spared]
        tally.skips["a unit program without threads and signals: nothing for TSan"] = len(spared)
    with ThreadPoolExecutor(JOBS) as pool:
        for one in pool.map(unit, [build] * len(names), names):
            tally.add(one)
    return tally


def fuzz(build):
    """Each parser over its corpus: one test a target."""
    tally = Tally()
    for source in sorted((TOP / "tests/fuzz").glob("fuzz_*.c")):
        corpus = f"tests/fuzz/corpus/{source.stem.removeprefix('fuzz_')}"
        command = [f"{build}/tests/fuzz/{source.stem}", corpus]
        code, output = run(command, **SANITIZER_ENV)
        tally.add(Tally(passed=code == 0, failed=code != 0))
        if code != 0:
            told(command, code, output)
    return tally


def pytest(build, *arguments):
    command = [PYTHON, "-m", "pytest", "-q", "-rfEs", "-p", "no:cacheprovider", *arguments]
    code, output = run(command, PYTEST_LIMIT_S, CROWFLY_BUILD=build, **SANITIZER_ENV)
    summary = output.strip().splitlines()[-1] if output.strip() else ""
    tally = Tally(count(summary, r"(\d+) passed"),
                  count(summary, r"(\d+) failed") + count(summary, r"(\d+) error"))
    for number, reason in re.findall(r"^SKIPPED \[(\d+)\] [^ ]*: (.*)$", output, re.M):
        tally.skips[reason] += int(number)
    if code != 0:
        tally.failed = max(tally.failed, 1)
        told([f"CROWFLY_BUILD={build}", *command], code, output)
    return tally


def system(build):
    """More at once than there are cpus, as most tests wait most of the time."""
    return pytest(build, "-n", str(WORKERS), "--dist", "loadgroup", "tests/system")


def arch(build):
    """The format, the invariants, and that each check fails on a seeded violation."""
    tally = Tally()
    for command in (["make", "-s", "check-format"],
                    [PYTHON, "tests/arch/check.py", "--build", build]):
        code, output = run(command)
        print(output.rstrip())
        tally.add(Tally(passed=code == 0, failed=code != 0))
    tally.add(pytest(build, "-n", str(JOBS), "tests/arch"))
    return tally


def make(build, *variables):
    """Builds everything that the suites need; ends the run if it does not build."""
    print(f"{build:12} build", flush=True)
    code, output = run(["make", "--no-print-directory", "-j", str(JOBS), f"BUILD={build}", *variables,
                        "tests-built"], BUILD_LIMIT_S)
    if code != 0:
        print(output)
        sys.exit(f"{build} does not build")


SUITES = {"unit": units, "fuzz": fuzz, "arch": arch, "system": system}
BUILDS = [
    ("build", [], ["unit", "fuzz", "arch", "system"]),
    ("build-asan", ["SAN=address"], ["unit", "fuzz", "system"]),
    ("build-tsan", ["SAN=thread"], ["unit", "system"]),
]


def stage(name, build, total):
    start = time.monotonic()
    tally = SUITES[name](build)
    if tally.passed + tally.failed == 0:
        print(f"no test in {name}")
        tally.failed = 1
    total.add(tally)
    print(f"{build:12} {name:8} {tally}  ({time.monotonic() - start:.0f} s)", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=SUITES)
    parser.add_argument("--build", default="build")
    options = parser.parse_args()
    total = Tally()
    if options.only:
        stage(options.only, options.build, total)
    else:
        for build, variables, suites in BUILDS:
            make(build, *variables)
            for name in suites:
                stage(name, build, total)
    for reason, number in total.skips.most_common():
        print(f"skipped {number}: {reason}")
    print(total)
    sys.exit(1 if total.failed else 0)


if __name__ == "__main__":
    main()
