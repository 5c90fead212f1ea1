"""Programs under the library that connect as often as they are told, and then say so.

The standard library alone: the benchmarks use this too.
"""

import subprocess

from tests.system.daemon import BUILD, preload_environment, spawn

STEPPER = BUILD / "tests/snippets/stepper"


class Steppers:
    """A context manager: all have ended well at its end."""

    def __init__(self, daemon, count, name="svc_a.eas.internal", port="80"):
        environment = preload_environment(
            daemon.runtime_dir, BUILD / "libcrowfly.so", CROWFLY_LOG="info"
        )
        self._redirects = (daemon.directory / "redirects").open("w+")
        self._processes = [
            spawn(
                [STEPPER, name, port],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._redirects,
                text=True,
            )
            for _ in range(count)
        ]

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        for process in self._processes:
            process.stdin.close()
            process.stdout.close()
        ends = [process.wait(60) for process in self._processes]
        self._redirects.close()
        assert ends == [0] * len(ends), ends

    def begin(self, times):
        """All at once. finish() must follow."""
        for process in self._processes:
            print(times, file=process.stdin, flush=True)

    def finish(self):
        """How often each of them connected, and how often it could not."""
        answers = [process.stdout.readline().split() for process in self._processes]
        return [(int(connected), int(failed)) for connected, failed in answers]

    def connect(self, times=1):
        """Each of them, and none in vain for the program. Returns how many attempts were."""
        before = self.in_vain()
        self.begin(times)
        assert self.finish() == [(times, 0)] * len(self._processes)
        return self.in_vain() - before

    def in_vain(self, where=""):
        """Attempts that failed so far, before the program heard of it; of one place or of all."""
        self._redirects.seek(0)
        return sum(f"cannot reach {where}" in line for line in self._redirects)
