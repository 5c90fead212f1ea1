"""An instance of a service: answers with who it is, and remembers what it was asked."""

import asyncio
import collections
import json

from tests.easim import listener, wire

# Beyond what the listener can do: accept, read nothing, and reset.
DROP = "drop"


class Instance:
    def __init__(self, service, address, weight, port=0):
        self.service = service
        self.weight = weight
        self.listed = True  # whether discovery names it
        self.delay_s = 0.0  # before each answer
        self.requests = 0
        self.connections = 0
        self.seen = collections.Counter()  # X-Request-Id -> how often
        self.hosts = collections.Counter()  # Host header -> how often
        self._dropping = False
        self._listener = listener.Listener(address, self._serve, port)

    @property
    def address(self):
        return self._listener.address

    @property
    def port(self):
        return self._listener.port

    @property
    def mode(self):
        return DROP if self._dropping else self._listener.mode

    async def set_mode(self, mode):
        self._dropping = mode == DROP
        await self._listener.set_mode(listener.OPEN if mode == DROP else mode)

    async def retire(self):
        """Refuses new connections and finishes those it has."""
        await self._listener.retire()

    async def close(self):
        await self._listener.close()

    def item(self):
        """What discovery says of it; the platform's label has hyphens for underscores."""
        app = self.service.replace("_", "-")
        return {"app": app, "ip": self.address, "port": self.port, "weight": self.weight}

    def describe(self):
        return {
            "ip": self.address,
            "port": self.port,
            "weight": self.weight,
            "mode": self.mode,
            "listed": self.listed,
            "requests": self.requests,
            "connections": self.connections,
            "seen": dict(self.seen),
            "hosts": dict(self.hosts),
        }

    async def _serve(self, reader, writer):
        self.connections += 1
        if self._dropping:
            listener.reset(writer)
            return
        while (request := await wire.read_request(reader)) is not None:
            self._note(request)
            await asyncio.sleep(self.delay_s)
            writer.write(wire.response(200, self._answer(request)))
            await writer.drain()
            if not request.keep_alive:
                return

    def _note(self, request):
        self.requests += 1
        self.hosts[request.headers.get("host", "")] += 1
        if request_id := request.headers.get("x-request-id"):
            self.seen[request_id] += 1

    def _answer(self, request):
        answer = {"service": self.service, "ip": self.address, "port": self.port}
        if request.body:
            answer["received"] = len(request.body)
        return json.dumps(answer).encode() + b"\n"
