/*
 * The SRV set of a service (RFC 2782): whole, as its weights have a meaning only together.
 */
#ifndef CROW_SRV_H
#define CROW_SRV_H

#include "daemon/dns/reply.h"
#include "daemon/dns/settings.h"
#include "resolver/image.h"

/* Adds one record for each instance that may be picked (choice.h: or is all there is), the pick
 * first, then the addresses of their targets as far as they fit. A set that does not fit makes the
 * reply truncated; by TCP, which has no larger sibling, as many as fit from the pick on. */
void crow_srv_put(struct crow_reply *reply, const struct crow_query *query,
		  const struct crow_image *img, uint32_t service,
		  const struct crow_answer_settings *settings);

#endif
