/*
 * What an answer from our own data is made with, besides the query and the image.
 */
#ifndef CROW_SETTINGS_H
#define CROW_SETTINGS_H

#include "daemon/dns/host.h"
#include "daemon/given.h"

/* Counters of queries (resolver/pick.h says why not one): 2 KiB. Each service has three, by family, or
 * shares them with another one by chance. */
#define CROW_SEQUENCES 256

struct crow_answer_settings {
	uint32_t ttl_s;
	uint32_t answers;             /* addresses in a reply, 1 to CROW_PICK_SEVERAL_MAX */
	bool https;                   /* whether there are HTTPS records */
	uint64_t *sequences;          /* CROW_SEQUENCES of them: the picks follow from these */
	const struct crow_host *host; /* whose stub resolvers sort what we say; NULL: unknown */
	struct crow_given_mark
		*given; /* the image's: the answer marks what it names; NULL: nowhere */
};

/* The number of this query among those that ask for that. */
static inline uint64_t crow_settings_next_seq(const struct crow_answer_settings *settings,
					      uint32_t service, enum crow_family family)
{
	return settings->sequences[(service * 3 + family) % CROW_SEQUENCES]++;
}

#endif
