/*
 * Questions to upstreams and their replies, as bytes. Each upstream has a pool of channels, made
 * when they are first drawn; a query takes one at random, and so one of as many source ports, which
 * together with its id a forger has to guess (RFC 5452). A channel is made anew after a number of
 * uses or a time. One thread.
 */
#ifndef CROW_EXCHANGE_H
#define CROW_EXCHANGE_H

#include "daemon/upstream/channel.h"
#include "daemon/upstream/random.h"
#include "daemon/upstream/upstreams.h"

struct crow_exchange;

/* Both are borrowed. NULL: no memory. */
struct crow_exchange *crow_exchange_new(struct crow_loop *loop,
					const struct crow_upstreams *upstreams,
					struct crow_random *random);
/* No hook is called any more. Not from a hook. */
void crow_exchange_free(struct crow_exchange *exchange);

/* Sends a query; channel.h. The hook is called once, perhaps before this returns. */
void crow_exchange_send(struct crow_exchange *exchange, size_t upstream, const uint8_t *query,
			size_t size, int64_t now_ns, crow_channel_hook *hook, void *context);

/* RFC 6891 7: a server that answers FORMERR to a query with OPT, and something else without, has no
 * EDNS. It is asked without for a while, since it may have been the one question's fault. */
bool crow_exchange_has_edns(const struct crow_exchange *exchange, size_t upstream, int64_t now_ns);
void crow_exchange_set_edns(struct crow_exchange *exchange, size_t upstream, bool has,
			    int64_t now_ns);

/* Once a second: ends what nobody answered. */
void crow_exchange_expire(struct crow_exchange *exchange);

#endif
