"""Every figure that the README claims, measured against a limit or a peer of the same run.

A row is: what, measured, bound, verdict; times are medians. Absolute bounds are those that the
project set itself on a machine of 2 cpus; ratios compare two ways of doing the same in turn. The
exit status is 1 if a bound is missed or could not be measured. Run from the top of the tree:
CROWFLY_BUILD=build python3 -m bench.run [SUITE...]
"""
import argparse
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from itertools import product
from pathlib import Path

from tests.easim.address import can_bind
from tests.system.daemon import BUILD, Daemon, eventually, preload_environment
from tests.system.stepper import Steppers

SERVICE, NAME = "svc", "svc.eas.internal"
CLIENT = BUILD / "bench/client"
CONNECTS = BUILD / "bench/connects"
DNS_PORT = 53  # resolv.conf names no ports


class Report:
    """Rows, printed as they come."""

    def __init__(self):
        self.missed = 0

    def row(self, what, value, unit="", most=None, least=None, note=""):
        bound = f"<= {most:g}" if most is not None else f">= {least:g}" if least is not None else ""
        held = (most is None or value <= most) and (least is None or value >= least)
        self.missed += not held
        verdict = "" if not bound else "ok" if held else "MISSED"
        print(f"  {what:58} {value:12.2f} {unit:6} {bound:>8}  {verdict:6} {note}".rstrip(),
              flush=True)

    def not_measured(self, what, reason):
        self.missed += 1
        print(f"  {what:58} NOT MEASURED: {reason}", flush=True)


def output_of(*command, env=None):
    return subprocess.run([str(word) for word in command], env={**os.environ, **(env or {})},
                          check=True, text=True, capture_output=True).stdout


def figures(program, runs=1):
    """Lines "<name> <value> <unit>" of a benchmark program: the median of its runs, by name."""
    found = {}
    for _ in range(runs):
        for line in output_of(BUILD / "bench" / program).splitlines():
            found.setdefault(line.split()[0], []).append(float(line.split()[1]))
    return {name: statistics.median(values) for name, values in found.items()}


def write_list(daemon, count):
    """What discovery says of the service, as a file that takes the last one's place."""
    items = [{"app": SERVICE, "ip": f"127.{128 + (i >> 16)}.{i >> 8 & 255}.{i & 255}", "port": 8000,
              "weight": 100} for i in range(1, count + 1)]
    temporary = daemon.directory / "list.tmp"
    temporary.write_text(json.dumps({"endpoints": {"items": items}}))
    temporary.rename(daemon.directory / "list.json")


def wait_visible(daemon, count):
    """Until another process sees so many instances."""
    command = [BUILD / "crowfly", "status", "--json", "--runtime-dir", daemon.runtime_dir]
    eventually(lambda: len(json.loads(output_of(*command))["services"][0]["instances"]) == count,
               what=f"{count} instances in the snapshot")


@contextmanager
def serving(count, dns_port=None):
    """A crowflyd with so many instances of one service, once others see them."""
    with Daemon() as daemon:
        write_list(daemon, count)
        daemon.set("source bench", type="file", path=daemon.directory / "list.json",
                   services=SERVICE, accept="127.0.0.0/8")
        daemon.set("health", probe_rate=0)  # nobody is there
        if dns_port:
            daemon.set("dns", listen=f"{daemon.dns[0]}:{dns_port}")
        daemon.start()
        wait_visible(daemon, count)
        yield daemon


def with_library(daemon, *arguments):
    return output_of(CLIENT, *arguments, env=preload_environment(daemon.runtime_dir)).strip()


def bench_pick(report):
    print("pick (golden-ratio sequence, guide table)")
    found = figures("pick")
    for n in (4, 100, 1000, 100000):
        report.row(f"one pick of {n} instances", found[f"pick_{n}"], "ns",
                   most=20 if n == 1000 else None)
        report.row(f"largest deviation after 10^6 picks of {n}", found[f"deviation_{n}"], "picks",
                   most=6)


def bench_answer(report):
    print("an answer of our own names, without a socket")
    found = figures("answer")
    for instances in ("800", "100000", "100000_mixed"):
        for case, what in {"": "3 of", "_near": "3 of, on the host's network,", "_one": "1 of",
                           "_eight": "8 of", "_nodata": "no AAAA for"}.items():
            report.row(f"{what} {instances.replace('_', ' ')} instances", found[f"answer_{instances}{case}"], "ns")


def bench_attach(report):
    print("attach (open, read, check, close of the snapshot)")
    found = figures("attach")
    for n in (4, 1000, 100000):
        report.row(f"{n} instances, a new snapshot in a running process",
                   found[f"attach_again_{n}"], "us", most=10 if n == 1000 else None)
        report.row(f"{n} instances, the first of a process: memory is new",
                   found[f"attach_first_{n}"], "us")


def bench_first_picks(report, processes=10000):
    print(f"first picks of {processes} fresh processes, 100 equal instances")
    with serving(100) as daemon:
        picks = Counter(with_library(daemon, "first", NAME) for _ in range(processes))
    report.row("the worst instance, times its share", max(picks.values()) * 100 / processes,
               most=1.4)
    report.row("instances never picked first", 100 - len(picks), most=0)


def bench_lookup(report):
    print("getaddrinfo(): by the library, and by DNS from the same crowflyd, in turn")
    with serving(8) as probe:
        reason = why_no_dns(probe)
    if reason:
        report.not_measured("times faster by the library", reason)
        return
    with serving(8, DNS_PORT) as daemon:
        library, dns = [], []
        for _ in range(5):
            library.append(float(with_library(daemon, "resolve", NAME, 20000)))
            dns.append(float(by_resolv_conf(daemon, CLIENT, "resolve", NAME, 2000)))
    report.row("by the library", statistics.median(library), "ns")
    report.row("by DNS", statistics.median(dns), "ns")
    report.row("times faster by the library",
               statistics.median(d / l for d, l in zip(dns, library)), least=20)


def why_no_dns(daemon):
    if not can_bind(daemon.dns[0], DNS_PORT):
        return "port 53 needs root"
    try:
        by_resolv_conf(daemon, "true")
    except subprocess.CalledProcessError as error:
        return f"a mount namespace is not permitted here ({error.stderr.strip()})"
    return None


def by_resolv_conf(daemon, *command):
    """In a mount namespace whose resolv.conf names crowflyd: no file of the system changes."""
    resolv, nsswitch = daemon.directory / "resolv.conf", daemon.directory / "nsswitch.conf"
    resolv.write_text(f"nameserver {daemon.dns[0]}\n")
    nsswitch.write_text("hosts: files dns\n")
    script = ('mount --bind "$1" /etc/resolv.conf && mount --bind "$2" /etc/nsswitch.conf && '
              'shift 2 && exec "$@"')
    how = "-m" if os.geteuid() == 0 else "-rm"
    return output_of("unshare", how, "sh", "-c", script, "sh", resolv, nsswitch, *command)


def bench_notours(report):
    print("connect() to an address that is not ours, with the library and without, in turn")
    with serving(1000) as daemon:
        found = connects(daemon, "idle", "connect", 3001, 1)
        calls = {library: system_calls(daemon, library) for library in (False, True)}
    report.row("without", found["bare"], "ns")
    report.row("added by the library", found["loaded"] - found["bare"], "ns", most=20)
    report.row("system calls added to 2,000 connects", calls[True] - calls[False], most=0)
    print("  (a process that goes on connecting looks at the snapshot by one stat() in a second)")


def system_calls(daemon, library):
    """System calls between the first connect() and the last: start-up is another matter."""
    command = ["strace", "-f", "-o", "/dev/stdout"]
    if library:
        environment = preload_environment(daemon.runtime_dir)
        for name in ("LD_PRELOAD", "CROWFLY_RUNTIME_DIR"):  # of the client, not of strace
            command += ["-E", f"{name}={environment[name]}"]
    lines = output_of(*command, CLIENT, "notours", "2000").splitlines()
    places = [i for i, line in enumerate(lines) if "connect(-1" in line]
    return places[-1] - places[0] + 1


@contextmanager
def two_addresses():
    """One that accepts connections and one that refuses them."""
    with socket.socket() as holder, subprocess.Popen(
            [CONNECTS, "serve"], text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE) as server:
        holder.bind(("127.0.0.2", 0))
        yield server.stdout.readline().split(), ["127.0.0.2", str(holder.getsockname()[1])]
        server.stdin.close()


@contextmanager
def serving_addresses(addresses, **health):
    """A crowflyd with these instances, once others see them."""
    with Daemon() as daemon:
        items = [{"app": SERVICE, "ip": ip, "port": int(port), "weight": 100}
                 for ip, port in addresses]
        (daemon.directory / "list.json").write_text(json.dumps({"endpoints": {"items": items}}))
        daemon.set("source bench", type="file", path=daemon.directory / "list.json",
                   services=SERVICE, accept="127.0.0.0/8")
        daemon.set("health", **health)
        daemon.start()
        wait_visible(daemon, len(items))
        yield daemon


def connects(daemon, *arguments):
    """Lines "NAME VALUE" of bench/connects under the library."""
    lines = output_of(CONNECTS, *arguments, env=preload_environment(daemon.runtime_dir))
    return {line.split()[0]: float(line.split()[1]) for line in lines.splitlines()}


def quietest(runs):
    """Of runs of the same, the one in which the neighbours of this machine disturbed least: told by
    the calls without the library alone, so that it is no choice in favour of the ones with it."""
    return min(runs, key=lambda found: found["bare"])


def bench_connect(report):
    print("connect() to instances on this machine, with the library and without, in turn")
    # Without probes: one that refuses is met again and again.
    with two_addresses() as (good, closed), \
            serving_addresses([good, closed], probe_rate=0) as daemon:
        for what, how, most, calls in (("blocking", "block", 1.03, "two setsockopt()"),
                                       ("in an event loop", "event", 1.05, "fcntl() and poll()")):
            found = quietest([connects(daemon, how, *good, *closed, 10001) for _ in range(3)])
            report.row(f"{what}, to one that answers, without", found["bare"] / 1e3, "us")
            report.row(f"{what}, to one that answers, times that",
                       found["healthy"] / found["bare"], most=most)
            report.row(f"{what}, by the {calls} that it cannot do without, times that",
                       found["least"] / found["bare"])
            report.row(f"{what}, refused then good, more than both",
                       (found["moved"] - found["refused"] - found["bare"]) / 1e3, "us", most=5)


@contextmanager
def servers(count):
    """So many that accept connections, on ports of their own; their processes and addresses."""
    processes = [subprocess.Popen([CONNECTS, "serve"], text=True, stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE) for _ in range(count)]
    try:
        yield [(process, process.stdout.readline().split()) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()


def bench_health(report, dead=21, programs=64, connects_each=300):
    print("health: what an instance that fails costs the host")
    with servers(1) as [(_, good)]:
        closed = [[f"127.0.1.{i + 1}", "9"] for i in range(dead)]
        with serving_addresses([good, *closed]) as daemon:
            lines = output_of(BUILD / "bench/health", daemon.runtime_dir, dead).splitlines()
    times = [float(line.split()[1]) / 1000 for line in lines]
    what = "from a report to `ejected` in another process"
    report.row(f"{what}, median of {dead}", statistics.median(times), "ms", most=20)
    report.row(f"{what}, the longest", max(times), "ms")
    report.row(f"{programs} programs, 1 of 4 instances is killed: attempts in vain",
               in_vain(programs, lambda steppers: [steppers.connect() for _ in range(30)]),
               most=programs)
    report.row(f"the same, while all {programs} connect as fast as they can",
               in_vain(programs, lambda steppers: steppers.finish(), connects_each))


def in_vain(programs, go_on, connects_each=0):
    """Attempts of so many programs to reach an instance that is killed under them."""
    with servers(4) as found, serving_addresses([address for _, address in found]) as daemon, \
            Steppers(daemon, programs, NAME) as steppers:
        steppers.connect()
        if connects_each:
            steppers.begin(connects_each)
        process, (ip, port) = found[0]
        process.kill()
        process.wait()
        go_on(steppers)
        return steppers.in_vain(f"{ip}:{port}")


@contextmanager
def silent_address():
    """One that answers no SYN: its queue is full, of the one connection that fits."""
    with socket.socket() as listener, socket.socket() as filler:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        filler.connect(listener.getsockname())
        yield ["127.0.0.1", str(listener.getsockname()[1])]


def bench_silent(report):
    print("connect() to an instance that answers nothing, by the library: until another has answered")
    with two_addresses() as (good, _), silent_address() as silent, \
            serving_addresses([good, silent], probe_rate=0) as daemon:
        found = connects(daemon, "silent", *silent, 5)
    report.row("blocking", found["blocking"] / 1e6, "ms", most=300)
    report.row("in an event loop", found["events"] / 1e6, "ms", most=300)
    report.row("in an event loop of another thread that waits already", found["inside"] / 1e6,
               "ms", most=1150)


def bench_idle(report):
    print("waits while no connect is pending, with the library and without, in turn")
    with serving(10) as daemon:
        for call, threads in product(("poll", "epoll", "select"), (1, 2)):
            found = quietest([connects(daemon, "idle", call, 501, threads) for _ in range(3)])
            what = call if threads == 1 else f"{call} in each of {threads} threads"
            report.row(f"{what}, without", found["bare"], "ns")
            report.row(f"{what}, added by the library", found["loaded"] - found["bare"], "ns",
                       most=10)
            if threads > 1:  # without others it needs not come back
                report.row(f"{what}, added by an interposer that only sees it return",
                           found["least"] - found["bare"], "ns")


def bench_scale(report):
    print("100,000 instances in one service: each stage in one process (cpu time)")
    for name, value in figures("stages", runs=5).items():
        unit = "MB" if name == "json_size" else "ms"
        report.row(name.replace("_", " "), value, unit)
    print("and in crowflyd")
    with serving(1) as daemon:
        report.row("resident with 1 instance", memory_mb(daemon, "VmRSS"), "MB")
        start = time.monotonic()
        write_list(daemon, 100000)
        wait_visible(daemon, 100000)
        report.row("from writing the list to `crowfly status` (wall)", time.monotonic() - start,
                   "s")
        report.row("resident with 100,000 instances", memory_mb(daemon, "VmRSS"), "MB")
        report.row("the most it ever had", memory_mb(daemon, "VmHWM"), "MB")
        write_list(daemon, 1)
        wait_visible(daemon, 1)
        report.row("resident with 1 again, and 99,999 tombstones", memory_mb(daemon, "VmRSS"),
                   "MB")


def memory_mb(daemon, field):
    status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    return int(re.search(rf"{field}:\s+(\d+)", status)[1]) / 1024


SUITES = {
    "pick": bench_pick,
    "answer": bench_answer,
    "attach": bench_attach,
    "first": bench_first_picks,
    "lookup": bench_lookup,
    "notours": bench_notours,
    "connect": bench_connect,
    "health": bench_health,
    "silent": bench_silent,
    "idle": bench_idle,
    "scale": bench_scale,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("only", nargs="*", metavar="SUITE", help=", ".join(SUITES))
    names = parser.parse_args().only or list(SUITES)
    unknown = [name for name in names if name not in SUITES]
    if unknown:
        parser.error(f"no suite {', '.join(unknown)}; there are {', '.join(SUITES)}")
    report = Report()
    for name in names:
        SUITES[name](report)
    print(f"\nbounds missed or not measured: {report.missed}")
    sys.exit(1 if report.missed else 0)


if __name__ == "__main__":
    main()
