"""IP PORT [TIMES]: GETs by asyncio streams, all at once.

With TIMES, a ticker of 5 ms runs beside them, and the last line tells how often it ticked and the
longest time between two ticks: whoever blocks the loop stops the ticker.
"""

import asyncio
import sys
import time

TICK_S = 0.005


class Ticker:
    def __init__(self):
        self.ticks = 0
        self.longest_s = 0

    async def run(self):
        last = time.monotonic()
        while True:
            await asyncio.sleep(TICK_S)
            now = time.monotonic()
            self.longest_s = max(self.longest_s, now - last)
            self.ticks += 1
            last = now


async def get(ip, port):
    reader, writer = await asyncio.open_connection(ip, port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer.decode()


async def main(ip, port, times):
    ticker = Ticker()
    ticking = asyncio.create_task(ticker.run())
    answers = await asyncio.gather(*(get(ip, port) for _ in range(times)))
    ticking.cancel()
    print(*answers)
    return ticker


ip, port, *times = sys.argv[1:]
try:
    ticker = asyncio.run(main(ip, int(port), *map(int, times or [1])))
except OSError as error:
    print(type(error).__name__, error.errno, error)
    sys.exit(1)
if times:
    print("ticks", ticker.ticks, "longest", ticker.longest_s)
