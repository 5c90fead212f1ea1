"""DELAY_MS COMMAND...: runs the command in a network namespace whose 10.99.0.2 to .9 are far away.

All of them answer on port 8000, each packet DELAY_MS after it was sent; 10.99.0.9 answers nothing.
The link is a TUN device whose other end, this program, gives each packet back to the kernel, with
its two addresses exchanged: what was sent to 10.99.0.2 comes in from there, for a server on our own
address. Checksums stay right.
"""

import fcntl
import heapq
import os
import select
import socket
import struct
import subprocess
import sys
import time

OWN, SILENT, PORT = "10.99.0.1", "10.99.0.9", 8000
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000  # linux/if_tun.h


def open_link():
    link = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(link, TUNSETIFF, struct.pack("16sH22x", b"slow0", IFF_TUN | IFF_NO_PI))
    for words in ("link set lo up", f"address add {OWN}/24 dev slow0", "link set slow0 up"):
        subprocess.run(["ip", *words.split()], check=True)
    return link


def turned_round(packet):
    return packet[:12] + packet[16:20] + packet[12:16] + packet[20:]


def is_for_us(packet):
    return packet[0] >> 4 == 4 and socket.inet_aton(SILENT) not in (packet[12:16], packet[16:20])


class Link:
    def __init__(self, delay_s):
        self.fd = open_link()
        self._delay_s = delay_s
        self._waiting = []  # (when due, packet)

    def wait_s(self):
        return max(0, self._waiting[0][0] - time.monotonic()) if self._waiting else None

    def read(self):
        packet = os.read(self.fd, 65536)
        if is_for_us(packet):
            heapq.heappush(self._waiting, (time.monotonic() + self._delay_s, packet))

    def deliver(self):
        while self._waiting and self._waiting[0][0] <= time.monotonic():
            os.write(self.fd, turned_round(heapq.heappop(self._waiting)[1]))


def main(delay_ms, command):
    link = Link(float(delay_ms) / 1000)
    with socket.create_server((OWN, PORT), backlog=100) as server:
        server.setblocking(False)
        process = subprocess.Popen(command)
        done = os.pidfd_open(process.pid)
        kept = []
        while True:
            ready, _, _ = select.select([link.fd, server, done], [], [], link.wait_s())
            if done in ready:
                return process.wait()
            if server in ready:
                kept.append(server.accept())
            if link.fd in ready:
                link.read()
            link.deliver()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
