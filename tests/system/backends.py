"""Servers of other protocols than HTTP, as much of each as its client's first question needs."""

import contextlib
import socketserver
import struct
import threading


class Redis(socketserver.StreamRequestHandler):
    """Answers every command, an array of strings, with PONG."""

    def handle(self):
        while (head := self.rfile.readline()).startswith(b"*"):
            for _ in range(int(head[1:])):
                length = int(self.rfile.readline()[1:])
                self.rfile.read(length + 2)
            self.wfile.write(b"+PONG\r\n")


class Postgres(socketserver.StreamRequestHandler):
    """Lets everybody in, without TLS, and answers every query with one row of one 42."""

    TLS, GSS = 80877103, 80877104

    def handle(self):
        while self._startup() in (self.TLS, self.GSS):
            self.wfile.write(b"N")
        self._send(b"R", struct.pack("!i", 0))
        self._send(b"S", b"server_version\x0015.0\0")
        self._send(b"S", b"client_encoding\0UTF8\0")
        self._ready()
        while (kind := self.rfile.read(1)) == b"Q":
            self._body()
            column = b"answer\0" + struct.pack("!ihihih", 0, 0, 25, -1, -1, 0)
            self._send(b"T", struct.pack("!h", 1) + column)
            self._send(b"D", struct.pack("!hi", 1, 2) + b"42")
            self._send(b"C", b"SELECT 1\0")
            self._ready()
        assert kind in (b"X", b""), kind

    def _body(self):
        return self.rfile.read(struct.unpack("!i", self.rfile.read(4))[0] - 4)

    def _startup(self):
        return struct.unpack("!i", self._body()[:4])[0]

    def _send(self, kind, body):
        self.wfile.write(kind + struct.pack("!i", len(body) + 4) + body)

    def _ready(self):
        self._send(b"Z", b"I")


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


@contextlib.contextmanager
def serving(handler, address):
    """Serves on a free port of the address; gives the port."""
    with _Server((address, 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
