"""first.py NAME COUNT: the first address of each of COUNT look-ups."""

import socket
import sys

for _ in range(int(sys.argv[2])):
    print(socket.getaddrinfo(sys.argv[1], 80, socket.AF_INET, socket.SOCK_STREAM)[0][4][0])
