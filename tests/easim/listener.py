"""A listening address that can also refuse connections, or leave them unanswered."""

import asyncio
import socket
import struct

OPEN = "open"
REFUSE = "refuse"
BLACKHOLE = "blackhole"
MODES = (OPEN, REFUSE, BLACKHOLE)
FILL_S = 0.05  # where the place is free it takes microseconds
BACKLOG = 1024  # a crowd of clients must not look like a time-out


class Listener:
    """serve(reader, writer) is run for each connection while the mode is OPEN.

    REFUSE: the listener is closed and connects get a RST. BLACKHOLE: connects get no answer at
    all, without any privilege: a listening socket with backlog 0 holds one connection, ours, which
    is never accepted, and the kernel drops the SYNs that come when its queue is full.
    """

    def __init__(self, address, serve, port=0):
        self.address = address
        self.port = port  # 0: the kernel's choice at the first start, and kept from then on
        self.mode = REFUSE
        self._serve = serve
        self._server = None
        self._listening = None  # the server's socket
        self._sockets = []
        self._connections = {}

    async def set_mode(self, mode):
        if mode not in MODES:
            raise ValueError(f"mode {mode!r}: one of {', '.join(MODES)}")
        if mode == self.mode:
            return
        await self.close()
        if mode == OPEN:
            self._listening = self._bind()
            self._server = await asyncio.start_server(
                self._begin, sock=self._listening, backlog=BACKLOG
            )
        elif mode == BLACKHOLE:
            await self._fall_silent()
        self.mode = mode

    async def retire(self):
        """REFUSE, but what was accepted is served to its end, and so is what the kernel has
        accepted for us: those clients are connected and would be cut by closing the listener."""
        waiting = list(_accept_all(self._listening)) if self._server is not None else []
        if self._server is not None:
            self._server.close()
            self._server = None
        self.mode = REFUSE
        for sock in waiting:
            reader = asyncio.StreamReader()
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda reader=reader: asyncio.StreamReaderProtocol(reader, self._begin), sock
            )

    async def close(self):
        """Closes the listener and cuts the connections that are open."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task, writer in list(self._connections.items()):
            reset(writer)
            task.cancel()
        for held in self._sockets:
            held.close()
        self._sockets.clear()
        self.mode = REFUSE

    def _bind(self):
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((self.address, self.port))
        self.port = sock.getsockname()[1]
        sock.setblocking(False)
        return sock

    async def _fall_silent(self):
        listening = self._bind()
        listening.listen(0)
        self._sockets.append(listening)
        while not await self._fill(listening):
            pass

    async def _fill(self, listening):
        """False if a client, or the prober of health, was quicker: then it goes, as if cut."""
        filler = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        filler.setblocking(False)
        connect = asyncio.get_running_loop().sock_connect(filler, (self.address, self.port))
        try:
            await asyncio.wait_for(connect, FILL_S)
        except asyncio.TimeoutError:
            filler.close()
            for intruder in _accept_all(listening):
                intruder.close()
            return False
        self._sockets.append(filler)
        return True

    def _begin(self, reader, writer):
        task = asyncio.create_task(self._run(reader, writer))
        self._connections[task] = writer  # before it runs: close() may come first
        task.add_done_callback(self._connections.pop)

    async def _run(self, reader, writer):
        try:
            await self._serve(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass  # the client left, or close() cut the connection
        finally:
            writer.close()


def _accept_all(listening):
    while True:
        try:
            yield listening.accept()[0]
        except BlockingIOError:
            return


def reset(writer):
    """Ends a connection by RST: lingering 0 s throws away what is unsent, FIN included."""
    sock = writer.get_extra_info("socket")
    if sock is not None and sock.fileno() >= 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
