/*
 * HTTPS records of a service (RFC 9460): address and port of an instance in one record.
 */
#ifndef CROW_HTTPS_H
#define CROW_HTTPS_H

#include "daemon/dns/reply.h"
#include "daemon/dns/settings.h"
#include "resolver/image.h"

/* Adds a record for each of the instances chosen, the pick with the highest priority: clients
 * shuffle those of equal priority (RFC 9460 2.4.1), and the weights would be lost. */
void crow_https_put(struct crow_reply *reply, const struct crow_image *img, uint32_t service,
		    const struct crow_answer_settings *settings);

#endif
