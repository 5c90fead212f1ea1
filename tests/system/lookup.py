"""Questions to crowflyd's DNS responder, through dnspython: an implementation that is not ours."""

import collections

import dns.message
import dns.query
import dns.rcode
import dns.rdatatype

TIMEOUT_S = 10


def ask(daemon, name, rdtype="A", tcp=False, **how):
    """The reply. Keywords are those of dns.message.make_query (use_edns, payload, ...)."""
    query = dns.message.make_query(name, rdtype, **{"use_edns": False, **how})
    send = dns.query.tcp if tcp else dns.query.udp
    return send(query, daemon.dns[0], port=daemon.dns[1], timeout=TIMEOUT_S)


def rcode(reply):
    return dns.rcode.to_text(reply.rcode())


def addresses(reply):
    """The addresses of the answer section, in the order in which they came."""
    kinds = (dns.rdatatype.A, dns.rdatatype.AAAA)
    return [record.address for rrset in reply.answer if rrset.rdtype in kinds for record in rrset]


def soa(reply):
    """The SOA of the authority section, or None."""
    found = [rrset for rrset in reply.authority if rrset.rdtype == dns.rdatatype.SOA]
    return found[0][0] if found else None


def first_addresses(daemon, name, queries):
    """How often each address came first."""
    return collections.Counter(addresses(ask(daemon, name))[0] for _ in range(queries))
