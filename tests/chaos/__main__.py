"""Runs chaos in full: see --help."""

import argparse
import os
import sys
import time

from tests.chaos.run import is_clean, run

COMPLAINTS_SHOWN = 50


def main():
    parser = argparse.ArgumentParser(
        prog="tests.chaos",
        description="64 programs connect while instances are killed, blackholed and revived.",
    )
    parser.add_argument("--connects", type=int, default=100_000)
    parser.add_argument("--seed", type=int, help="of an earlier run, to meet the same faults")
    parser.add_argument("--bound", type=float, default=900, metavar="SECONDS")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else int.from_bytes(os.urandom(3), "big")
    print(f"seed {seed}", flush=True)
    start = time.monotonic()
    result = run(options.connects, seed, options.bound)
    for complaint in result["complaints"][:COMPLAINTS_SHOWN]:
        print(" ", complaint)
    print(
        "{programs} programs, {connects} connects, {faults} faults, "
        "{redirects} failed attempts reported".format(**result)
    )
    print(
        "{unserved} connects failed, {duplicates} bodies seen twice, "
        "{broken} requests broken off, {leaked} descriptors leaked".format(**result)
    )
    print(f"seed {seed}, {time.monotonic() - start:.0f} s", flush=True)
    sys.exit(0 if is_clean(result) else 1)


if __name__ == "__main__":
    main()
