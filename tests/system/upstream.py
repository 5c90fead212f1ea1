"""A name server to forward to, by UDP and TCP, that does whatever a test scripts: it lies, it is
silent, it waits until it is told to go on. It keeps what it was asked, to the byte.

A behaviour is a function from a question (Asked) to a list of replies: bytes, Elsewhere(bytes) for
one that is to leave from another port, or Last(bytes) for what is written as it is to a connection
that is then closed. An empty list is silence.
"""

import dataclasses
import selectors
import socket
import struct
import threading

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from tests.easim.address import Network, free_port
from tests.system.daemon import eventually

UDP_BATCH = 100  # datagrams taken at once, before replies that are due


@dataclasses.dataclass(frozen=True)
class Asked:
    """A query as it came."""

    wire: bytes
    source: tuple
    tcp: bool
    query: dns.message.Message

    @property
    def name(self):
        """In the case in which it was sent, without the last dot."""
        return self.query.question[0].name.to_text(omit_final_dot=True)

    @property
    def rdtype(self):
        return dns.rdatatype.to_text(self.query.question[0].rdtype)

    @property
    def id(self):
        return self.query.id

    @property
    def port(self):
        return self.source[1]


@dataclasses.dataclass(frozen=True)
class Elsewhere:
    """A reply that leaves from another port than the one asked."""

    wire: bytes


@dataclasses.dataclass(frozen=True)
class Last:
    """The end of a connection."""

    wire: bytes = b""


# Behaviours


def reply_to(asked, rcode="NOERROR", flags=0, edns=None):
    """The beginning of a reply; with OPT if there was one, unless edns says."""
    reply = dns.message.make_response(asked.query, recursion_available=True)
    reply.set_rcode(dns.rcode.from_text(rcode))
    reply.flags |= flags
    if edns is False or (edns is None and asked.query.edns < 0):
        reply.use_edns(False)
    return reply


def records(asked, lines):
    """["60 A 10.0.0.1", "www.example. 60 A 10.0.0.2"] as sets. The owner is the question's unless
    a line begins with one."""
    sets = {}
    for line in lines:
        owner, ttl, rdtype, data = (
            line.split(" ", 3) if not line[0].isdigit() else [asked.name + ".", *line.split(" ", 2)]
        )
        rrset = dns.rrset.from_text(owner, int(ttl), "IN", rdtype, data)
        key = (rrset.name, rrset.rdtype)
        if key in sets:
            sets[key].add(rrset[0], rrset.ttl)
        else:
            sets[key] = rrset
    return list(sets.values())


def answer(*lines, authority=(), additional=(), **how):
    """The records given; keywords are those of reply_to."""

    def behave(asked):
        reply = reply_to(asked, **how)
        reply.answer = records(asked, lines)
        reply.authority = records(asked, authority)
        reply.additional = records(asked, additional)
        return [reply.to_wire(max_size=65535)]

    return behave


def negative(rcode="NXDOMAIN", ttl=60, minimum=60, owner="example."):
    soa = f"{owner} {ttl} SOA ns.example. nobody.example. 1 3600 600 86400 {minimum}"
    return answer(authority=[soa], rcode=rcode)


def failure(rcode, **how):
    return answer(rcode=rcode, **how)


def silent(_asked):
    return []


def bare(rcode):
    """A header and nothing else, as some say FORMERR."""

    def behave(asked):
        flags = dns.flags.QR | dns.flags.RA | dns.rcode.from_text(rcode)
        return [struct.pack("!HHHHHH", asked.id, flags, 0, 0, 0, 0)]

    return behave


def without_edns(behaviour, refusal=failure("FORMERR", edns=False)):
    """A server of before EDNS: FORMERR to whatever has OPT."""
    return lambda asked: (refusal if asked.query.edns >= 0 else behaviour)(asked)


def truncated(behaviour, by_udp=answer(flags=dns.flags.TC)):
    """TC by UDP, and the whole by TCP."""
    return lambda asked: (behaviour if asked.tcp else by_udp)(asked)


def changed(behaviour, change):
    """The bytes of a behaviour's replies, changed: change is a function of bytearrays."""

    def behave(asked):
        replies = []
        for wire in behaviour(asked):
            wire = bytearray(wire)
            replies.append(bytes(change(wire) or wire))
        return replies

    return behave


def before(first, then):
    """Both, one after the other."""
    return lambda asked: first(asked) + then(asked)


def another_id(wire):
    wire[1] ^= 1


def another_name(wire):
    wire[13] ^= 1  # the first letter of the question


def elsewhere(behaviour):
    return lambda asked: [Elsewhere(wire) for wire in behaviour(asked)]


class Upstream:
    """Serves from when it is made until close(); a context manager. What is not scripted gets
    192.0.2.1, for an hour."""

    def __init__(self, endpoint=None):
        self._network = None
        if endpoint is None:
            self._network = Network()
            address = self._network.address(53)
            endpoint = address, free_port(address)
        self.endpoint = endpoint
        self.default = answer("3600 A 192.0.2.1")
        self._behaviours = {}
        self._asked = []
        self._held = []  # (question, how to send replies)
        self.connections = 0  # those that are open
        self._lock = threading.Lock()
        self._selector = selectors.DefaultSelector()
        self._udp = self._socket(socket.SOCK_DGRAM, self.endpoint)
        self._other = self._socket(socket.SOCK_DGRAM, (self.endpoint[0], 0))
        self._tcp = self._socket(socket.SOCK_STREAM, self.endpoint)
        self._tcp.listen(128)
        self._wake, self._poke = socket.socketpair()
        for sock, ready in (
            (self._udp, self._on_datagrams),
            (self._tcp, self._on_connection),
            (self._wake, None),
        ):
            self._selector.register(sock, selectors.EVENT_READ, ready)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.close()

    @staticmethod
    def _socket(kind, endpoint):
        sock = socket.socket(socket.AF_INET6 if ":" in endpoint[0] else socket.AF_INET, kind)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(endpoint)
        sock.setblocking(False)
        return sock

    def close(self):
        if not self._thread.is_alive():
            return
        self._poke.close()
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()
        self._other.close()
        self._selector.close()
        if self._network:
            self._network.close()

    # The script

    def on(self, name, behaviour, rdtype=None):
        """What questions for a name get, of any type or of one."""
        with self._lock:
            self._behaviours[(name.lower(), rdtype)] = behaviour

    def hold(self, name):
        """Questions for a name are kept until release()."""
        self.on(name, None)

    def release(self, behaviour):
        """Replies to all that was held, in the order in which it came."""
        with self._lock:
            held, self._held = self._held, []
        for asked, send in held:
            for reply in behaviour(asked):
                send(reply)

    def forge(self, asked, wire):
        """Sends a reply to a question, at any time."""
        self._udp.sendto(wire, asked.source)

    # What it was asked

    def asked(self, name=None, rdtype=None):
        """The questions so far, for a name in any case or for all of them."""
        with self._lock:
            return [
                asked
                for asked in self._asked
                if (name is None or asked.name.lower() == name.lower())
                and (rdtype is None or asked.rdtype == rdtype)
            ]

    def wait(self, name=None, count=1):
        """Until it was asked so often; the questions."""
        return eventually(
            lambda: len(found := self.asked(name)) >= count and found,
            what=f"{count} questions for {name}",
        )

    # Serving

    def _serve(self):
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    return
                key.data(key.fileobj)

    def _take(self, wire, source, tcp, send):
        asked = Asked(wire, source, tcp, dns.message.from_wire(wire, one_rr_per_rrset=True))
        with self._lock:
            self._asked.append(asked)
            name = asked.name.lower()
            behaviour = self._behaviours.get(
                (name, asked.rdtype), self._behaviours.get((name, None), self.default)
            )
            if behaviour is None:
                self._held.append((asked, send))
                return
        for reply in behaviour(asked):
            send(reply)

    def _on_datagrams(self, sock):
        for _ in range(UDP_BATCH):
            try:
                wire, source = sock.recvfrom(65535)
            except BlockingIOError:
                return
            self._take(wire, source, False, lambda reply, to=source: self._send_udp(reply, to))

    def _send_udp(self, reply, to):
        if isinstance(reply, Elsewhere):
            self._other.sendto(reply.wire, to)
        else:
            self._udp.sendto(reply, to)

    def _on_connection(self, listener):
        connection, source = listener.accept()
        connection.setblocking(False)
        self.connections += 1
        stream = bytearray()
        self._selector.register(
            connection,
            selectors.EVENT_READ,
            lambda sock: self._on_stream(sock, source, stream),
        )

    def _on_stream(self, connection, source, stream):
        try:
            piece = connection.recv(65535)
        except OSError:
            piece = b""
        if not piece:
            self._selector.unregister(connection)
            connection.close()
            self.connections -= 1
            return
        stream += piece
        while len(stream) >= 2 and len(stream) >= 2 + (size := struct.unpack("!H", stream[:2])[0]):
            wire = bytes(stream[2 : 2 + size])
            del stream[: 2 + size]
            self._take(wire, source, True, lambda reply: self._send_tcp(connection, reply))

    @staticmethod
    def _send_tcp(connection, reply):
        connection.setblocking(True)
        if isinstance(reply, Last):
            connection.sendall(reply.wire)
            connection.shutdown(socket.SHUT_RDWR)  # our own next read is its end, too
        else:
            connection.sendall(struct.pack("!H", len(reply)) + reply)
        connection.setblocking(False)
