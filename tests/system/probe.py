"""An ordinary program to run under the preload library, told what to do line by line.

Reads a JSON object a line on standard input and answers each by one on standard output; a child of
the tests that knows nothing of crowfly.
"""

import collections
import concurrent.futures
import json
import socket
import sys
import urllib.request

# Names are to be found by the libc, not by a proxy that the environment names.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def first_of(name, port):
    """The first address, or why there is none."""
    try:
        return socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)[0][4]
    except socket.gaierror as error:
        return error.args[1]


def lookup(name, times=1, port=80):
    """How often each address came first."""
    found = collections.Counter()
    for _ in range(times):
        first = first_of(name, port)
        found[first[0] if isinstance(first, tuple) else first] += 1
    return found


def lookup_at_once(names, port=80):
    """How many of the names were found, each looked up by a thread of its own."""
    with concurrent.futures.ThreadPoolExecutor(len(names)) as threads:
        return sum(threads.map(lambda name: isinstance(first_of(name, port), tuple), names))


def lookup_all(name, port=80, family=0):
    """Every address of one look-up with its port, in order."""
    found = socket.getaddrinfo(name, port, family=family, type=socket.SOCK_STREAM)
    return [entry[4][:2] for entry in found]


def get(url, times=1, timeout=None):
    """Requests one after the other, each on its own connection: who answered, what failed.

    Without a timeout Python's sockets are blocking, with one they are not.
    """
    how = {} if timeout is None else {"timeout": timeout}
    served, failures = collections.Counter(), []
    for _ in range(times):
        try:
            with OPENER.open(url, **how) as answer:
                served[json.loads(answer.read())["ip"]] += 1
        except OSError as error:
            failures.append(str(error))
    return {"served": served, "failures": failures}


def connect(ip, port, timeout=None):
    """Whom a connect() to that address reached, or the errno."""
    with socket.socket() as sock:
        sock.settimeout(timeout)
        try:
            sock.connect((ip, port))
            return sock.getpeername()
        except OSError as error:
            return error.errno


OPERATIONS = {
    "lookup": lookup,
    "lookup_at_once": lookup_at_once,
    "lookup_all": lookup_all,
    "get": get,
    "connect": connect,
}


def main():
    for line in sys.stdin:
        request = json.loads(line)
        answer = OPERATIONS[request.pop("operation")](**request)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
