/*
 * What an answer from our own data is made with, besides the query and the image.
 */
#ifndef CROW_SETTINGS_H
#define CROW_SETTINGS_H

#include "daemon/dns/host.h"
#include "daemon/given.h"

struct crow_answer_settings {
	uint32_t ttl_s;
	uint32_t answers;             /* addresses in a reply, 1 to CROW_PICK_SEVERAL_MAX */
	bool https;                   /* whether there are HTTPS records */
	uint64_t seq;                 /* counts queries: the pick follows from it */
	const struct crow_host *host; /* whose stub resolvers sort what we say; NULL: unknown */
	struct crow_given_mark
		*given; /* the image's: the answer marks what it names; NULL: nowhere */
};

#endif
