"""The DNS servers that bench/dns.py compares, each with one thread, on an address of its own.

A server is a context manager: it answers when it is entered, and nothing of it is left at its end.
What cannot be started raises NotStarted, whose text says why.
"""
import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from tests.easim.address import Network, free_port
from tests.system.daemon import BUILD, Daemon, end, spawn

START_S = 20
QUIET_NS = 20_000_000  # in 0.1 s
ZONE = "eas.internal"
CPUS = sorted(os.sched_getaffinity(0))
SERVER_CPU, LOAD_CPU = CPUS[0], CPUS[-1]


class NotStarted(Exception):
    pass


@contextmanager
def on_cpu(cpu):
    """What is started inside runs there."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def services(count, instances):
    """name -> addresses: what all authoritative servers are given. Loopback: whatever is sent to
    them stays here."""
    numbers = iter(range(1, count * instances + 1))
    return {f"s{s}": [f"127.{128 + (n >> 16)}.{n >> 8 & 255}.{n & 255}"
                      for _, n in zip(range(instances), numbers)] for s in range(count)}


def answers(address, port, name):
    """Whether a query for the name gets NOERROR with a record within 50 ms."""
    question = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    query = b"\0\x01\x01\0\0\x01\0\0\0\0\0\0" + question + b"\0\0\x01\0\x01"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.05)
        try:
            sock.connect((address, port))
            sock.send(query)
            reply = sock.recv(4096)
        except OSError:
            return False
    return reply[3] & 15 == 0 and reply[6:8] != b"\0\0"


def family(pid):
    """A process and all that descend from it."""
    children = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended meanwhile
        children.setdefault(int(words[1]), []).append(int(stat.parent.name))
    found = [pid]
    for one in found:  # which grows
        found += children.get(one, [])
    return found


class Server:
    """A foreign server. Subclasses write its configuration and say how it is started."""

    name = probe = None
    program = None  # of Debian; None: built here
    package = None

    def __init__(self, port=None):
        self.port = port  # None: any
        self.process = None

    def __enter__(self):
        self.network = Network()
        self.address = self.network.address(53)
        self.port = self.port or free_port(self.address)
        self.directory = Path(tempfile.mkdtemp(prefix="crowfly-bench-"))
        self.log_path = self.directory / "log"
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_error):
        if self.process is not None:
            end(self.process)
            try:
                os.killpg(self.process.pid, signal.SIGKILL)  # a child that outlived it
            except ProcessLookupError:
                pass
            for stream in (self.process.stdin, self.process.stdout):
                if stream:
                    stream.close()
        self.network.close()
        shutil.rmtree(self.directory)

    def start(self):
        path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
        if self.program and not shutil.which(self.program, path=path):
            raise NotStarted(f"{self.program} is not installed (Debian: {self.package})")
        with on_cpu(SERVER_CPU), self.log_path.open("wb") as log:
            self.process = spawn(self.command(), cwd=self.directory, start_new_session=True,
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                                 env={**os.environ, "PATH": path})
        self.wait_ready()

    def wait_ready(self):
        limit = time.monotonic() + START_S
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > limit:
                raise NotStarted(self.last_words())
            time.sleep(0.01)
        self.wait_quiet()

    def is_ready(self):
        return answers(self.address, self.port, self.probe)

    def last_words(self):
        lines = self.log_path.read_text(errors="replace").splitlines()
        return f"{self.name} does not answer: {lines[-1] if lines else 'it says nothing'}"

    def command(self):
        raise NotImplementedError

    def write(self, name, text):
        (self.directory / name).write_text(text)
        return self.directory / name

    def wait_quiet(self):
        """Until it has done what it does at its start, such as saving lists."""
        limit = time.monotonic() + START_S
        before = self.cpu_ns()
        while time.monotonic() < limit:
            time.sleep(0.1)
            spent, before = self.cpu_ns() - before, self.cpu_ns()
            if spent < QUIET_NS:
                return

    def cpu_ns(self):
        """Run time of all threads of all of its processes."""
        total = 0
        for pid in family(self.process.pid):
            for stat in Path(f"/proc/{pid}/task").glob("*/schedstat"):
                total += int(stat.read_text().split()[0])
        return total


class Echo(Server):
    """What receiving and sending cost alone."""

    name = "a bare echo"
    how = "plain"

    def command(self):
        return [BUILD / "bench/echo", self.how, self.address, self.port]

    def is_ready(self):
        return self.process.stdout.readline() == b"ready\n"


class EpollEcho(Echo):
    name = "an echo behind epoll"
    how = "epoll"


class Upstream(Echo):
    """What forwarders ask. It shares the cpu of the load."""

    name = "upstream"

    def start(self):
        with on_cpu(LOAD_CPU):
            self.process = spawn([BUILD / "bench/upstream", self.address, self.port],
                                 start_new_session=True, stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE)
        self.wait_ready()

    def seen(self):
        """Queries since the last call, and source ports of them."""
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        queries, ports = self.process.stdout.readline().split()
        return int(queries), int(ports)


# ---- authoritative ----


class Zone(Server):
    """Serves the zone from a zone file."""

    def __init__(self, lists, port=None):
        super().__init__(port)
        self.lists = lists
        self.probe = f"{next(iter(lists))}.{ZONE}"

    def write_zone(self):
        records = [f"{name} A {ip}" for name, ips in self.lists.items() for ip in ips]
        self.write("zone", "\n".join([
            f"$ORIGIN {ZONE}.", "$TTL 1", "@ SOA @ nobody.invalid. 1 3600 1200 604800 5", "@ NS ns",
            "ns A 127.255.255.1", *records, ""]))


class Nsd(Zone):
    name = program = package = "nsd"

    def command(self):
        self.write_zone()
        where = self.directory
        return ["nsd", "-d", "-c", self.write("nsd.conf", f"""
server:
  ip-address: {self.address}@{self.port}
  server-count: 1
  do-ip6: no
  username: ""
  database: ""
  zonesdir: "{where}"
  pidfile: "{where}/pid"
  xfrdfile: "{where}/xfrd"
  xfrdir: "{where}"
  zonelistfile: "{where}/zones"
  round-robin: yes
  tcp-count: 100
  rrl-ratelimit: 0
remote-control:
  control-enable: no
zone:
  name: {ZONE}
  zonefile: zone
""")]


class Knot(Zone):
    name, program, package = "knot", "knotd", "knot"

    def command(self):
        self.write_zone()
        where = self.directory
        return ["knotd", "-c", self.write("knot.conf", f"""
server:
  listen: {self.address}@{self.port}
  rundir: {where}
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
  answer-rotation: on
database:
  storage: {where}
control:
  listen: {where}/control
log:
  - target: stderr
    any: warning
zone:
  - domain: {ZONE}
    storage: {where}
    file: zone
    journal-content: none
""")]


# ---- forwarding ----


class Forwarder(Server):
    """Asks the upstream for all but the names it is given, if it can be given any."""

    probe = "probe.flood.example"

    def __init__(self, upstream, lists=None, port=None):
        super().__init__(port)
        self.upstream = upstream
        self.lists = lists or {}

    def hosts(self):
        return "".join(f"{ip} {name}.{ZONE}\n" for name, ips in self.lists.items() for ip in ips)


class Unbound(Forwarder):
    name = program = package = "unbound"

    def command(self):
        return ["unbound", "-d", "-c", self.write("unbound.conf", f"""
server:
  interface: {self.address}@{self.port}
  access-control: 127.0.0.0/8 allow
  num-threads: 1
  do-ip6: no
  do-daemonize: no
  username: ""
  chroot: ""
  directory: "{self.directory}"
  pidfile: ""
  use-syslog: no
  module-config: "iterator"
  do-not-query-localhost: no
remote-control:
  control-enable: no
forward-zone:
  name: "."
  forward-addr: {self.upstream.address}@{self.upstream.port}
""")]


class Dnsmasq(Forwarder):
    name = program = "dnsmasq"
    package = "dnsmasq-base"

    def __init__(self, upstream, lists=None, port=None, cache=150):
        super().__init__(upstream, lists, port)
        self.cache = cache  # names; its own default. A full one costs time in proportion

    def command(self):
        self.write("hosts", self.hosts())
        return ["dnsmasq", "-k", "-C", "/dev/null", f"--listen-address={self.address}",
                f"--port={self.port}", "--bind-interfaces", "--no-resolv", "--no-hosts",
                "--user=root" if os.geteuid() == 0 else "--user=", "--pid-file=",
                f"--addn-hosts={self.directory}/hosts", f"--cache-size={self.cache}",
                f"--server={self.upstream.address}#{self.upstream.port}", "--log-facility=-"]


class Resolved(Forwarder):
    """From the unpacked package, in a mount namespace: installed, it would take over this machine's
    resolv.conf. It goes without a bus, but not without its user and /run/systemd."""

    name = program = "systemd-resolved"
    package = "systemd-resolved"
    SCRIPT = """
set -e
mount -t tmpfs none /run
mkdir -p /run/systemd/resolve && chown 990:990 /run/systemd/resolve
mount --bind "$1/passwd" /etc/passwd
mount --bind "$1/group" /etc/group
mount --bind "$1/hosts" /etc/hosts
mount --bind "$1/etc" /etc/systemd
exec "$2"
"""

    def start(self):
        if os.geteuid() != 0:
            raise NotStarted("systemd-resolved needs root here, for a user and /run of its own")
        self.binary = fetched("systemd-resolved", "lib/systemd/systemd-resolved")
        self.program = None
        super().start()

    def command(self):
        (self.directory / "etc").mkdir()
        self.write("etc/resolved.conf", f"""[Resolve]
DNS={self.upstream.address}:{self.upstream.port}
Domains=~.
DNSStubListener=no
DNSStubListenerExtra={self.address}:{self.port}
DNSSEC=no
LLMNR=no
MulticastDNS=no
""")
        self.write("hosts", "127.0.0.1 localhost\n" + self.hosts())
        for path, line in (("passwd", "systemd-resolve:x:990:990::/:/usr/sbin/nologin"),
                           ("group", "systemd-resolve:x:990:")):
            self.write(path, Path("/etc", path).read_text() + line + "\n")
        self.directory.chmod(0o755)  # it changes its user
        return ["unshare", "-m", "sh", "-c", self.SCRIPT, "sh", self.directory, self.binary]


def fetched(package, path):
    """A file of a Debian package that is fetched once, and not installed."""
    kept = BUILD / "bench" / Path(path).name
    if kept.exists():
        return kept
    with tempfile.TemporaryDirectory(prefix="crowfly-bench-") as where:
        done = subprocess.run(["apt-get", "download", "-qq", package], cwd=where, text=True,
                              capture_output=True, check=False)
        archives = list(Path(where).glob("*.deb"))
        if done.returncode or not archives:
            raise NotStarted(f"apt-get cannot fetch {package}: {done.stderr.strip()}")
        subprocess.run(["dpkg", "-x", archives[0], where], check=True)
        shutil.copy(Path(where, path), kept)
    return kept


# ---- crowflyd ----


class Crowflyd:
    """A Daemon with lists from files, in the guise of a Server."""

    name = "crowflyd"

    def __init__(self, lists=None, upstream=None, port=None, cache=None, answers_max=8,
                 mixed=False):
        self.lists, self.upstream = lists or services(1, 1), upstream
        self.wanted_port, self.cache, self.answers_max = port, cache, answers_max
        self.mixed = mixed  # weights 1 to 100 instead of the platform's default

    def __enter__(self):
        self.daemon = Daemon().__enter__()
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_error):
        self.daemon.__exit__()

    def weights(self):
        return (1 + i * 37 % 100 if self.mixed else 100 for i in itertools.count())

    def start(self):
        daemon = self.daemon
        self.address, self.port = daemon.dns[0], self.wanted_port or daemon.dns[1]
        for name, ips in self.lists.items():
            items = ",".join(f'{{"app":"{name}","ip":"{ip}","port":80,"weight":{weight}}}'
                             for ip, weight in zip(ips, self.weights()))
            (daemon.directory / name).write_text(f'{{"endpoints":{{"items":[{items}]}}}}')
        daemon.set("source bench", type="file", path=daemon.directory / "{service}", zone=ZONE,
                   services=",".join(self.lists), poll_interval="1h", accept="127.0.0.0/8")
        # Probes cost by the second, not by the query; and these instances would all be down.
        daemon.set("health", probe_rate=0)
        daemon.set("dns", listen=f"{self.address}:{self.port}", answers=self.answers_max)
        if self.upstream:
            daemon.set("dns", upstream=f"{self.upstream.address}:{self.upstream.port}",
                       cache=self.cache)
        try:
            with on_cpu(SERVER_CPU):
                daemon.start()
        except AssertionError as error:
            raise NotStarted(" ".join(str(error).split())) from error
        self.process = daemon.process
        self.wait_lists()

    def wait_lists(self):
        limit = time.monotonic() + START_S
        for name in self.lists:
            while not answers(self.address, self.port, f"{name}.{ZONE}"):
                if time.monotonic() > limit:
                    raise NotStarted(f"crowflyd does not answer {name}.{ZONE}")
                time.sleep(0.01)
        # Lists are saved one a turn: with 1000 of them that is seconds of file system.
        while self.daemon.counter("states_saved") < len(self.lists) and time.monotonic() < limit:
            time.sleep(0.1)
        self.wait_quiet()

    cpu_ns, wait_quiet = Server.cpu_ns, Server.wait_quiet
