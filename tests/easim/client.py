"""Easim: the stand-in in another process, driven from Python."""

import collections
import http.client
import json
import os
import select
import subprocess
import sys
import urllib.parse
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class EasimError(Exception):
    """An operation that the stand-in refused."""


class _Process:
    """`python3 -m tests.easim`, which plays one stand-in after the other: to start it takes more of a
    cpu than most tests do."""

    _at_rest = collections.defaultdict(list)  # by network namespace: it stays where it was started

    def __init__(self):
        self._home = os.readlink("/proc/thread-self/ns/net")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.easim", "--until-eof"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.where = json.loads(self._process.stdout.readline())

    @classmethod
    def take(cls):
        idle = cls._at_rest[os.readlink("/proc/thread-self/ns/net")]
        return idle.pop() if idle else cls()

    def give_back(self):
        """Ends what it plays; it is over when the next one is there."""
        print(file=self._process.stdin, flush=True)
        if select.select([self._process.stdout], [], [], 10)[0]:
            self.where = json.loads(self._process.stdout.readline())
            self._at_rest[self._home].append(self)
        else:
            self._process.kill()
            self._process.wait()


class Easim:
    """A stand-in of one's own; a context manager. Instances are named by service and index, in the
    order in which they were added."""

    def __init__(self, services=None):
        self._process = _Process.take()
        self.endpoint = self._process.where["endpoint"]
        self._control = urllib.parse.urlsplit(self._process.where["control"])
        for name, weights in (services or {}).items():
            self.add_service(name, weights)

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.close()

    def close(self):
        self._process.give_back()

    def _do(self, operation, **arguments):
        # http.client and not urllib: this must not go through any proxy that the environment names.
        connection = http.client.HTTPConnection(self._control.hostname, self._control.port, 10)
        try:
            connection.request("POST", f"/{operation}", json.dumps(arguments))
            response = connection.getresponse()
            answer = json.loads(response.read())
        finally:
            connection.close()
        if response.status != 200:
            raise EasimError(answer["error"])
        return answer["result"]

    def add_service(self, service, weights, same_port=False):
        """same_port: all instances have one port, as clients need that know DNS alone."""
        self._do("add_service", service=service, weights=list(weights), same_port=same_port)

    def remove_service(self, service):
        self._do("remove_service", service=service)

    def add_instance(self, service, weight=100):
        self._do("add_instance", service=service, weight=weight)

    def list(self, service, index):
        """Discovery names the instance (again)."""
        self._do("set_listed", service=service, index=index, listed=True)

    def unlist(self, service, index):
        """Discovery no longer names the instance, which goes on running."""
        self._do("set_listed", service=service, index=index, listed=False)

    def set_weight(self, service, index, weight):
        self._do("set_weight", service=service, index=index, weight=weight)

    def set_items(self, service, items):
        """Raw items in place of the instances; None: the instances again."""
        self._do("set_items", service=service, items=items)

    def kill(self, service, index):
        """Connections are refused from now on, and the open ones cut."""
        self._do("set_mode", service=service, index=index, mode="refuse")

    def retire(self, service, index):
        """Connections are refused from now on; those that are open are served to their end."""
        self._do("retire", service=service, index=index)

    def blackhole(self, service, index):
        """Connects are left unanswered."""
        self._do("set_mode", service=service, index=index, mode="blackhole")

    def drop(self, service, index):
        """Connections are accepted and then reset."""
        self._do("set_mode", service=service, index=index, mode="drop")

    def revive(self, service, index):
        self._do("set_mode", service=service, index=index, mode="open")

    def delay(self, service, index, seconds):
        self._do("set_delay", service=service, index=index, seconds=seconds)

    def fault(self, kind, service=None, **options):
        """How discovery fails (discovery.py lists the ways), for one service or for all; "ok" ends
        it. "refuse" and "blackhole" concern the whole API."""
        self._do("set_fault", kind=kind, service=service, options=options)

    def path(self, name, on):
        """Switches one of the API's two paths ("exported", "modern") on or off (404)."""
        self._do("set_path", path=name, on=on)

    def instances(self, service):
        """A dict for each: ip, port, weight, mode, listed, requests, connections, seen, hosts."""
        return self._do("state")["services"][service]

    def requests(self, service):
        """How many requests each instance has had."""
        return [instance["requests"] for instance in self.instances(service)]

    def polls(self, service, path=None):
        """How many polls for a service came, on one path or on all."""
        counts = self._do("polls")["counts"].get(service, {})
        return sum(counts.values()) if path is None else counts.get(path, 0)

    def recent_polls(self):
        """The latest polls, oldest first: a dict of service, path and headers for each."""
        return self._do("polls")["recent"]
