"""A network of one's own: namespaces for interfaces and mounts, and a crowflyd inside of them."""

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.system.daemon import Daemon, end, run, spawn

USER = [] if os.geteuid() == 0 else ["--user"]


class Namespace:
    """Its process waits until the end; commands enter beside it."""

    def __init__(self):
        own = [*USER, *(["--map-root-user"] if USER else [])]
        self._holder = spawn(
            ["unshare", *own, "--net", "--mount", "sh", "-c", "echo ready; exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        if self._holder.stdout.readline() != "ready\n":
            reason = self._holder.stderr.read().strip()
            self.close()
            pytest.skip(f"no namespaces of one's own: {reason}")
        self._files = Path(tempfile.mkdtemp(prefix="crowfly-"))

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.close()
        for file in self._files.iterdir():
            file.unlink()
        self._files.rmdir()

    def close(self):
        end(self._holder)
        for stream in (self._holder.stdin, self._holder.stdout, self._holder.stderr):
            stream.close()

    def inside(self, *command):
        """The command line that runs a command here."""
        user = [*USER, "--preserve-credentials"] if USER else []
        return ["nsenter", f"--target={self._holder.pid}", *user, "--net", "--mount", *command]

    def run(self, *command, **environment):
        """Runs a command to its end; what it printed."""
        done = run(*self.inside(*command), environment={**os.environ, **environment})
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout

    def replace(self, path, text):
        """Has a file of the system read otherwise, here alone."""
        file = self._files / path.replace("/", "_")
        file.write_text(text)
        file.chmod(0o644)
        self.run("mount", "--bind", file, path)


class NamespaceDaemon(Daemon):
    """A crowflyd in a namespace, at the port that resolv.conf means."""

    def __init__(self, namespace):
        super().__init__()
        self._namespace = namespace
        self.dns = (self.dns[0], 53)
        self.set("dns", listen="%s:%d" % self.dns)

    def command(self, *arguments):
        return self._namespace.inside(*super().command(*arguments))

    def get(self, path):
        url = "http://%s:%d%s" % (*self.http, path)
        return 200, self._namespace.run("curl", "-sS", "--fail", url).encode()
