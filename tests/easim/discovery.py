"""The discovery API, and every way in which it may fail."""

import asyncio
import collections
import functools
import gzip
import json

from tests.easim import listener, wire

# Both paths that the platform's clients use.
PATHS = {
    "exported": "/exported/apis/eas.alibaba-inc.k8s.io/v1/upstreams/",
    "modern": "/api/v1/servicediscovery/upstreams/",
}
# Where the redirect fault points: answers as well as the others, so that following it shows.
ELSEWHERE = "/elsewhere/"
MIB = 1 << 20
POLLS_KEPT = 10_000


class Discovery:
    """services is the platform's: name -> object with body(), the JSON of its list."""

    def __init__(self, address, services):
        self._services = services
        self._listener = listener.Listener(address, self._serve)
        self.paths = {name: True for name in PATHS}
        self._default = ("ok", {})
        self._faults = {}
        self.counts = collections.defaultdict(collections.Counter)  # service -> path -> polls
        self.polls = collections.deque(maxlen=POLLS_KEPT)

    @property
    def endpoint(self):
        return f"http://{self._listener.address}:{self._listener.port}"

    async def start(self):
        await self._listener.set_mode(listener.OPEN)

    async def close(self):
        await self._listener.close()

    async def set_fault(self, kind, service=None, **options):
        """For one service, or (service None) for all, which ends those set for single ones."""
        if kind in (listener.REFUSE, listener.BLACKHOLE):
            if service is not None:
                raise ValueError(f"{kind} is a fault of the whole API, not of one service")
            await self._listener.set_mode(kind)
            return
        if kind not in FAULTS:
            raise ValueError(f"fault {kind!r}: one of {', '.join(FAULTS)}, refuse, blackhole")
        await self._listener.set_mode(listener.OPEN)
        if service is None:
            self._default = (kind, options)
            self._faults.clear()
        else:
            self._faults[service] = (kind, options)

    async def _serve(self, reader, writer):
        while (request := await wire.read_request(reader)) is not None:
            path, service = self._route(request)
            if path is not None:
                self._note(path, service, request)
            exchange = Exchange(reader, writer, request, self._services.get(service))
            kind, options = self._fault_of(path, service)
            await FAULTS[kind](exchange, **options)
            await writer.drain()
            if exchange.ended or not request.keep_alive:
                return

    def _route(self, request):
        for name, prefix in {**PATHS, "elsewhere": ELSEWHERE}.items():
            if request.path.startswith(prefix):
                return name, request.path[len(prefix) :]
        return None, None

    def _fault_of(self, path, service):
        if path == "elsewhere":
            return "ok", {}
        if not self.paths.get(path, False):
            return "status", {"status": 404}
        return self._faults.get(service, self._default)

    def _note(self, path, service, request):
        self.counts[service][path] += 1
        self.polls.append({"service": service, "path": path, "headers": request.headers})


class Exchange:
    """One request being answered. body is what a healthy platform would say, None for 404."""

    def __init__(self, reader, writer, request, service):
        self.reader = reader
        self.writer = writer
        self.request = request
        self.body = None if service is None else service.body()
        self.ended = False  # the connection cannot carry another answer

    def send(self, status, body, **headers):
        self.writer.write(wire.response(status, body, **headers))

    async def send_slowly(self, pieces, pause_s=0.0):
        """Until the client has had enough; drain() fails then, which ends the connection."""
        self.ended = True
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            await asyncio.sleep(pause_s)


async def ok(exchange):
    if exchange.body is None:
        exchange.send(404, b'{"message":"no such service"}')
    elif "gzip" in exchange.request.headers.get("accept-encoding", ""):
        exchange.send(200, gzip.compress(exchange.body, 1), content_encoding="gzip")
    else:
        exchange.send(200, exchange.body)


async def status(exchange, status=500, retry_after=None):
    headers = {} if retry_after is None else {"retry_after": retry_after}
    exchange.send(status, b'{"message":"as told"}', **headers)


async def empty(exchange):
    exchange.send(200, b'{"correlative":[],"endpoints":{"items":[]}}')


async def null(exchange):
    exchange.send(200, b'{"correlative":[],"endpoints":{"items":null}}')


async def html(exchange):
    exchange.send(200, b"<html><body>Please log in</body></html>", content_type="text/html")


async def nothing(exchange):
    exchange.send(200, b"")


async def raw(exchange, body=""):
    exchange.send(200, body.encode())


async def truncated(exchange):
    """Cut JSON, as a whole answer in the eyes of HTTP."""
    exchange.send(200, _good(exchange)[:-20])


async def cut(exchange):
    """The connection ends in the middle of the body."""
    body = _good(exchange)
    exchange.writer.write(wire.head(200, {"Content-Length": len(body)}) + body[: len(body) // 2])
    exchange.ended = True


async def slow(exchange, bytes_per_s=1):
    body = _good(exchange)
    exchange.writer.write(wire.head(200, {"Content-Length": len(body)}))
    pieces = (body[i : i + 1] for i in range(len(body)))
    await exchange.send_slowly(pieces, 1 / bytes_per_s)


async def hang(exchange):
    """No answer; ends when the client closes."""
    exchange.ended = True
    await exchange.reader.read()


async def redirect(exchange):
    service = exchange.request.path.rpartition("/")[2]
    exchange.send(302, b"", location=ELSEWHERE + service)


async def reset(exchange):
    exchange.ended = True
    listener.reset(exchange.writer)


async def gzip_bomb(exchange, mib=100):
    bomb = _bomb(mib, _good(exchange))
    exchange.send(200, bomb, content_encoding="gzip")


async def endless(exchange):
    """Chunks of blanks for ever: each is legal, and so would be a list at their end."""
    exchange.writer.write(wire.head(200, {"Transfer-Encoding": "chunked"}))
    await exchange.send_slowly(_repeat(b"10000\r\n" + b" " * 0x10000 + b"\r\n"))


async def huge(exchange, mib=100):
    body = _good(exchange)
    exchange.writer.write(wire.head(200, {"Content-Length": mib * MIB + len(body)}))
    await exchange.send_slowly([b" " * MIB] * mib + [body])


FAULTS = {
    "ok": ok,
    "status": status,
    "empty": empty,
    "null": null,
    "html": html,
    "nothing": nothing,
    "raw": raw,
    "truncated": truncated,
    "cut": cut,
    "slow": slow,
    "hang": hang,
    "redirect": redirect,
    "reset": reset,
    "gzip-bomb": gzip_bomb,
    "endless": endless,
    "huge": huge,
}


def _good(exchange):
    return exchange.body or list_json("", [])


def _repeat(piece):
    while True:
        yield piece


@functools.lru_cache(maxsize=1)
def _bomb(mib, body):
    return gzip.compress(b" " * (mib * MIB) + body, 1)


def list_json(service, items):
    """The platform's shape of an answer."""
    return json.dumps({"correlative": [service], "endpoints": {"items": items}}).encode()
