"""Real programs, unmodified, whose connect() meets an instance that is down.

The proof is by comparison. Where a good instance exists, a program that asks for the bad one says,
byte for byte, what it says without the library when it asks for the good one. Where all refuse, it
says what it says without the library.
"""

import contextlib
import functools
import re
import shutil
from dataclasses import dataclass, field

import pytest

from tests.easim import Easim
from tests.easim.address import Network
from tests.system import backends, nginx
from tests.system.daemon import (
    ROOT,
    SANITIZED,
    Daemon,
    preload_environment,
    run,
)

if SANITIZED:
    pytest.skip("the plain build's run has them: they load its library", allow_module_level=True)

PROGRAMS = ROOT / "tests" / "programs"
PYTHON = "/usr/bin/python3"  # Debian's, with Debian's urllib3
TIMEOUT_S = "10"  # of programs: far more than all attempts take

# What is wrong with an instance; the last of a list is good unless it says otherwise. The first is
# the one that programs ask for. The weights make the pick among the others certain enough: the
# second comes before the third but once in a million.
SCENARIOS = {
    "refused": ["refused", "good"],
    "blackholed": ["blackholed", "good"],
    "refused_blackholed": ["refused", "blackholed", "good"],
    "all_refused": ["refused", "refused", "refused"],
}
GOOD_EXISTS = [name for name, instances in SCENARIOS.items() if "good" in instances]
WEIGHTS = [1, 1_000_000, 1]

# The same with a time limit so long that a loop which is blocked by it shows beyond doubt.
PATIENT = {f"patient_{name}": SCENARIOS[name] for name in GOOD_EXISTS}
PATIENT_LIMIT = "1s"
# How much longer than without the library a loop may stand still. What a program does itself at so
# many answers, and what else this machine does, takes longer: the best pair of runs counts. Under a
# load from elsewhere five were too few once; a loop that is blocked fails in each.
ADDED_S = 0.02
PAIRS = 20
BACKENDS = {"redis": backends.Redis, "postgres": backends.Postgres}


@dataclass
class Program:
    command: list
    kind: str = "http"
    needs: list = field(default_factory=list)  # executables beyond the command's first word
    module: str = ""  # that Debian's Python must have
    run: object = None  # instead of the command: a function of ip, port, environment


def python(name, *arguments, **more):
    return Program([PYTHON, PROGRAMS / name, "IP", "PORT", *arguments], **more)


def node(mode):
    return Program(["node", PROGRAMS / "get.js", mode, "IP", "PORT"])


def java(mode, *options):
    # One thread each for the compiler and the collector: this machine has other tests to run.
    small = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto"]
    return Program(["java", *small, *options, "-cp", "CLASSES", "Get", mode, "IP", "PORT"],
                   needs=["javac"])  # fmt: skip


CURL = ["curl", "-sS", "--noproxy", "*"]
WGET = ["wget", "--no-proxy", "-nv", "-t", "1", "-O", "-"]
URL = "http://IP:PORT/"
ALL = {
    "curl": Program([*CURL, URL]),
    "curl-timeout": Program([*CURL, "--connect-timeout", TIMEOUT_S, URL]),
    "curl-parallel": Program([*CURL, "--no-progress-meter", "-Z", URL, URL, URL]),
    "wget": Program([*WGET, URL]),
    "wget-timeout": Program([*WGET, "-T", TIMEOUT_S, URL]),
    "http.client": python("http_client.py"),
    "http.client-timeout": python("http_client.py", TIMEOUT_S),
    "urllib3": python("urllib3_get.py", module="urllib3"),
    "urllib3-timeout": python("urllib3_get.py", TIMEOUT_S, module="urllib3"),
    "socket-timeout": python("socket_get.py", TIMEOUT_S),
    "asyncio": python("asyncio_get.py"),
    "events": python("events.py"),
    "node-http": node("http"),
    "node-net": node("net"),
    "node-fetch": node("fetch"),
    "nginx": Program(["nginx"], run=nginx.get),
    "java-socket": java("socket"),
    "java-socket-timeout": java("socket-timeout"),
    "java-selector": java("selector"),
    "java-selector-ipv4": java("selector", "-Djava.net.preferIPv4Stack=true"),
    "java-async": java("async"),
    "java-http": java("http"),
    "perl": Program(["perl", PROGRAMS / "get.pl", "IP", "PORT"]),
    "perl-timeout": Program(["perl", PROGRAMS / "get.pl", "IP", "PORT", TIMEOUT_S]),
    "redis-cli": Program(["redis-cli", "-h", "IP", "-p", "PORT", "PING"], kind="redis"),
    "psql": Program(["psql", "-XAtw", "-c", "select", "host=IP port=PORT user=u dbname=d"],
                    kind="postgres"),
}  # fmt: skip


class Stage:
    """The services of all scenarios, and a snapshot that names them.

    The daemon is gone: whatever it could learn of dead instances, the next program asks for the
    bad one as if nobody had tried it yet.
    """

    def __init__(self, easim, daemon, backend_places):
        self._easim = easim
        self.runtime_dir = daemon.runtime_dir
        self._places = {}
        for scenario, instances in SCENARIOS.items():
            for kind in ("http", *BACKENDS):
                self._add(scenario, kind, instances, backend_places.get(kind))
        for scenario, instances in PATIENT.items():
            self._add(scenario, "http", instances, None)
            daemon.set(f"service {scenario}_http", attempt_timeout=PATIENT_LIMIT)
        services = {f"{scenario}_{kind}": len(p) for (scenario, kind), p in self._places.items()}
        daemon.source(endpoint=easim.endpoint, services=",".join(services))
        daemon.start()
        for service, count in services.items():
            daemon.wait_instances(service, count)
        daemon.kill()

    def _add(self, scenario, kind, instances, backend):
        service = f"{scenario}_{kind}"
        self._easim.add_service(service, WEIGHTS[: len(instances)])
        items = self._easim.instances(service)
        if backend is not None and "good" in instances:
            items[-1].update(backend)
            self._easim.set_items(service, items)
        for index, what in enumerate(instances):
            if what == "refused":
                self._easim.kill(service, index)
            elif what == "blackholed":
                self._easim.blackhole(service, index)
        self._places[scenario, kind] = [(item["ip"], item["port"]) for item in items]

    def first(self, scenario, kind):
        """Whom a program asks for: the bad one."""
        return self._places[scenario, kind][0]

    def last(self, scenario, kind):
        return self._places[scenario, kind][-1]

    def places(self):
        return {place for places in self._places.values() for place in places}


@pytest.fixture(scope="module")
def stage():
    with contextlib.ExitStack() as stack:
        easim = stack.enter_context(Easim())
        daemon = stack.enter_context(Daemon())
        network = Network()
        stack.callback(network.close)
        places = {}
        for host, (kind, handler) in enumerate(BACKENDS.items(), 1):
            ip = network.address(host)
            places[kind] = {"ip": ip, "port": stack.enter_context(backends.serving(handler, ip))}
        yield Stage(easim, daemon, places)


@pytest.fixture(scope="session")
def classes(tmp_path_factory):
    """Get.java compiled: once, and not by each JVM that runs it."""
    where = tmp_path_factory.mktemp("classes")
    done = run("javac", "-d", where, PROGRAMS / "Get.java")
    assert done.returncode == 0, done.stderr
    return where


@functools.cache
def missing(name):
    program = ALL[name]
    for executable in (program.command[0], *program.needs):
        if shutil.which(executable) is None:
            return f"{executable} is not installed"
    if program.module and run(PYTHON, "-c", f"import {program.module}").returncode != 0:
        return f"{PYTHON} has no {program.module}"
    return None


@pytest.fixture
def start(stage, request):
    """Runs a program against an address, with the library or without."""

    def run_it(name, place, loaded):
        if reason := missing(name):
            pytest.skip(reason)
        program = ALL[name]
        environment = preload_environment(stage.runtime_dir) if loaded else None
        if program.run is not None:
            return program.run(*place, environment)
        ip, port = place
        words = [str(word).replace("IP", ip).replace("PORT", str(port)) for word in program.command]
        if "CLASSES" in words:
            words[words.index("CLASSES")] = request.getfixturevalue("classes")
        return run(*words, environment=environment)

    return run_it


def said(stage, done):
    """What a program said, whichever instances it named and whenever it was."""
    text = f"status {done.returncode}\nstdout {done.stdout}\nstderr {done.stderr}"
    for ip, port in stage.places():
        text = re.sub(rf"\b{re.escape(ip)}\b", "IP", text)
        text = re.sub(rf"\b{port}\b", "PORT", text)
    text = re.sub(r"after \d+ ms", "after N ms", text)  # curl
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "DATE TIME", text)  # wget


@pytest.mark.parametrize("scenario", GOOD_EXISTS)
@pytest.mark.parametrize("name", ALL)
def test_a_good_instance_is_all_a_program_sees(stage, start, name, scenario):
    kind = ALL[name].kind
    usual = start(name, stage.last(scenario, kind), loaded=False)
    assert usual.returncode == 0, usual
    found = start(name, stage.first(scenario, kind), loaded=True)
    assert said(stage, found) == said(stage, usual)


@pytest.mark.parametrize("name", ALL)
def test_when_all_refuse_a_program_fails_as_it_would(stage, start, name):
    first = stage.first("all_refused", ALL[name].kind)
    usual = start(name, first, loaded=False)
    # events fails by what it prints.
    assert usual.returncode != 0 or "ECONNREFUSED" in usual.stdout, usual
    found = start(name, first, loaded=True)
    assert said(stage, found) == said(stage, usual)


LOOPS = {
    "asyncio": [PYTHON, PROGRAMS / "asyncio_get.py"],
    **{f"node-{mode}": ["node", PROGRAMS / "get.js", mode] for mode in ("http", "net", "fetch")},
}


# So many at once. What is refused on loopback is over before connect() returns.
TIMES = {
    "patient_refused": [20],
    "patient_blackholed": [1, 20, 200],
    "patient_refused_blackholed": [20, 200],
}


@pytest.mark.parametrize(
    ("scenario", "times"), [(name, times) for name in PATIENT for times in TIMES[name]]
)
@pytest.mark.parametrize("name", LOOPS)
def test_a_loop_turns_while_instances_fail(stage, name, scenario, times):
    if reason := missing(name):
        pytest.skip(reason)
    good = stage.last(scenario, "http")
    added = []
    for _ in range(PAIRS):
        _, usual = turns(name, good, good, times, None)
        loaded = preload_environment(stage.runtime_dir)
        ticks, longest = turns(name, stage.first(scenario, "http"), good, times, loaded)
        # 200 ticks fit into the second for which a silent one is tried, two if the loop blocks.
        assert ticks >= 20 or "blackholed" not in scenario
        added.append(longest - usual)
        if added[-1] <= ADDED_S:
            return
    raise AssertionError(f"the loop stood still longer than without the library, s: {added}")


def turns(name, place, good, times, environment):
    """Ticks of a loop, and its longest pause, while it fetches so many answers of the good one."""
    found = run(*LOOPS[name], *place, times, environment=environment)
    assert found.returncode == 0, found
    *answers, last = found.stdout.splitlines()
    assert sum(good[0] in answer for answer in answers) == times
    _, ticks, _, longest = last.split()
    return int(ticks), float(longest)


def test_a_programs_own_time_out_rules(stage):
    """It is shorter than an attempt, and it is what the program sees."""
    ip, port = stage.first("blackholed", "http")
    command = [PYTHON, PROGRAMS / "socket_get.py", ip, port, "0.1"]
    found = run(*command, environment=preload_environment(stage.runtime_dir))
    assert said(stage, found) == said(stage, run(*command))
    assert "timed out" in found.stdout
