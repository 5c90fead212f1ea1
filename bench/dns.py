"""What the DNS responder costs, against limits and peers of the same run.

Measured is run time of the server (all threads of all its processes) for each query that it
answered, while load from another cpu keeps its queue full. Servers take turns of a fraction of a
second, so that whatever else the machine does meets all of them; a row is the median over the turns
of the ratio of neighbours, and behind it where the middle half of those lay. bench/README.md says
more. Run from the top of the tree: CROWFLY_BUILD=build python3 -m bench.dns [SUITE...]
"""
import argparse
import os
import resource
import signal
import statistics
import subprocess
import sys
from contextlib import ExitStack

from bench.run import BUILD, Report, output_of
from bench.servers import (LOAD_CPU, ZONE, Crowflyd, Dnsmasq, Echo, EpollEcho, Knot, NotStarted,
                           Nsd, Resolved, Unbound, Upstream, on_cpu, services)

TURNS = 25
QUERIES = 10000  # a turn: 40 ms at 4 us each
KNOWN, NEW = "known.flood.example", "new.flood.example"
HERD = 2000
DNS_PORT = 53  # resolv.conf names no ports


class Unfit(Exception):
    """What was measured is no measurement: queries were lost, or answered otherwise."""


def flood(server, *how, queries=QUERIES):
    """Lines "NAME VALUE" of bench/flood."""
    with on_cpu(LOAD_CPU):
        text = output_of(BUILD / "bench/flood", "-n", queries, *how, server.address, server.port)
    return {name: int(value) for name, value in map(str.split, text.splitlines())}


def cost_ns(server, *how, queries=QUERIES):
    """Run time of the server for a query."""
    before = server.cpu_ns()
    seen = flood(server, *how, queries=queries)
    spent = server.cpu_ns() - before
    if seen["answered"] < 0.99 * queries or seen["wrong"] or seen["noerror"] < seen["answered"]:
        told = ", ".join(f"{value} {name}" for name, value in seen.items()
                         if value and name != "wall_us")
        raise Unfit(f"{server.name}, of {queries} queries: {told}")
    return spent / seen["answered"]


def take_turns(servers, *how, turns=TURNS, queries=QUERIES):
    """server -> ns a query in each turn. The first turn, in which memory is new, is not counted."""
    costs = {server: [] for server in servers}
    for turn in range(turns + 1):
        for server in servers:
            cost = cost_ns(server, *how, queries=queries)
            if turn > 0:
                costs[server].append(cost)
    return costs


def row_of_ratios(report, what, ours, theirs, most=None):
    ratios = [a / b for a, b in zip(ours, theirs)]
    low, _, high = statistics.quantiles(ratios, n=4)
    report.row(what, statistics.median(ratios), most=most, note=f"{low:.2f} to {high:.2f}")


class Field:
    """The servers of a suite: those that started, and a row for each that did not."""

    def __init__(self, report, stack):
        self.report, self.stack = report, stack

    def start(self, *servers):
        """Peers: one that cannot be started is said and left out."""
        started = []
        for server in servers:
            try:
                started.append(self.stack.enter_context(server))
            except NotStarted as error:
                self.report.not_measured(f"compared with {server.name}", error)
        return started

    def compare(self, ours, peers, *how, queries=QUERIES, turns=TURNS):
        """Rows of our cost and its ratio to that of each peer. peers: (server, bound or None)."""
        bounds = dict(peers)
        fit = [ours]
        for server in bounds:
            try:
                cost_ns(server, *how, queries=queries)
                fit.append(server)
            except Unfit as error:
                self.report.not_measured(f"times {server.name}", error)
        costs = take_turns(fit, *how, queries=queries, turns=turns)
        for server in fit:
            self.report.row(server.name, statistics.median(costs[server]) / 1e3, "us")
        for server in fit[1:]:
            row_of_ratios(self.report, f"crowflyd, times {server.name}", costs[ours],
                          costs[server], bounds[server])


def write_names(directory, names):
    path = directory / "names"
    path.write_text("\n".join(names) + "\n")
    return path


def names_of(lists):
    return [f"{name}.{ZONE}" for name in lists]


def own_names(report, stack, lists, answers_max, bounds, *peers, mixed=False):
    """A suite of own names: crowflyd against echo servers, and against peers with the same zone."""
    ours = stack.enter_context(Crowflyd(lists, answers_max=answers_max, mixed=mixed))
    names = write_names(ours.daemon.directory, names_of(lists))
    field = Field(report, stack)
    started = field.start(Echo(), EpollEcho(), *(peer(lists) for peer in peers))
    field.compare(ours, [(peer, bounds.get(type(peer))) for peer in started], "-f", names)


def bench_own(report, stack):
    print("own names, UDP: 100 services of 8 instances, 3 in the answer (the default)")
    own_names(report, stack, services(100, 8), 3, {Echo: 1.15, Nsd: 0.80}, Nsd, Knot)


def bench_eight(report, stack):
    print("own names, UDP: 100 services of 8 instances, all 8 in the answer, as peers have it")
    own_names(report, stack, services(100, 8), 8, {Echo: 1.15, Nsd: 0.80}, Nsd, Knot)


def bench_many(report, stack):
    print("own names, UDP: 1000 services of 100 instances, 3 in the answer")
    own_names(report, stack, services(1000, 100), 3, {Echo: 1.3})
    print("the same, 8 in the answer")
    own_names(report, stack, services(1000, 100), 8, {Echo: 1.3})
    print("the same, 3 in the answer, each weight another")
    own_names(report, stack, services(1000, 100), 3, {Echo: 1.3}, mixed=True)


def bench_tcp(report, stack):
    print("own names, TCP, 32 queries in flight on each of 3 connections")
    lists = services(100, 8)
    ours = stack.enter_context(Crowflyd(lists))
    names = write_names(ours.daemon.directory, names_of(lists))
    field = Field(report, stack)
    bounds = {Nsd: 0.60}
    peers = field.start(Nsd(lists), Knot(lists))
    field.compare(ours, [(peer, bounds.get(type(peer))) for peer in peers], "-t", "-f", names)


def bench_cached(report, stack):
    print("forwarded names, all cached: 1000 of them")
    upstream = stack.enter_context(Upstream())
    ours = stack.enter_context(Crowflyd(upstream=upstream, cache=10000))
    names = write_names(ours.daemon.directory, [f"n{i}.{KNOWN}" for i in range(1000)])
    field = Field(report, stack)
    bounds = {Echo: 1.25, Unbound: 0.75}
    peers = field.start(Echo(), Unbound(upstream), Dnsmasq(upstream, cache=10000))
    for server in (ours, *peers):  # in few at a time: dnsmasq takes 150 at once
        flood(server, "-f", names, queries=2000)
    upstream.seen()
    field.compare(ours, [(peer, bounds.get(type(peer))) for peer in peers], "-f", names)
    report.row("queries that the upstream saw meanwhile", upstream.seen()[0], most=0)


def bench_new(report, stack):
    print("forwarded names, every one new")
    upstream = stack.enter_context(Upstream())
    ours = stack.enter_context(Crowflyd(upstream=upstream, cache=1000))
    field = Field(report, stack)
    bounds = {Unbound: 0.4, Dnsmasq: 0.5}
    peers = field.start(Unbound(upstream), Dnsmasq(upstream))
    field.compare(ours, [(peer, bounds[type(peer)]) for peer in peers], "-m", NEW, queries=5000,
                  turns=11)
    upstream.seen()
    flood(ours, "-m", NEW, queries=5000)
    report.row("source ports of 5,000 queries", upstream.seen()[1], least=64)


def bench_full(report, stack, cache=100000):
    print("forwarded names, every one new: a cache of 100,000 that is full, and one that is empty")
    upstream = stack.enter_context(Upstream())
    full = stack.enter_context(Crowflyd(upstream=upstream, cache=cache))
    flood(full, "-m", NEW, queries=cache + 5000)
    costs = {"full": [], "empty": []}
    for _ in range(7):
        with Crowflyd(upstream=upstream, cache=cache) as empty:
            cost_ns(empty, "-m", NEW, queries=1000)  # code and sockets are new
            costs["empty"].append(cost_ns(empty, "-m", NEW, queries=5000))
        costs["full"].append(cost_ns(full, "-m", NEW, queries=5000))
    report.row("empty", statistics.median(costs["empty"]) / 1e3, "us")
    report.row("full", statistics.median(costs["full"]) / 1e3, "us")
    row_of_ratios(report, "full, times empty", costs["full"], costs["empty"], most=1.2)


def by_resolv_conf(server, *command):
    """In a mount namespace whose resolv.conf names the server: no file of the system changes."""
    directory = server.directory if hasattr(server, "directory") else server.daemon.directory
    resolv, nsswitch = directory / "resolv.conf", directory / "nsswitch.conf"
    resolv.write_text(f"nameserver {server.address}\n")
    nsswitch.write_text("hosts: files dns\n")
    script = ('mount --bind "$1" /etc/resolv.conf && mount --bind "$2" /etc/nsswitch.conf && '
              'shift 2 && exec "$@"')
    how = "-m" if os.geteuid() == 0 else "-rm"
    return output_of("unshare", how, "sh", "-c", script, "sh", resolv, nsswitch, *command)


def stampede(report, server, what, pattern, most=None):
    text = by_resolv_conf(server, BUILD / "bench/herd", HERD, pattern)
    seen = {name: float(value) for name, value in map(str.split, text.splitlines())}
    report.row(f"{server.name}, {what}: failed", seen["failed"], most=most,
               note=f"asked again after 5 s: {seen['retried']:.0f}; median "
                    f"{seen['median_ms']:.0f} ms, slowest {seen['slowest_ms']:.0f} ms")


def bench_herd(report, stack):
    print(f"{HERD} processes that resolve one name each at the same moment, by getaddrinfo()")
    upstream = stack.enter_context(Upstream())
    lists = services(1, 8)
    field = Field(report, stack)
    for server in (Crowflyd(lists, upstream, DNS_PORT, cache=10000),
                   Dnsmasq(upstream, lists, DNS_PORT), Resolved(upstream, lists, DNS_PORT)):
        most = 0 if isinstance(server, Crowflyd) else None
        for started in field.start(server):
            stampede(report, started, "own name", f"s0.{ZONE}", most)
            stampede(report, started, "one forwarded name", f"one.{NEW}", most)
            stampede(report, started, "a forwarded name each", f"p%.{NEW}", most)


SUITES = {
    "own": bench_own,
    "eight": bench_eight,
    "many": bench_many,
    "tcp": bench_tcp,
    "cached": bench_cached,
    "new": bench_new,
    "full": bench_full,
    "herd": bench_herd,
}


def run_suite(report, name):
    try:
        with ExitStack() as stack:
            SUITES[name](report, stack)
    except (NotStarted, Unfit) as error:
        report.not_measured(name, error)
    except subprocess.CalledProcessError as error:
        report.not_measured(name, f"{error.cmd[0]}: {error.stderr.strip()}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("only", nargs="*", metavar="SUITE", help=", ".join(SUITES))
    names = parser.parse_args().only or list(SUITES)
    unknown = [name for name in names if name not in SUITES]
    if unknown:
        parser.error(f"no suite {', '.join(unknown)}; there are {', '.join(SUITES)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that servers are ended
    # 1000 lists are as many files that crowflyd may have open at once.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 4096), hard), hard))
    report = Report()
    for name in names:
        run_suite(report, name)
    print(f"\nbounds missed or not measured: {report.missed}")
    sys.exit(1 if report.missed else 0)


if __name__ == "__main__":
    main()
