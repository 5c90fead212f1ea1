"""The control API: POST /<operation> with a JSON object of arguments, answered in JSON."""

import json

from tests.easim import listener, wire
from tests.easim.simulator import OPERATIONS


class Control:
    def __init__(self, simulator):
        self._simulator = simulator
        self._listener = listener.Listener(simulator.control_address, self._serve)

    @property
    def url(self):
        return f"http://{self._listener.address}:{self._listener.port}"

    async def start(self):
        await self._listener.set_mode(listener.OPEN)

    async def close(self):
        await self._listener.close()

    async def _serve(self, reader, writer):
        while (request := await wire.read_request(reader)) is not None:
            status, answer = await self._answer(request)
            writer.write(wire.response(status, json.dumps(answer).encode() + b"\n"))
            await writer.drain()
            if not request.keep_alive:
                return

    async def _answer(self, request):
        operation = request.path.strip("/")
        if operation not in OPERATIONS:
            return 404, {"error": f"no operation {operation!r}: one of {', '.join(OPERATIONS)}"}
        try:
            arguments = json.loads(request.body or b"{}")
            result = await getattr(self._simulator, operation)(**arguments)
        except (ValueError, TypeError) as error:
            return 400, {"error": str(error)}
        return 200, {"result": result}
