#!/usr/bin/env python3
"""Every figure that the README claims, measured against a limit or a peer in this run.

A row is: what, measured, limit, verdict. Absolute times are limits that the project set itself on
a machine of 2 cpus; ratios compare two ways of doing the same in turn. Exit code 1 if one is missed.
"""
import argparse
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent


class Report:
    """Rows, printed as they come."""

    def __init__(self):
        self.missed = 0

    def row(self, what, value, limit=None, unit=""):
        verdict = "" if limit is None else "ok" if value <= limit else "MISSED"
        self.missed += verdict == "MISSED"
        bound = "" if limit is None else f"<= {limit:g}"
        print(f"  {what:58} {value:12.2f} {unit:6} {bound:>10}  {verdict}", flush=True)

    def note(self, text):
        print(f"  {text}", flush=True)


def figures(program):
    """Lines "<name> <value> <unit>" of a benchmark program."""
    output = subprocess.run([str(program)], check=True, text=True, capture_output=True).stdout
    return {name: float(value) for name, value, *_ in map(str.split, output.splitlines())}


def free_port(kind=socket.SOCK_DGRAM):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Daemon:
    """A crowflyd that reads its lists from files, in a directory of its own."""

    def __init__(self, build, lists, dns="none"):
        self.dir = Path(tempfile.mkdtemp(prefix="crowfly-bench-", dir="/dev/shm"))
        self.dir.chmod(0o755)
        for name, items in lists.items():
            self.write(name, items)
        config = self.dir / "crowfly.conf"
        config.write_text(
            f"[daemon]\nruntime-dir={self.dir}/run\nstate-dir={self.dir}/state\nuser=root\n"
            f"[source bench]\ntype=file\npath={self.dir}/{{service}}.json\n"
            f"services={','.join(lists)}\naccept=0.0.0.0/0\n[dns]\nlisten={dns}\n"
            f"[http]\nlisten=none\n")
        with open(self.dir / "log", "w", encoding="utf-8") as log:
            self.process = subprocess.Popen([str(build / "crowflyd"), "-c", str(config)],
                                            stderr=log)
        self.env = {"CROWFLY_RUNTIME_DIR": f"{self.dir}/run"}

    def write(self, name, items):
        target = self.dir / f"{name}.json"
        temporary = target.with_suffix(".tmp")
        temporary.write_text(json.dumps({"endpoints": {"items": items}}))
        temporary.rename(target)

    def wait(self, text, bound=30):
        """Until the log says so."""
        end = time.monotonic() + bound
        while text not in (self.dir / "log").read_text():
            if time.monotonic() > end or self.process.poll() is not None:
                sys.exit(f"crowflyd never said '{text}':\n" + (self.dir / "log").read_text())
            time.sleep(0.01)

    def memory_mb(self, field):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"{field}:\s+(\d+)", status)[1]) / 1024

    def close(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.dir)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def items(count, weight=100):
    return [{"app": "bench", "ip": f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}", "port": 8000,
             "weight": weight} for i in range(1, count + 1)]


def client(build, *arguments, preload=False, env=None):
    """Runs bench/client; returns its one line."""
    full = {**os.environ, **(env or {})}
    if preload:
        full["LD_PRELOAD"] = str(build / "libcrowfly.so")
    return subprocess.run([str(build / "bench/client"), *map(str, arguments)], env=full, text=True,
                          check=True, capture_output=True).stdout.strip()


def bench_pick(build, report):
    print("pick (golden-ratio sequence, guide table)")
    found = figures(build / "bench/pick")
    for n in (4, 100, 1000, 100000):
        limit = 20 if n == 1000 else None
        report.row(f"one pick of {n} instances", found[f"pick_{n}"], limit, "ns")
        report.row(f"largest deviation after 10^6 picks of {n}", found[f"deviation_{n}"],
                   6, "picks")


def bench_attach(build, report):
    print("attach (open, read, check, close of the snapshot)")
    found = figures(build / "bench/attach")
    for n in (4, 1000, 100000):
        report.row(f"{n} instances, memory there already", found[f"attach_again_{n}"],
                   10 if n == 1000 else None, "us")
        report.row(f"{n} instances, first time in a process", found[f"attach_first_{n}"], None,
                   "us")


def bench_first_picks(build, report, processes):
    print(f"first picks of {processes} fresh processes, 100 equal instances")
    with Daemon(build, {"svc": items(100)}) as daemon:
        daemon.wait("100 instances")
        wait_for(lambda: resolves(build, daemon, "svc.eas.internal"))
        picks = Counter(client(build, "first", "svc.eas.internal", preload=True, env=daemon.env)
                        for _ in range(processes))
    report.row("the worst instance, times its share", max(picks.values()) * 100 / processes, 1.4)
    report.row("instances never picked first", 100 - len(picks), 0)


def resolves(build, daemon, name):
    try:
        client(build, "first", name, preload=True, env=daemon.env)
        return True
    except subprocess.CalledProcessError:
        return False


def wait_for(condition, bound=30):
    end = time.monotonic() + bound
    while not condition():
        if time.monotonic() > end:
            sys.exit("bench: a condition never came true")
        time.sleep(0.01)


def bench_lookup(build, report):
    """The same program asks crowflyd by DNS: in a mount namespace with a resolv.conf of its own."""
    print("getaddrinfo(): in-process against DNS, in turn")
    with Daemon(build, {"svc": items(8)}, dns="127.0.0.53:53") as daemon:
        daemon.wait("8 instances")
        wait_for(lambda: resolves(build, daemon, "svc.eas.internal"))
        resolv = daemon.dir / "resolv.conf"
        resolv.write_text("nameserver 127.0.0.53\n")
        ratios, fast, slow = [], [], []
        for _ in range(5):
            fast.append(float(client(build, "resolve", "svc.eas.internal", 20000, preload=True,
                                     env=daemon.env)))
            slow.append(float(subprocess.run(
                ["unshare", "-rm", "sh", "-c",
                 f"mount --bind {resolv} /etc/resolv.conf && exec {build}/bench/client resolve "
                 "svc.eas.internal 2000"], check=True, text=True, capture_output=True).stdout))
            ratios.append(fast[-1] / slow[-1])
    report.row("by the preload library", statistics.median(fast), None, "ns")
    report.row("by DNS", statistics.median(slow), None, "ns")
    report.row("ratio (20 times faster is 0.05)", statistics.median(ratios), 0.05)


def bench_notours(build, report):
    print("connect() to an address that is not ours")
    with Daemon(build, {"svc": items(1000)}) as daemon:
        daemon.wait("1000 instances")
        wait_for(lambda: resolves(build, daemon, "svc.eas.internal"))
        added = []
        for _ in range(7):
            with_library = float(client(build, "notours", 2000000, preload=True, env=daemon.env))
            added.append(with_library - float(client(build, "notours", 2000000)))
        report.row("added by the library", statistics.median(added), 20, "ns")
        calls = {name: system_calls(build, daemon, name) for name in ("with", "without")}
    report.row("system calls added to 2,000 connects", calls["with"] - calls["without"], 0)
    report.note("(whoever goes on connecting looks at the snapshot by one stat() in a second)")


def system_calls(build, daemon, which):
    """System calls between the first connect() and the last: start-up is another matter."""
    env = {**os.environ, **daemon.env}
    command = ["strace", "-f", "-o", "/dev/stdout"]
    if which == "with":
        command += ["-E", f"LD_PRELOAD={build}/libcrowfly.so"]
    output = subprocess.run([*command, str(build / "bench/client"), "notours", "2000"], env=env,
                            check=True, text=True, capture_output=True).stdout
    places = [i for i, line in enumerate(output.splitlines()) if "connect(-1" in line]
    return places[-1] - places[0] + 1


def bench_scale(build, report):
    print("100,000 instances in one service: cpu time of each stage, in one process")
    found = figures(build / "bench/stages")
    for name, value in found.items():
        report.row(name, value, None, "MB" if name == "json_size" else "ms")
    with Daemon(build, {"svc": items(1)}) as daemon:
        daemon.wait("1 instance")
        small = daemon.memory_mb("VmRSS")
        start = time.monotonic()
        daemon.write("svc", items(100000))
        wait_for(lambda: status_count(build, daemon) == 100000)
        report.row("file written to visible in a client (wall)", time.monotonic() - start, None,
                   "s")
        report.row("daemon, resident with 1 instance", small, None, "MB")
        report.row("daemon, resident with 100,000", daemon.memory_mb("VmRSS"), None, "MB")
        report.row("daemon, peak", daemon.memory_mb("VmHWM"), None, "MB")
        daemon.write("svc", items(1))
        wait_for(lambda: status_count(build, daemon) == 1)
        report.row("daemon, resident with 1 again, and 99,999 tombstones", daemon.memory_mb("VmRSS"), None, "MB")


def status_count(build, daemon):
    done = subprocess.run([str(build / "crowfly"), "status", "--json"], text=True,
                          env={**os.environ, **daemon.env}, capture_output=True, check=False)
    if done.returncode != 0:
        return -1
    return len(json.loads(done.stdout)["services"][0]["instances"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build")
    parser.add_argument("--processes", type=int, default=10000)
    parser.add_argument("only", nargs="*", help="pick, attach, first, lookup, notours, scale")
    options = parser.parse_args()
    build, report = (TOP / options.build).resolve(), Report()
    suites = {
        "pick": lambda: bench_pick(build, report),
        "attach": lambda: bench_attach(build, report),
        "first": lambda: bench_first_picks(build, report, options.processes),
        "lookup": lambda: bench_lookup(build, report),
        "notours": lambda: bench_notours(build, report),
        "scale": lambda: bench_scale(build, report),
    }
    for name in options.only or suites:
        suites[name]()
    sys.exit(1 if report.missed else 0)


if __name__ == "__main__":
    main()
