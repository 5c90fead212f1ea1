"""A headless Chromium, spoken to through a pipe (Chrome DevTools Protocol), and its screenshots."""

import base64
import json
import os
import shutil
import struct
import subprocess
import tempfile
import zlib
from collections import Counter

from tests.system.daemon import end, eventually, spawn

PROGRAM = shutil.which("chromium")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--disable-dev-shm-usage", "--remote-debugging-pipe"]


class Browser:
    """One tab. A context manager."""

    def __init__(self):
        self._directory = tempfile.mkdtemp(prefix="crowfly-chromium-")
        theirs_in, self._write = os.pipe()
        self._read, theirs_out = os.pipe()

        def wire():  # commands on 3, answers on 4: what --remote-debugging-pipe means
            spare = os.dup(theirs_out)
            os.dup2(theirs_in, 3)
            os.dup2(spare, 4)

        self._process = spawn(
            [PROGRAM, *FLAGS, f"--user-data-dir={self._directory}", "about:blank"],
            preexec_fn=wire, pass_fds=(3, 4), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(theirs_in)
        os.close(theirs_out)
        self._buffer = b""
        self._count = 0
        self._session = None
        self.complaints = []  # of the console: a refused script, an error
        target = self._do("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._do("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self._do(domain + ".enable")

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        os.close(self._write)
        os.close(self._read)
        end(self._process)
        shutil.rmtree(self._directory, ignore_errors=True)

    def _message(self):
        while b"\0" not in self._buffer:
            piece = os.read(self._read, 1 << 16)
            assert piece, "chromium has ended"
            self._buffer += piece
        text, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(text)

    def _do(self, method, **parameters):
        self._count += 1
        command = {"id": self._count, "method": method, "params": parameters}
        if self._session:
            command["sessionId"] = self._session
        os.write(self._write, json.dumps(command).encode() + b"\0")
        while (message := self._message()).get("id") != self._count:
            if message.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown"):
                self.complaints.append(json.dumps(message["params"]))
        assert "error" not in message, message
        return message["result"]

    def window(self, width, height, dark=False):
        self._do("Emulation.setDeviceMetricsOverride", width=width, height=height,
                 deviceScaleFactor=1, mobile=False)
        self._do("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def scripts(self, on):
        self._do("Emulation.setScriptExecutionDisabled", value=not on)

    def go(self, url):
        self._do("Page.navigate", url=url)
        eventually(lambda: self.ask("document.readyState") == "complete"
                   and self.ask("location.href") == url, what=f"{url} in the browser")

    def ask(self, expression):
        """The value of an expression of JavaScript. Works where the page's own scripts do not."""
        return self._do("Runtime.evaluate", expression=expression,
                        returnByValue=True)["result"].get("value")

    def wait(self, expression):
        return eventually(lambda: self.ask(expression), what=expression)

    def text(self):
        return self.ask("document.body.innerText")

    def colours(self):
        """How many pixels of the window have which (red, green, blue)."""
        png = base64.b64decode(self._do("Page.captureScreenshot", format="png")["data"])
        return Counter(pixels(png))


def pixels(png):
    """The pixels of a PNG of 8 bits a channel, not interlaced, as tuples of red, green, blue."""
    width, height, depth, kind = struct.unpack(">IIBB", png[16:26])
    assert (depth, kind) in ((8, 2), (8, 6)), "truecolour, with alpha or without"
    size, data, at = (3 if kind == 2 else 4), b"", 8
    while at < len(png):
        length, name = struct.unpack(">I4s", png[at:at + 8])
        data += png[at + 8:at + 8 + length] if name == b"IDAT" else b""
        at += 12 + length
    raw, stride = zlib.decompress(data), width * size
    last = bytearray(stride)
    for row in range(height):
        start = row * (stride + 1)
        line = bytearray(raw[start + 1:start + 1 + stride])
        unfilter(raw[start], line, last, size)
        for i in range(0, stride, size):
            yield tuple(line[i:i + 3])
        last = line


def unfilter(kind, line, last, size):
    """Undoes one row's filter (PNG, third edition, 9.2)."""
    if kind == 2:
        line[:] = bytes((a + b) & 255 for a, b in zip(line, last))
        return
    for i in range(len(line) if kind else 0):
        left = line[i - size] if i >= size else 0
        above, corner = last[i], last[i - size] if i >= size else 0
        if kind == 1:
            guess = left
        elif kind == 3:
            guess = (left + above) // 2
        else:
            guess = min((left, above, corner), key=lambda x: abs(left + above - corner - x))
        line[i] = (line[i] + guess) & 255
