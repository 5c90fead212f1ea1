"""`make demo`: crowfly shown by itself, on loopback, within a minute.

A stand-in EAS with two services, crowflyd, and real programs that know nothing of either: curl and
python3. Each scene counts its requests and failures and checks what it claims; the exit status is 0
only if all of it held.
"""

import collections
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.easim import Easim, teller
from tests.easim.address import can_bind
from tests.system.daemon import BUILD, Daemon, end, eventually, run, spawn
from tests.system.lookup import addresses, ask
from tests.system.upstream import Upstream, answer

WEIGHTS = [100, 100, 50, 10]
MAIN, OTHER = "mnist_saved_model_example", "bert_ranking"
ZONE = "eas.internal"
ELSEWHERE, ELSEWHERE_ADDRESS = "www.example.com", "192.0.2.80"
DNS_PORT = 53  # resolv.conf names no ports
CURLS = 12
FLOW = 300  # requests of the long-running client that a scene waits for
IN_FLIGHT = 10  # answers that may lie in the client's pipe when something is done to an instance
SHARES = 520  # twice the sum of the weights
SHARES_SLACK = 6  # requests; see tests/system/shares.py
TRAFFIC = Path(__file__).with_name("traffic.py")


@dataclass
class Scene:
    name: str
    requests: int = 0
    failures: int = 0
    broken: list = field(default_factory=list)  # claims that did not hold, as sentences

    @property
    def held(self):
        return self.requests > 0 and self.failures == 0 and not self.broken

    def claim(self, holds, otherwise):
        if not holds:
            self.broken.append(otherwise)

    def count(self, answers):
        """Takes the answers of programs into the books; those that failed are shown."""
        for answer in answers:
            self.requests += 1
            if not answer.startswith("served "):
                self.failures += 1
                teller.say(teller.paint(answer, teller.RED))
        return answers


class Traffic:
    """The long-running client under `crowfly run`, and what it has said so far."""

    def __init__(self, daemon, url):
        command = [*under_crowfly(daemon), sys.executable, TRAFFIC, url]
        self._process = spawn(command, stdout=subprocess.PIPE, text=True)
        self.answers = []  # appended by the thread, read by the demo
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        end(self._process)
        self._reader.join()
        self._process.stdout.close()

    def _read(self):
        for line in self._process.stdout:
            self.answers.append(line.rstrip())

    def wait(self, count):
        """Until the client has had that many answers in all."""
        eventually(lambda: len(self.answers) >= count, what=f"request {count} of the client")


class Stage:
    """What all scenes play on."""

    def __init__(self, easim, daemon, upstream):
        self.easim = easim
        self.daemon = daemon
        self.upstream = upstream
        self.instances = easim.instances(MAIN)
        self.traffic = None

    def flow(self, scene, count=FLOW):
        """Lets the client have so many more answers, and books them to the scene."""
        start = len(self.traffic.answers)
        self.traffic.wait(start + count)
        return scene.count(self.traffic.answers[start:])

    def curls(self, scene, service=MAIN, times=CURLS):
        answers = [curl_under_crowfly(self.daemon, service) for _ in range(times)]
        return served_by(scene.count(answers))


def under_crowfly(daemon):
    return [BUILD / "crowfly", "run", "--runtime-dir", daemon.runtime_dir, "--"]


def url(service, port=None):
    authority = f"{service}.{ZONE}" if port is None else f"{service}.{ZONE}:{port}"
    return f"http://{authority}/api/predict/{service}"


def curl(target, *options):
    return ["curl", "-sS", "--max-time", "10", "--noproxy", "*", "-d", "{}", *options, target]


def read_answer(done):
    """One finished curl, in the words of traffic.py."""
    if done.returncode != 0:
        return f"failed {done.stderr.strip()}"
    return "served " + json.loads(done.stdout)["ip"]


def curl_under_crowfly(daemon, service):
    return read_answer(run(*under_crowfly(daemon), *curl(url(service))))


def served_by(answers):
    """How many of the answers each instance gave."""
    words = (answer.split() for answer in answers)
    return collections.Counter(ip for word, ip, *_ in words if word == "served")


def told(counts):
    if not counts:
        return "nobody"
    return ", ".join(f"{ip} ({count})" for ip, count in sorted(counts.items()))


# The scenes, in the order in which they are played.


def scene_curl(stage):
    scene = Scene("curl under `crowfly run`")
    teller.say(f"$ crowfly run -- curl http://{MAIN}.{ZONE}/api/predict/{MAIN}")
    for service in (MAIN, OTHER):
        found = stage.curls(scene, service)
        teller.say(f"{service}: {CURLS} curls answered by {told(found)}")
        scene.claim(len(found) > 1, f"{len(found)} instances answered for {service}, not several")
    teller.aside(f"The name is in no DNS zone; the URL says port 80, the instances listen on "
                 f"{stage.instances[0]['port']}.")  # fmt: skip
    return scene


def scene_python(stage):
    scene = Scene("python3 under `crowfly run`: shares")
    command = [sys.executable, TRAFFIC, url(MAIN), "--times", SHARES]
    teller.say(f"{SHARES} requests of one python3 program (urllib), a new connection each:")
    done = run(*under_crowfly(stage.daemon), *command)
    counts = served_by(scene.count(done.stdout.splitlines()))
    teller.shares(stage.instances, counts)
    for instance in stage.instances:
        fair = SHARES * instance["weight"] / sum(WEIGHTS)
        off = abs(counts[instance["ip"]] - fair)
        scene.claim(off <= SHARES_SLACK, f"{instance['ip']} is {off:.1f} requests off its share")
    return scene


def scene_dns(stage):
    scene = Scene("curl that knows DNS alone")
    port = stage.instances[0]["port"]
    answers = curls_by_resolv_conf(stage, port) or curls_by_resolve(stage, port)
    found = served_by(scene.count(answers))
    teller.say(f"{len(answers)} curls answered by {told(found)}")
    known = {instance["ip"] for instance in stage.instances}
    scene.claim(set(found) <= known, "an address came from elsewhere")
    scene.claim(stage.daemon.counter("dns_queries_udp") > 0, "crowflyd was not asked")
    teller.aside("DNS carries addresses, so the URL names the port. Nor can DNS take a connection "
                 "elsewhere:")  # fmt: skip
    teller.aside("such a program can meet a dead instance. No failure at all is what `crowfly run` "
                 "promises.")  # fmt: skip
    return scene


def run_by_resolv_conf(stage, times, *command):
    """Runs a program so many times in a mount namespace whose resolv.conf names crowflyd alone; None
    where that is not permitted."""
    if stage.daemon.dns[1] != DNS_PORT:
        return None
    resolv, nsswitch = stage.daemon.directory / "resolv.conf", stage.daemon.directory / "nsswitch"
    resolv.write_text(f"nameserver {stage.daemon.dns[0]}\n")
    nsswitch.write_text("hosts: files dns\n")
    script = (
        'mount --bind "$1" /etc/resolv.conf && mount --bind "$2" /etc/nsswitch.conf || exit 1; '
        'times=$3; shift 3; while [ $times -gt 0 ]; do "$@" || echo; times=$((times - 1)); done'
    )
    how = "-m" if os.geteuid() == 0 else "-rm"  # others need a user namespace, too
    done = run("unshare", how, "sh", "-c", script, "sh", resolv, nsswitch, times, *command)
    return done if done.returncode == 0 else None


def curls_by_resolv_conf(stage, port):
    done = run_by_resolv_conf(stage, CURLS, *curl(url(MAIN, port)))
    if done is None:
        return None
    teller.say(f"In a mount namespace whose resolv.conf names crowflyd ({stage.daemon.dns[0]}):")
    teller.say(f"$ curl {url(MAIN, port)}")
    failed = f"failed {done.stderr.strip()}"
    lines = done.stdout.splitlines()
    return [f"served {json.loads(line)['ip']}" if line else failed for line in lines]


def curls_by_resolve(stage, port):
    """dnspython asks crowflyd, and curl is told the first address."""
    teller.say("No mount namespace or port 53 here: dnspython asks crowflyd, and curl is told:")
    teller.say(f"$ curl --resolve {MAIN}.{ZONE}:{port}:ADDRESS {url(MAIN, port)}")
    answers = []
    for _ in range(CURLS):
        address = addresses(ask(stage.daemon, f"{MAIN}.{ZONE}"))[0]
        option = f"{MAIN}.{ZONE}:{port}:{address}"
        answers.append(read_answer(run(*curl(url(MAIN, port), "--resolve", option))))
    return answers


def scene_elsewhere(stage):
    """Names of others, through crowflyd to the upstream and from its cache."""
    scene = Scene("names of others, by crowflyd")
    command = ["getent", "ahostsv4", ELSEWHERE]
    done = run_by_resolv_conf(stage, CURLS, *command)
    if done is None:
        found = [addresses(ask(stage.daemon, ELSEWHERE)) for _ in range(CURLS)]
        answers = [ELSEWHERE_ADDRESS if ELSEWHERE_ADDRESS in each else "" for each in found]
    else:
        teller.say(f"$ getent ahostsv4 {ELSEWHERE}    (resolv.conf names crowflyd alone)")
        answers = re.findall(r"^(\S+) +STREAM", done.stdout, re.MULTILINE)
    scene.count("served " + answer if answer == ELSEWHERE_ADDRESS else "failed" for answer in answers)
    scene.claim(len(answers) == CURLS, f"{len(answers)} answers, not {CURLS}")
    asked = len(stage.upstream.asked(ELSEWHERE, "A"))
    often = "once" if asked == 1 else f"{asked} times"
    teller.say(f"{CURLS} programs had {ELSEWHERE_ADDRESS}; the upstream was asked for it {often}.")
    scene.claim(asked == 1, f"the upstream was asked {often}")
    return scene


def state_of(stage, victim):
    """The state of an instance in crowflyd's eyes."""
    for instance in stage.daemon.service(MAIN)["instances"]:
        if (instance["address"], instance["port"]) == (victim["ip"], victim["port"]):
            return instance["state"]
    return None


def scene_learning(stage):
    """What one program found out spares all the others."""
    scene = Scene("the host learns once")
    victim = stage.instances[1]
    stage.easim.retire(MAIN, 1)
    stage.flow(scene, IN_FLIGHT)
    eventually(lambda: state_of(stage, victim) == "ejected", what="the instance is ejected")
    teller.say(f"{victim['ip']} refused one program, crowflyd proved it, and took it out of picks.")
    verbose = [*under_crowfly(stage.daemon)[:-1], "-v", "--"]
    done = [run(*verbose, *curl(url(MAIN))) for _ in range(CURLS)]
    served = served_by(scene.count([read_answer(each) for each in done]))
    redirects = sum("cannot reach" in each.stderr for each in done)
    teller.say(f"{CURLS} new curls: {told(served)}; {redirects} of them met it.")
    scene.claim(redirects == 0, f"{redirects} programs met the dead instance")
    stage.easim.revive(MAIN, 1)
    eventually(lambda: state_of(stage, victim) == "up", what="the instance is back")
    teller.say("It is back: crowflyd's probes noticed.")
    return scene


def scene_killed_instance(stage):
    scene = Scene("an instance is killed")
    victim = stage.instances[0]
    stage.flow(scene, 100)
    stage.easim.retire(MAIN, 0)
    teller.say(f"{victim['ip']} (weight {victim['weight']}) refuses connections now; discovery "
               f"still lists it.")  # fmt: skip
    stage.flow(scene, IN_FLIGHT)
    served = served_by(stage.flow(scene))
    teller.say(f"{sum(served.values())} requests since: {told(served)}")
    scene.claim(victim["ip"] not in served, "the dead instance answered")
    teller.say(f"{CURLS} new curls: {told(stage.curls(scene))}")
    teller.aside("It finished the request it had, if any: one that dies with its instance is the "
                 "program's to repeat, never crowfly's.")  # fmt: skip
    stage.easim.revive(MAIN, 0)
    return scene


def scene_discovery(kind, label, counter, **options):
    """A scene in which discovery fails in one way."""

    def play(stage):
        scene = Scene(f"discovery {label}")
        good = stage.daemon.instances(MAIN)
        stage.easim.fault(kind, **options)
        stage.daemon.wait_polls(4, counter)
        stage.flow(scene)
        stage.curls(scene)
        polls = stage.daemon.counter(counter)
        kept = stage.daemon.instances(MAIN)
        teller.say(f"{scene.requests} requests served while {polls} polls went wrong; "
                   f"{len(kept)} instances known as before.")  # fmt: skip
        scene.claim(kept == good, "the last good list was lost")
        return scene

    return play


def scene_killed_daemon(stage):
    scene = Scene("crowflyd is killed (SIGKILL)")
    pid = stage.daemon.process.pid
    stage.flow(scene, 100)
    stage.daemon.kill()
    teller.say(f"kill -9 {pid}")
    stage.flow(scene)
    teller.say(f"{CURLS} programs started since: {told(stage.curls(scene))}")
    return scene


def scene_cold_restart(stage):
    scene = Scene("crowflyd restarts, discovery down")
    for path in stage.daemon.runtime_dir.iterdir():
        path.unlink()
    teller.say("The runtime directory is wiped, as by a reboot; discovery refuses connections.")
    stage.daemon.start()
    found, polls = len(stage.daemon.instances(MAIN)), stage.daemon.counter("polls_ok")
    teller.say(f"Ready: {found} instances of {MAIN} from {stage.daemon.state_dir.name}/, after "
               f"{polls} good polls.")  # fmt: skip
    scene.claim(found == len(WEIGHTS), "the state file did not bring the instances back")
    scene.claim(polls == 0, "discovery was not down")
    teller.say(f"{CURLS} programs started since: {told(stage.curls(scene))}")
    stage.flow(scene)
    return scene


def scene_recovery(stage):
    scene = Scene("discovery is back")
    stage.easim.fault("ok")
    stage.daemon.wait_polls(2, "polls_ok")
    stage.flow(scene)
    teller.say("Polls bring lists again; nobody but the log had noticed.")
    return scene


QUIET_SCENES = [
    ("curl, which knows nothing of crowfly", scene_curl),
    ("python3, and who got how much", scene_python),
    ("Programs that preload cannot reach: by DNS", scene_dns),
    ("crowflyd as the only name server", scene_elsewhere),
]
# Played while the long-running client sends.
FLOWING_SCENES = [
    ("An instance dies while requests flow", scene_killed_instance),
    ("Another one dies, and one program finds out for all", scene_learning),
    ("Discovery answers 500", scene_discovery("status", "answers 500", "polls_status", status=500)),
    ("Discovery answers an empty list", scene_discovery("empty", "lists nothing", "polls_empty")),
    ("Discovery is gone", scene_discovery("refuse", "is gone", "polls_connect")),
    ("crowflyd is killed while requests flow", scene_killed_daemon),
    ("crowflyd starts again while discovery is down", scene_cold_restart),
    ("Discovery comes back", scene_recovery),
]


def play(stage, scenes, first_number, played):
    for number, (title, scene) in enumerate(scenes, first_number):
        teller.heading(f"{number}. {title}")
        played.append(scene(stage))


def prepare(easim, daemon, upstream):
    """The services and crowflyd, each with its lists."""
    for service in (MAIN, OTHER):
        easim.add_service(service, WEIGHTS, same_port=True)
    if can_bind(daemon.dns[0], DNS_PORT):
        daemon.dns = (daemon.dns[0], DNS_PORT)
        daemon.set("dns", listen="%s:%d" % daemon.dns)
    upstream.on(ELSEWHERE, answer(f"60 A {ELSEWHERE_ADDRESS}"))
    daemon.set("dns", upstream="%s:%d" % upstream.endpoint)
    daemon.source(endpoint=easim.endpoint, services=f"{MAIN},{OTHER}")
    daemon.start()
    for service in (MAIN, OTHER):
        daemon.wait_instances(service, len(WEIGHTS))


def introduce(easim, daemon):
    teller.heading("crowfly: straight from a program to an instance of a service")
    teller.say(f"stand-in EAS   {easim.endpoint}   (discovery API; all of this is on loopback)")
    for service in (MAIN, OTHER):
        found = easim.instances(service)
        where = f"{found[0]['ip']} to .{found[-1]['ip'].rpartition('.')[2]}"
        weights = ", ".join(str(instance["weight"]) for instance in found)
        teller.say(f"service        {service}: {where}, weights {weights}")
    teller.say(f"crowflyd       pid {daemon.process.pid}, status on http://%s:%d" % daemon.http)


def demo():
    """Plays everything; whether all of it held."""
    played = []
    with Easim() as easim, Daemon() as daemon, Upstream() as upstream:
        try:
            prepare(easim, daemon, upstream)
            introduce(easim, daemon)
            stage = Stage(easim, daemon, upstream)
            play(stage, QUIET_SCENES, 1, played)
            with Traffic(daemon, url(MAIN)) as stage.traffic:
                play(stage, FLOWING_SCENES, len(QUIET_SCENES) + 1, played)
        except (AssertionError, OSError, subprocess.SubprocessError) as error:
            played.append(Scene("the demo could not go on", broken=[str(error)]))
    teller.table(played)
    return all(scene.held for scene in played)


def main():
    missing = [name for name in ("curl", "setpriv") if shutil.which(name) is None]
    missing += [str(BUILD / name) for name in ("crowflyd", "crowfly", "libcrowfly.so")
                if not (BUILD / name).exists()]  # fmt: skip
    if missing:
        sys.exit(f"demo: missing: {', '.join(missing)}; `make demo` sees to it")
    start = time.monotonic()
    held = demo()
    took = time.monotonic() - start
    print(f"\n   {'All of it held' if held else 'Not all of it held'}, in {took:.0f} s.")
    return 0 if held else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
