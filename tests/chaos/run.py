"""Runs programs of every kind against three instances that are killed, blackholed and revived.

One is healthy at every moment, and for as long as a connect() can last. Then no program may see a
failure, no request body may arrive twice and no descriptor may be left. The seed fixes the faults
and what each program asks for, though not how they meet. Closes with counts; the exit status is 0
if nobody noticed.
"""

import contextlib
import json
import random
import subprocess
import time
from pathlib import Path

from tests.easim.address import Network
from tests.system.daemon import BUILD, LIBRARY, Daemon, end, preload_environment, spawn

HERE = Path(__file__).resolve().parent
CLIENT = BUILD / "tests" / "chaos" / "client"
SERVER = BUILD / "tests" / "chaos" / "server"
PYTHON = "/usr/bin/python3"
SERVICE = "chaos"

# As many as the addresses that one connect() tries: with more, the healthy one may be left out.
INSTANCES = 3
# While the healthy one changes, both are: longer than two attempts in vain, each of which may last
# until the kernel's floor of 1.1 s, and what two cores need to run 64 programs.
OVERLAP_S = 4.0
PAUSE_S = (0.02, 0.2)  # between two faults
FAULTS = (5, 25)  # before the healthy one changes

# How many processes of a kind, and how many connects each in proportion: those that do one after
# the other spend a quarter of a second on each attempt that nobody answers.
IN_C = {"poll": (6, 5), "select": (6, 5), "epoll": (8, 5), "edge": (8, 5), "once": (6, 5)}
IN_PYTHON = {"blocking": (8, 1), "threads": (8, 3), "asyncio": (8, 3), "curl": (6, 1)}
KINDS = {**IN_C, **IN_PYTHON}


class Server:
    """server.c, and orders to it."""

    def __init__(self, ips):
        self._process = spawn(
            [SERVER, *ips], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        ports = map(int, self._process.stdout.readline().split())
        self.places = list(zip(ips, ports, strict=True))

    def order(self, word, index=0):
        """The counts of connections, bodies, duplicates and broken requests."""
        print(word, index, file=self._process.stdin, flush=True)
        return list(map(int, self._process.stdout.readline().split()))

    def close(self):
        self._process.stdin.close()
        self._process.stdout.close()
        end(self._process)


def faults(seed):
    """For ever: seconds to pause, an order to the server, and the instance."""
    rng = random.Random(seed)
    healthy = 0
    while True:
        others = [index for index in range(INSTANCES) if index != healthy]
        for _ in range(rng.randint(*FAULTS)):
            yield _fault(rng, others)
        heir = others.pop(rng.randrange(len(others)))
        yield 0, "open", heir
        overlap = OVERLAP_S
        while overlap > 0:
            fault = _fault(rng, others)
            overlap -= fault[0]
            yield fault
        healthy = heir


def _fault(rng, instances):
    word = rng.choice(["refuse", "blackhole", "open"])
    return rng.uniform(*PAUSE_S), word, rng.choice(instances)


class Clients:
    """The programs, their outputs in files."""

    def __init__(self, directory, runtime_dir, places, connects, seed):
        self._running = []
        self._outputs = []
        self.count = sum(processes for processes, _ in KINDS.values())
        places = [f"{ip}:{port}" for ip, port in places]
        for number, (kind, times) in enumerate(_work(connects)):
            program = [CLIENT, kind] if kind in IN_C else [PYTHON, HERE / "client.py", kind]
            # A sanitized program wants the library of its own build.
            library = BUILD / LIBRARY.name if kind in IN_C else LIBRARY
            output = directory / f"{number:02}-{kind}"
            with output.open("w") as file:
                process = spawn(
                    [*program, number, times, seed * 1000 + number, *places],
                    env=preload_environment(runtime_dir, library),
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=file,
                )
            self._running.append(process)
            self._outputs.append(output)

    def running(self):
        return any(process.poll() is None for process in self._running)

    def end(self):
        for process in self._running:
            end(process)

    def results(self):
        """Served requests and leaked descriptors in all, and all that is out of order."""
        served = leaked = 0
        complaints = []
        for output in self._outputs:
            *lines, last = output.read_text().splitlines() or [""]
            if last.startswith("done "):
                served += int(last.split()[1])
                leaked += int(last.split()[2])
            else:
                lines.append(last + " (and did not get to its end)")
            complaints += [f"{output.name}: {line}" for line in lines]
        return served, leaked, complaints


def _work(connects):
    """Kind and number of connects of each process; they add up."""
    unit = connects / sum(processes * share for processes, share in KINDS.values())
    work = [(kind, int(share * unit)) for kind, (n, share) in KINDS.items() for _ in range(n)]
    left = connects - sum(times for _, times in work)
    return [(work[0][0], work[0][1] + left), *work[1:]]


def torment(server, clients, seed, bound_s):
    """Until the clients have ended; how many faults, and whether that was within the bound."""
    limit = time.monotonic() + bound_s
    for count, (pause_s, word, index) in enumerate(faults(seed)):
        if not clients.running():
            return count, True
        if time.monotonic() > limit:
            return count, False
        server.order(word, index)
        time.sleep(pause_s)


def write_list(path, places):
    items = [{"app": SERVICE, "ip": ip, "port": port, "weight": 100} for ip, port in places]
    path.write_text(json.dumps({"correlative": [SERVICE], "endpoints": {"items": items}}))


def run(connects, seed, bound_s):
    """The counts, by name."""
    with contextlib.ExitStack() as stack:
        network = Network()
        stack.callback(network.close)
        server = Server([network.address(1 + index) for index in range(INSTANCES)])
        stack.callback(server.close)
        daemon = stack.enter_context(Daemon())
        lists = daemon.directory / "list.json"
        write_list(lists, server.places)
        daemon.source("chaos", type="file", path=lists, services=SERVICE)
        daemon.start()
        daemon.wait_instances(SERVICE, INSTANCES)
        # The first connects are to meet a fault as well.
        server.order("blackhole", 1)
        server.order("refuse", 2)
        clients = Clients(daemon.directory, daemon.runtime_dir, server.places, connects, seed)
        stack.callback(clients.end)
        count, in_time = torment(server, clients, seed, bound_s)
        clients.end()
        served, leaked, complaints = clients.results()
        _, bodies, duplicates, broken = server.order("report")
        return {
            "complaints": complaints + ([] if in_time else [f"not done in {bound_s} s"]),
            "programs": clients.count,
            "faults": count,
            "redirects": daemon.counter("reports_failed"),
            "connects": connects,
            "unserved": connects - served,
            "unsent": served - bodies,
            "broken": broken,
            "duplicates": duplicates,
            "leaked": leaked,
        }


def is_clean(result):
    wrong = ("complaints", "unserved", "unsent", "broken", "duplicates", "leaked")
    return not any(result[name] for name in wrong)
