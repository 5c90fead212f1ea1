"""IP PORT [TIMEOUT]: one GET by urllib3, which is told not to retry."""

import re
import sys

import urllib3

ip, port, *timeout = sys.argv[1:]
how = {"timeout": float(t) for t in timeout}
pool = urllib3.HTTPConnectionPool(ip, int(port), retries=False, **how)
try:
    print(pool.request("GET", "/").data.decode())
except urllib3.exceptions.HTTPError as error:
    print(type(error).__name__, re.sub("0x[0-9a-f]+", "0x", str(error)))
    sys.exit(1)
