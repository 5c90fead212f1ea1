"""A crowflyd of one's own: its configuration, directories, addresses, life and death.

The standard library alone: `make demo` uses this too.
"""

import contextlib
import http.client
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

from tests.easim.address import Network, free_port

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("CROWFLY_BUILD", ROOT / "build")).resolve()
# A sanitized library needs a sanitized program around it, so under those builds foreign programs
# (curl, python3) get the plain build's, and the sanitized daemon gets their traffic.
OWN_LIBRARY = (BUILD / "libcrowfly.so").read_bytes() if (BUILD / "libcrowfly.so").exists() else b""
UNDER_TSAN = b"libtsan.so" in OWN_LIBRARY
SANITIZED = UNDER_TSAN or b"libasan.so" in OWN_LIBRARY
LIBRARY = (ROOT / "build" if SANITIZED else BUILD) / "libcrowfly.so"
BOUND_S = 20  # for what takes milliseconds on a quiet machine


def eventually(predicate, bound_s=BOUND_S, what="the condition"):
    """Polls predicate until it is true and returns its value; fails after the bound."""
    end = time.monotonic() + bound_s
    while not (value := predicate()):
        assert time.monotonic() < end, f"{what} did not come true in {bound_s} s"
        time.sleep(0.005)
    return value


def spawn(command, **how):
    """Popen that the kernel kills with us, should we be killed before we can clean up."""
    return subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *map(str, command)], **how)


def end(process):
    """Ends a process that we started, by force if need be; its exit status."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(BOUND_S)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait()


def run(*command, environment=None):
    """Runs a program to its end."""
    return subprocess.run(
        list(map(str, command)),
        env=environment,
        capture_output=True,
        text=True,
        timeout=3 * BOUND_S,
        check=False,
    )


def preload_environment(runtime_dir, library=LIBRARY, **more):
    """The environment in which programs run under the preload library."""
    return {
        **os.environ,
        "LD_PRELOAD": str(library),
        "CROWFLY_RUNTIME_DIR": str(runtime_dir),
        **more,
    }


class Daemon:
    """Not started until start(). A context manager: everything is gone at its end."""

    def __init__(self):
        # Short, unlike pytest's tmp_path: a socket's path may have 107 bytes.
        self.directory = Path(tempfile.mkdtemp(prefix="crowfly-"))
        self.runtime_dir = self.directory / "run"
        self.state_dir = self.directory / "state"
        self.config_path = self.directory / "crowfly.conf"
        self.log_path = self.directory / "log"
        self.log_path.touch()
        self._network = Network()
        self.dns = self._free_endpoint(53)
        self.http = self._free_endpoint(80)
        self.process = None
        self.pass_fds = ()  # descriptors that it inherits
        own = {"runtime-dir": self.runtime_dir, "state-dir": self.state_dir, "user": "root"}
        self.sections = {
            "daemon": own,
            "dns": {"listen": "%s:%d" % self.dns},
            "http": {"listen": "%s:%d" % self.http},
        }

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        if self.process is not None:
            end(self.process)
        self._network.close()
        shutil.rmtree(self.directory)

    def _free_endpoint(self, host):
        address = self._network.address(host)
        return address, free_port(address)

    # Configuration

    def set(self, section, **keys):
        """Sets keys of a section, `_` in them standing for `-`; None removes a key."""
        values = self.sections.setdefault(section, {})
        for key, value in keys.items():
            name = key.replace("_", "-")
            if value is None:
                values.pop(name, None)
            else:
                values[name] = value

    def source(self, name="eas", **keys):
        """A source that polls fast and accepts loopback addresses."""
        quick = {"poll_interval": "100ms", "timeout": "1s", "accept": "127.0.0.0/8"}
        self.set(f"source {name}", **{**quick, **keys})

    def serve(self, services, **more):
        """Starts with services whose instances, (ip, port) each, are listed in files."""
        for service, places in services.items():
            items = [{"app": service, "ip": ip, "port": port, "weight": 1} for ip, port in places]
            path = self.directory / f"{service}.json"
            path.write_text(json.dumps({"endpoints": {"items": items}}))
            self.source(service, type="file", path=path, services=service, **more)
        self.start()
        for service, places in services.items():
            self.wait_instances(service, len(places))

    def write_config(self):
        lines = []
        for section, keys in self.sections.items():
            lines += [f"[{section}]", *(f"{key} = {value}" for key, value in keys.items()), ""]
        self.config_path.write_text("\n".join(lines))

    # Life and death

    def command(self, *arguments):
        return [BUILD / "crowflyd", "-c", self.config_path, *arguments]

    def start(self, *arguments, environment=None):
        """Writes the configuration, starts, and waits for the word that it is ready."""
        self.write_config()
        where = self.directory / "notify"
        where.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(str(where))
            where.chmod(0o666)  # as systemd's: the daemon may have another user by then
            with self.log_path.open("ab") as log:
                command = self.command(*arguments)
                self.process = spawn(
                    command,
                    pass_fds=self.pass_fds,
                    env={**os.environ, **(environment or {}), "NOTIFY_SOCKET": str(where)},
                    stdin=subprocess.DEVNULL,
                    stderr=log,
                )
            self._wait_ready(notify)

    def _wait_ready(self, notify):
        limit = time.monotonic() + BOUND_S
        while time.monotonic() < limit:
            if select.select([notify], [], [], 0.05)[0] and b"READY=1" in notify.recv(4096):
                return
            if self.process.poll() is not None:
                status, self.process = self.process.returncode, None
                raise AssertionError(f"crowflyd ended: {status}\n{self.log()}")
        raise AssertionError(f"crowflyd was not ready in {BOUND_S} s\n{self.log()}")

    def run(self, *arguments):
        """Runs crowflyd to its end: for -n, for mistakes, for a second daemon."""
        return run(*self.command(*arguments))

    def stop(self):
        """SIGTERM; the exit status."""
        status = end(self.process)
        self.process = None
        return status

    def kill(self):
        """SIGKILL."""
        self.process.kill()
        self.process.wait()
        self.process = None

    @contextlib.contextmanager
    def stopped(self):
        """By SIGSTOP: its sockets are there, and nobody reads them. All its threads stand still."""
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WNOWAIT)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def reload(self):
        self.write_config()
        self.process.send_signal(signal.SIGHUP)

    # What it says

    def log(self):
        return self.log_path.read_text(errors="replace")

    def log_lines(self, *words):
        """Lines of the log that hold all of these words."""
        return [line for line in self.log().splitlines() if all(word in line for word in words)]

    def wait_log(self, pattern):
        return eventually(lambda: re.search(pattern, self.log()), what=f"/{pattern}/ in the log")

    def get(self, path):
        """Status and body of a GET."""
        connection = http.client.HTTPConnection(*self.http, timeout=BOUND_S)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def status(self):
        return json.loads(self.get("/api/v1/status")[1])

    def counter(self, name):
        return json.loads(self.get("/api/v1/status?service=-")[1])["counters"][name]

    def service(self, name):
        """The service's part of the status, or None."""
        status = json.loads(self.get("/api/v1/status?service=" + quote(name, safe=""))[1])
        return status["services"][0] if status["services"] else None

    def up(self, name):
        """How many instances of the service are up: cheap, however many they are."""
        wanted = f'crowfly_service_instances{{service="{name}",state="up"}} '
        (line,) = [x for x in self.get("/metrics")[1].decode().splitlines() if x.startswith(wanted)]
        return int(line.removeprefix(wanted))

    def instances(self, name):
        """(address, port) -> weight of what the service has now."""
        service = self.service(name) or {"instances": []}
        return {(i["address"], i["port"]): i["weight"] for i in service["instances"]}

    def wait_instances(self, name, count):
        """Until the service has that many instances; returns them."""
        return eventually(
            lambda: (found := self.instances(name)) and len(found) == count and found,
            what=f"{count} instances of {name}",
        )

    def wait_polls(self, more, counter="polls"):
        """Until that many further polls have ended."""
        wanted = self.counter(counter) + more
        eventually(lambda: self.counter(counter) >= wanted, what=f"{more} more {counter}")
