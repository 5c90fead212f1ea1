"""IP PORT: what each way to wait says of a non-blocking connect: events, SO_ERROR, again."""

import errno
import select
import socket
import sys

BOUND_S = 10
EDGE = select.EPOLLOUT | select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET
ONCE = select.EPOLLOUT | select.EPOLLONESHOT


def name(number):
    return errno.errorcode.get(number, number)


def by_poll(sock, connect):
    connect()
    poll = select.poll()
    poll.register(sock, select.POLLIN | select.POLLOUT)
    return [events for _fd, events in poll.poll(BOUND_S * 1000)]


def by_select(sock, connect):
    connect()
    return [len(ready) for ready in select.select([sock], [sock], [sock], BOUND_S)]


def by_epoll(mask):
    """Registered after connect, as most loops do it."""

    def wait(sock, connect):
        connect()
        with select.epoll() as epoll:
            epoll.register(sock, mask)
            return [events for _fd, events in epoll.poll(BOUND_S)]

    return wait


def by_epoll_before(sock, connect):
    """Registered with EPOLLET before connect, as nginx does it: what comes before the connect is
    one event, what comes of it the next."""
    with select.epoll() as epoll:
        epoll.register(sock, EDGE)
        fresh = epoll.poll(0)
        connect()
        return [events for _fd, events in fresh + epoll.poll(BOUND_S) + epoll.poll(0)]


def by_epoll_then_silence(sock, connect):
    """One event for one connect: an edge, and nothing after it."""
    connect()
    with select.epoll() as epoll:
        epoll.register(sock, EDGE)
        return [events for _fd, events in epoll.poll(BOUND_S) + epoll.poll(0)]


WAYS = {
    "poll": by_poll,
    "select": by_select,
    "epoll": by_epoll(select.EPOLLOUT | select.EPOLLIN),
    "epoll oneshot": by_epoll(ONCE),
    "epoll edge": by_epoll_then_silence,
    "epoll before": by_epoll_before,
}


def main(ip, port):
    for way, wait in WAYS.items():
        with socket.socket() as sock:
            sock.setblocking(False)
            started = []
            events = wait(sock, lambda: started.append(sock.connect_ex((ip, port))))
            error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            # After an error a second connect() would be a new attempt.
            again = sock.connect_ex((ip, port)) if error == 0 else 0
            print(way, name(started[0]), events, name(error), name(again))


main(sys.argv[1], int(sys.argv[2]))
