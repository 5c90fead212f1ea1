/*
 * A reply under construction: header, question, records in the order of the sections, OPT. The
 * limit is the query's; room for OPT is kept from the start.
 */
#ifndef CROW_REPLY_H
#define CROW_REPLY_H

#include "daemon/dns/query.h"
#include "resolver/address.h"

enum crow_type {
	CROW_TYPE_A = 1,
	CROW_TYPE_NS = 2,
	CROW_TYPE_SOA = 6,
	CROW_TYPE_PTR = 12,
	CROW_TYPE_TXT = 16,
	CROW_TYPE_AAAA = 28,
	CROW_TYPE_SRV = 33,
	CROW_TYPE_HTTPS = 65,
	CROW_TYPE_IXFR = 251,
	CROW_TYPE_AXFR = 252,
	CROW_TYPE_ANY = 255,
};
#define CROW_CLASS_IN 1

/* RFC 2308 5: how long "there is nothing" may be kept. Short, since services come and go. */
#define CROW_REPLY_NEGATIVE_TTL_S 5

/* Bytes of an A or AAAA record whose owner is a pointer. */
#define CROW_REPLY_A_SIZE    (12 + 4)
#define CROW_REPLY_AAAA_SIZE (12 + 16)

struct crow_reply {
	uint8_t *bytes; /* the caller's, with what it holds: at least CROW_QUERY_UDP_MAX */
	size_t capacity;
	size_t size; /* of the finished reply */
	uint16_t rcode;
	uint16_t answers, authorities, additionals;
	bool authoritative, truncated;
	bool authentic; /* only of what others vouch for */
	struct crow_wire_writer out;
};

/* Starts over: writes the header and the question. bytes and capacity are set by the caller. */
void crow_reply_begin(struct crow_reply *reply, const struct crow_query *query);
/* Adds OPT and fills in the header; size is valid afterwards. */
void crow_reply_finish(struct crow_reply *reply, const struct crow_query *query);
/* Begin and finish of a reply without records. */
void crow_reply_refuse(struct crow_reply *reply, const struct crow_query *query, uint16_t rcode);
/* The same, of one that says no more than "ask by TCP". */
void crow_reply_truncate(struct crow_reply *reply, const struct crow_query *query);

size_t crow_reply_room(const struct crow_reply *reply);

/* A record is opened, its data written to reply->out, and closed, which takes it back and says false
 * if it did not fit. Its owner is a pointer to `owner`, an offset in the message. The counts are the
 * caller's to raise. */
size_t crow_reply_open(struct crow_reply *reply, size_t owner, uint16_t type, uint32_t ttl_s);
bool crow_reply_close(struct crow_reply *reply, size_t start);

/* Whole records, likewise: whether they fitted. */
bool crow_reply_put_address(struct crow_reply *reply, size_t owner, const struct crow_addr *addr,
			    uint32_t ttl_s);
void crow_reply_put_soa(struct crow_reply *reply, size_t apex, uint32_t serial, uint32_t ttl_s);
void crow_reply_put_ns(struct crow_reply *reply, size_t apex, uint32_t ttl_s);

#endif
