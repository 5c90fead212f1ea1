"""The demo's client: requests by name, one after the other, each on a new connection.

Knows nothing of crowfly. Says a line for each request: who answered, or what went wrong.
"""

import argparse
import json
import sys
import time
import urllib.request

PAUSE_S = 0.002  # enough for the eye and for the two cores of a small machine


def request(opener, url):
    try:
        with opener.open(url, data=b'{"question":1}') as answer:
            return "served " + json.loads(answer.read())["ip"]
    except (OSError, ValueError) as error:
        return f"failed {error}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--times", type=int, default=sys.maxsize)
    options = parser.parse_args()
    # Without proxies: names are the libc's to find.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for _ in range(options.times):
        print(request(opener, options.url), flush=True)
        time.sleep(PAUSE_S)


if __name__ == "__main__":
    main()
