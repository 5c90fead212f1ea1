"""What looking at 100,000 instances costs crowflyd: cpu time of each answer, memory, and DNS.

1000 services of 100 instances each, and one of 100,000. CPU is that of the whole process, read from
/proc before and after a number of answers; the daemon has nothing else to do but its polls. Run from
the top of the tree: CROWFLY_BUILD=build python3 -m bench.http
"""
import http.client
import json
import re
import socket
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from bench.run import Report
from tests.system.daemon import Daemon, eventually

SERVICES, EACH, LARGE = 1000, 100, 100000
ANSWERS = 20
READERS = 64
# daemon/http/body.h: larger answers are handed out again for 20 times what making them took.
KEPT, MAKING_TIMES = 262144, 20


def document(count, first=0):
    """A list as discovery sends it."""
    return json.dumps({"endpoints": {"items": [
        {"app": "bench", "ip": f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}", "port": 8000, "weight": 100}
        for i in range(first + 1, first + count + 1)]}})


@contextmanager
def serving(lists):
    """A crowflyd with these lists (name -> text), once all of them are in its image."""
    with Daemon() as daemon:
        directory = daemon.directory / "lists"
        directory.mkdir()
        for name, text in lists.items():
            (directory / name).write_text(text)
        daemon.set("source bench", type="file", path=f"{directory}/{{service}}",
                   services=",".join(lists), poll_interval="1h")
        daemon.start()
        eventually(lambda: b"services are well" in daemon.get("/")[1]
                   or b"one service is well" in daemon.get("/")[1], 120, "all lists")
        yield daemon


def memory_mb(daemon, field):
    status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    return int(re.search(rf"{field}:\s+(\d+)", status)[1]) / 1024


def cpu_s(daemon):
    """User and system time, of all threads."""
    tasks = Path(f"/proc/{daemon.process.pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def cost(daemon, path):
    """CPU milliseconds of the dearest of some answers; its size in kB."""
    costs, size = [], 0
    for _ in range(ANSWERS):
        before = cpu_s(daemon)
        size = len(daemon.get(path)[1])
        costs.append((cpu_s(daemon) - before) * 1000)
        time.sleep(MAKING_TIMES * costs[-1] / 1000 if size > KEPT else 0)
    return max(costs), size / 1000


def rows(report, daemon, what, paths):
    for path in paths:
        milliseconds, size = cost(daemon, path)
        report.row(f"{what}: {path} ({size:.0f} kB)", milliseconds, "ms", most=50)


def bench_many(report):
    print(f"{SERVICES} services of {EACH} instances: cpu time of an answer")
    lists = {f"svc_{i:04}": document(EACH, i * EACH) for i in range(SERVICES)}
    with serving(lists) as daemon:
        rows(report, daemon, "1000 x 100", [
            "/metrics", "/", "/?page=20", "/?q=_05", "/?q=10.1.2.3", "/service/svc_0500",
            "/api/v1/status?page=3", "/api/v1/servicediscovery/upstreams/svc_0500"])


def bench_one(report):
    print(f"one service of {LARGE} instances: cpu time of an answer, and memory")
    with serving({"svc": document(LARGE)}) as daemon:
        report.row("resident before", memory_mb(daemon, "VmRSS"), "MB")
        rows(report, daemon, "1 x 100,000", ["/metrics", "/", "/service/svc", "/service/svc?page=900",
                                             "/service/svc?q=10.1.2.3"])
        before = cpu_s(daemon)
        size = len(daemon.get("/api/v1/status")[1])
        report.row(f"the whole status once ({size / 1e6:.1f} MB)", (cpu_s(daemon) - before) * 1000,
                   "ms")
        time.sleep(2.5)  # what is kept of it has had its time: the next one is made anew
        bench_readers(report, daemon)


def bench_readers(report, daemon):
    """Clients that ask for the whole status and read nothing of it, while DNS is asked."""
    quiet = dns_ms(daemon)
    before = cpu_s(daemon)
    readers = []
    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(dns_ms, daemon)
        for _ in range(READERS):
            reader = socket.create_connection(daemon.http)
            reader.sendall(b"GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n")
            readers.append(reader)
        daemon.get("/healthz")
        asked = busy.result()
    report.row(f"{READERS} clients that read nothing of it: cpu", (cpu_s(daemon) - before) * 1000,
               "ms")
    report.row("resident with them", memory_mb(daemon, "VmRSS"), "MB", most=250)
    report.row("DNS, 99th percentile, without them", quiet, "ms")
    report.row("DNS, 99th percentile, with them", asked, "ms", most=5)
    for reader in readers:
        reader.close()


def dns_ms(daemon, queries=2000):
    """The 99th percentile of answers over UDP, asked one after another."""
    query = (b"\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03svc\x03eas\x08internal\x00"
             b"\x00\x01\x00\x01")
    times = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(daemon.dns)
        client.settimeout(5)
        for _ in range(queries):
            start = time.perf_counter()
            client.send(query)
            client.recv(4096)
            times.append((time.perf_counter() - start) * 1000)
    return statistics.quantiles(times, n=100)[98]


def main():
    report = Report()
    bench_many(report)
    bench_one(report)
    print(f"\nbounds missed or not measured: {report.missed}")
    sys.exit(1 if report.missed else 0)


if __name__ == "__main__":
    main()
