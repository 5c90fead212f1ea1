"""As much HTTP/1.1 as easim needs, over asyncio streams."""

import asyncio
import http
from dataclasses import dataclass, field


@dataclass
class Request:
    method: str
    target: str
    headers: dict = field(default_factory=dict)  # names in lower case
    body: bytes = b""

    @property
    def path(self):
        return self.target.partition("?")[0]

    @property
    def keep_alive(self):
        return self.headers.get("connection", "").lower() != "close"


async def read_request(reader):
    """The next request of a connection; None when the client has left."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
        return None
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, target, _version = first.split(" ", 2)
    request = Request(method, target)
    for line in lines:
        name, _, value = line.partition(":")
        request.headers[name.strip().lower()] = value.strip()
    length = int(request.headers.get("content-length", 0))
    try:
        request.body = await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    return request


def head(status, headers):
    lines = [f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def response(status, body, content_type="application/json", **headers):
    """A whole answer; header names in snake case (retry_after=5)."""
    named = {name.replace("_", "-").title(): value for name, value in headers.items()}
    named["Content-Type"] = content_type
    named["Content-Length"] = len(body)
    return head(status, named) + body
