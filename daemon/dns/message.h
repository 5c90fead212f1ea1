/*
 * An upstream's reply as a value, and the replies to askers that are made of it. Pure.
 *
 * The records are passed on as the bytes that came: the question of every asker has the same size
 * as the upstream's, so that compression pointers stay right. Whatever we would pass on is checked
 * first: an asker never gets a name, a length or a count that lies.
 */
#ifndef CROW_MESSAGE_H
#define CROW_MESSAGE_H

#include "daemon/dns/query.h"
#include "daemon/dns/reply.h"

/* More records than this are passed on, and not kept: 4 KiB, the largest that a cache keeps, hold
 * 255 addresses. */
#define CROW_MESSAGE_TTLS_MAX 256

/* How long answers may be kept. A day, as unbound has it: whoever published something wrong with a
 * TTL of weeks is heard again tomorrow. An hour of "there is none" is more than RFC 2308 5 calls
 * sensible at least, and less than its limit of three. RFC 9520 3.2: failures, 1 s to 5 min. */
#define CROW_MESSAGE_POSITIVE_MAX_S 86400
#define CROW_MESSAGE_NEGATIVE_MAX_S 3600
#define CROW_MESSAGE_FAILURE_S      5

struct crow_message {
	uint16_t rcode; /* with the extended bits of OPT */
	bool truncated; /* TC was set: there may be more by TCP, and the body is left empty */
	bool authentic; /* AD was set. Ask upstreams with AD, or they need not say (RFC 6840 5.7) */
	bool edns;      /* had an OPT record */
	bool negative;  /* NXDOMAIN or NODATA: ttl_s bounds all TTLs */
	uint16_t answers, authorities, additionals; /* in body; OPT is none of them */
	const uint8_t *body; /* borrowed: the records behind the question, up to OPT */
	size_t body_size;
	size_t core_size;                       /* of body: answers and authorities */
	uint16_t ttl_count;                     /* 0 as well if there are too many */
	uint16_t ttl_at[CROW_MESSAGE_TTLS_MAX]; /* offsets in body */
	uint32_t ttl_s;                         /* how long it may be kept; 0: not at all */
	/* The set of A or AAAA records that may be rotated: neighbours in body of one size, which
	 * no name points into. No such set: turn_count is 0. */
	uint16_t turn_at, turn_size, turn_count;
};

/* False: malformed, or not the reply to this question. Whose id it has is the caller's to check.
 * message->body points into bytes. */
bool crow_message_read(struct crow_message *message, const struct crow_query *asked,
		       const uint8_t *bytes, size_t size);

/* A failure that no upstream has said, e.g. since all of them were silent. */
void crow_message_fail(struct crow_message *message, uint16_t rcode);

/* A reply to anyone who asked the same question: his id, case, RD and CD, and OPT if he has it;
 * AD only if he wants to know (RFC 6840 5.7, 5.8). Additional records are left out where they do
 * not fit; where answers do not, TC is set (RFC 2181 9). age_s is taken off each TTL; cap_s (0:
 * none), for a stale answer, is the most that any TTL may be. turn rotates the set. */
void crow_message_reply(const struct crow_message *message, const struct crow_query *query,
			uint32_t age_s, uint32_t cap_s, uint64_t turn, struct crow_reply *reply);

#endif
