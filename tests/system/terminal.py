"""A program at a terminal of its own: what a person sees of it."""

import contextlib
import os
import subprocess


def shown_by(command, environment, stdout=None):
    """What it writes to the terminal until it ends, which has to be well. stdout: where that goes
    instead, as in a pipe."""
    mine, terminal = os.openpty()
    process = subprocess.Popen(command, env=environment, stdin=terminal, stderr=terminal,
                               stdout=terminal if stdout is None else stdout)  # fmt: skip
    os.close(terminal)
    shown = b""
    with contextlib.suppress(OSError):  # EIO: nobody has the terminal open any more
        while piece := os.read(mine, 65536):
            shown += piece
    os.close(mine)
    assert process.wait() == 0
    return shown.decode()
