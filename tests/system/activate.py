"""As a service manager does it: `activate.py FD,FD,... COMMAND` becomes COMMAND with those descriptors
as 3 and up, and says so in its environment (sd_listen_fds(3))."""

import fcntl
import os
import sys


def main():
    given = [int(fd) for fd in sys.argv[1].split(",")]
    # Above all of their places first, so that none is overwritten before it is moved.
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 100) for fd in given]
    for fd in given:
        os.close(fd)
    for place, fd in enumerate(high, 3):
        os.dup2(fd, place, inheritable=True)
    handed = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(high))}
    os.execve(sys.argv[2], sys.argv[2:], {**os.environ, **handed})


if __name__ == "__main__":
    main()
