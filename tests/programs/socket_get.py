"""IP PORT TIMEOUT: one GET over a plain socket with a time-out."""

import socket
import sys

ip, port, timeout = sys.argv[1:]
try:
    with socket.create_connection((ip, int(port)), float(timeout)) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        while data := sock.recv(4096):
            print(data.decode(), end="")
        print(sock.gettimeout(), sock.getpeername())
except OSError as error:
    print(type(error).__name__, error.errno, error)
    sys.exit(1)
