"""Runs easim in the foreground: see --help."""

import argparse
import asyncio
import json
import signal
import sys

from tests.easim.control import Control
from tests.easim.simulator import OPERATIONS, Simulator


def parse(arguments):
    parser = argparse.ArgumentParser(
        prog="easim",
        description="A stand-in for the platform on loopback: discovery API and instances.",
        epilog="Control: POST /OPERATION with a JSON object, for instance "
        """curl -d '{"kind":"status","options":{"status":500}}' CONTROL/set_fault. """
        f"Operations: {', '.join(OPERATIONS)}.",
    )
    parser.add_argument(
        "--service",
        action="append",
        default=[],
        metavar="NAME=W,W,...",
        help="a service with one instance for each weight; may be repeated",
    )
    parser.add_argument(
        "--until-eof",
        action="store_true",
        help="end when standard input does, so that it never outlives who started it; and with "
        "each line of it begin anew",
    )
    return parser.parse_args(arguments)


def read_service(text):
    name, equals, weights = text.partition("=")
    try:
        return name, [int(weight) for weight in weights.split(",")]
    except ValueError:
        sys.exit(f"easim: --service {text}: wants NAME=WEIGHT,WEIGHT,...")


async def run(options):
    """Plays until the end, and says whether to begin anew."""
    simulator = Simulator()
    control = Control(simulator)
    await simulator.start()
    await control.start()
    for name, weights in map(read_service, options.service):
        await simulator.add_service(name, weights)
    where = {"control": control.url, "endpoint": simulator.discovery.endpoint}
    print(json.dumps(where), flush=True)
    again = await end_of_run(options.until_eof)
    await control.close()
    await simulator.close()
    return again


async def end_of_run(until_eof):
    loop = asyncio.get_running_loop()
    ends = asyncio.Queue()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ends.put_nowait, False)
    if until_eof:
        loop.add_reader(sys.stdin, lambda: ends.put_nowait(bool(sys.stdin.readline())))
    return await ends.get()


def main():
    options = parse(sys.argv[1:])
    while asyncio.run(run(options)):
        pass


if __name__ == "__main__":
    main()
