"""KIND CLIENT COUNT SEED IP:PORT...: COUNT requests, each to one of the addresses at random.

blocking: one after the other on blocking sockets. threads: eight at a time, each in a poll() of its
own on a socket with a time-out. asyncio: eight at a time on one loop. curl: by curl, sixteen a
process. Says a line for each failure and at last "done SERVED LEAKED", counting
requests and descriptors.
"""

import asyncio
import concurrent.futures
import itertools
import os
import random
import socket
import subprocess
import sys

PARALLEL = 8
PER_CURL = 16
TIMEOUT_S = 30  # far more than the attempts of one connect() take


def text_of(client, number):
    body = f"{client} {number}"
    return f"POST / HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


def check(client, number, answer):
    body = answer.rpartition(b"\r\n\r\n")[2].decode()
    if body != f"{client} {number}":
        raise OSError(f"answer {answer!r}")


class Client:
    def __init__(self, client, count, seed, places):
        self.client = client
        self.numbers = iter(range(count))
        self.random = random.Random(seed)
        self.places = places
        self.served = 0

    def place(self):
        return self.random.choice(self.places)

    def fail(self, number, stage, error):
        print("failure", number, stage, repr(error), flush=True)

    def get(self, number, timeout):
        stage = "connect"
        try:
            with socket.create_connection(self.place(), timeout) as sock:
                stage = "exchange"
                sock.sendall(text_of(self.client, number))
                answer = b"".join(iter(lambda: sock.recv(4096), b""))
            check(self.client, number, answer)
            return True
        except OSError as error:
            self.fail(number, stage, error)
            return False

    def blocking(self):
        self.served = sum(self.get(number, None) for number in self.numbers)

    def threads(self):
        with concurrent.futures.ThreadPoolExecutor(PARALLEL) as pool:
            self.served = sum(pool.map(lambda number: self.get(number, TIMEOUT_S), self.numbers))

    def asyncio(self):
        asyncio.run(self._gather())

    async def _gather(self):
        await asyncio.gather(*(self._work() for _ in range(PARALLEL)))

    async def _work(self):
        for number in self.numbers:
            stage = "connect"
            try:
                reader, writer = await asyncio.open_connection(*self.place())
                stage = "exchange"
                writer.write(text_of(self.client, number))
                answer = await reader.read()
                writer.close()
                await writer.wait_closed()
                check(self.client, number, answer)
                self.served += 1
            except OSError as error:
                self.fail(number, stage, error)

    def curl(self):
        while numbers := list(itertools.islice(self.numbers, PER_CURL)):
            self._one_curl(numbers)

    def _one_curl(self, numbers):
        requests = "next\n".join(
            'url = "http://%s:%d/"\n' % self.place()
            + f'data = "{self.client} {number}"\nnoproxy = "*"\nsilent\nshow-error\n'
            + r'write-out = "\n"' + "\n"
            for number in numbers
        )
        done = subprocess.run(["curl", "-K", "-"], input=requests, capture_output=True, text=True)
        answers = set(done.stdout.split("\n"))
        for number in numbers:
            if f"{self.client} {number}" in answers:
                self.served += 1
            else:
                self.fail(number, "curl", done.stderr)


def free_descriptor():
    """The lowest: it grows if somebody keeps one."""
    fd = os.dup(0)
    os.close(fd)
    return fd


def main(kind, client, count, seed, *places):
    split = [place.rsplit(":", 1) for place in places]
    work = Client(int(client), int(count), int(seed), [(ip, int(port)) for ip, port in split])
    first_free = free_descriptor()
    getattr(work, kind)()
    print("done", work.served, free_descriptor() - first_free, flush=True)


main(*sys.argv[1:])
