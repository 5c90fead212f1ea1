"""IP PORT [TIMEOUT]: one GET by http.client. Without a time-out its socket blocks, with one not."""

import http.client
import sys

ip, port, *timeout = sys.argv[1:]
connection = http.client.HTTPConnection(ip, int(port), **{"timeout": float(t) for t in timeout})
try:
    connection.request("GET", "/")
    print(connection.getresponse().read().decode())
except OSError as error:
    print(type(error).__name__, error.errno, error)
    sys.exit(1)
