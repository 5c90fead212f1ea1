/*
 * A query as a value: it points nowhere, so that one that must wait is kept by copying it.
 */
#ifndef CROW_QUERY_H
#define CROW_QUERY_H

#include "daemon/dns/wire.h"
#include "resolver/name.h"

/* Largest reply by UDP: fits into every IPv6 path (1280) and so is never a fragment. */
#define CROW_QUERY_UDP_MAX 1232
#define CROW_QUERY_UDP_MIN 512 /* RFC 1035 4.2.1, RFC 6891 6.2.3 */
#define CROW_QUERY_TCP_MAX 65535

enum crow_rcode {
	CROW_RCODE_NOERROR = 0,
	CROW_RCODE_FORMERR = 1,
	CROW_RCODE_SERVFAIL = 2,
	CROW_RCODE_NXDOMAIN = 3,
	CROW_RCODE_NOTIMP = 4,
	CROW_RCODE_REFUSED = 5,
	CROW_RCODE_BADVERS = 16, /* RFC 6891 9: needs an OPT record to be said */
};

/* Text is folded in blocks of so many bytes, and has room for whole ones. */
#define CROW_QUERY_BLOCK 16

struct crow_query {
	uint16_t id;
	uint16_t flags; /* the second word of the header, as it came */
	uint16_t rcode; /* what the query itself already deserves; NOERROR: it can be answered */
	bool edns;      /* had an OPT record, so the reply has one */
	bool dnssec_ok; /* RFC 3225: copied into the reply */
	bool stream;    /* came by TCP */
	uint16_t limit; /* bytes that a reply may have */
	uint16_t type;
	uint16_t class;
	uint16_t name_size; /* of name; 0: no question that could be read */
	uint16_t text_size;
	uint8_t name[CROW_WIRE_NAME_MAX];
	/* Folded, dotted, NUL-terminated. A dot or NUL inside a label became a NUL, which no name
	 * of an image holds: such a name equals none, and still lies below its zone. */
	char text[(CROW_NAME_MAX + CROW_QUERY_BLOCK) / CROW_QUERY_BLOCK * CROW_QUERY_BLOCK];
};

/* False: no reply may be sent (shorter than a header, or itself a reply). */
bool crow_query_read(struct crow_query *query, const uint8_t *bytes, size_t size, bool stream);

#endif
