#!/usr/bin/env python3
"""Runs the test suites and closes with counts.

Without arguments: everything, as `make test` does. Each suite runs in the plain build and again in
builds under ASan+UBSan and under TSan, because a race or an overrun that the plain build survives
is a defect all the same.
"""
import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
PYTHON = "/usr/bin/python3"  # Debian's: the one that Debian's pytest and dnspython belong to
JOBS = str(os.cpu_count() or 1)

# verify_asan_link_order: the library is preloaded, so it comes before ASan's runtime.
# handle_segv stays at its default: a crash must be a report.
SANITIZER_ENV = {
    "ASAN_OPTIONS": "verify_asan_link_order=0:detect_leaks=1:abort_on_error=0",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1",
}


class Tally:
    """Counts of one suite, and of all of them."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped

    def __str__(self):
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def run(command, **env):
    """Runs a command; returns (exit code, its output)."""
    done = subprocess.run(command, cwd=TOP, env={**os.environ, **env}, text=True, errors="replace",
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.returncode, done.stdout


def count(output, pattern):
    return sum(int(number) for number in re.findall(pattern, output))


def units(build):
    """Every cmocka program; one that dies without counts is a failure."""
    tally = Tally()
    for source in sorted((TOP / "tests/unit").glob("test_*.c")):
        program = TOP / build / "tests/unit" / source.stem
        code, output = run([str(program)], **SANITIZER_ENV)
        one = Tally()
        one.passed = count(output, r"\[  PASSED  \] (\d+) test")
        one.failed = count(output, r"\[  FAILED  \] (\d+) test")
        one.skipped = count(output, r"\[  SKIPPED \] (\d+) test")
        if code != 0 and one.failed == 0:
            one.failed = 1
        if code != 0:
            print(output)
        tally.add(one)
    return tally


def fuzz(build):
    """Each parser over its corpus: one test a target."""
    tally = Tally()
    for source in sorted((TOP / "tests/fuzz").glob("fuzz_*.c")):
        corpus = TOP / "tests/fuzz/corpus" / source.stem.removeprefix("fuzz_")
        code, output = run([str(TOP / build / "tests/fuzz" / source.stem), str(corpus)],
                           **SANITIZER_ENV)
        if code == 0:
            tally.passed += 1
        else:
            tally.failed += 1
            print(output)
    return tally


def pytest(build, *arguments):
    code, output = run([PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
                       CROWFLY_BUILD=build, **SANITIZER_ENV)
    tally = Tally()
    summary = output.strip().splitlines()[-1] if output.strip() else ""
    tally.passed = count(summary, r"(\d+) passed")
    tally.failed = count(summary, r"(\d+) failed") + count(summary, r"(\d+) error")
    tally.skipped = count(summary, r"(\d+) skipped")
    if code != 0 and tally.failed == 0:
        tally.failed = 1
    if code != 0 or tally.skipped:
        print(output)
    return tally


def system(build):
    return pytest(build, "-n", str(2 * int(JOBS)), "-rs", "tests/system")


def arch(build):
    """The invariants, and that each check fails on a seeded violation."""
    tally = Tally()
    code, output = run([PYTHON, "tests/arch/check.py", "--build", build])
    print(output.rstrip())
    tally.passed, tally.failed = (1, 0) if code == 0 else (0, 1)
    tally.add(pytest(build, "tests/arch"))
    return tally


def make(build, *variables):
    """Builds everything that the suites need; ends the run if it does not build."""
    code, output = run(["make", "--no-print-directory", "-j", JOBS, f"BUILD={build}", *variables,
                        "tests-built"])
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
    print(total)
    sys.exit(1 if total.failed or not total.passed else 0)


if __name__ == "__main__":
    main()
