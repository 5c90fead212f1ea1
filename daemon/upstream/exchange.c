#include "daemon/upstream/exchange.h"

#include <errno.h>
#include <stdlib.h>

/* A port is left after so many queries or so long, whichever comes first: enough that making the
 * channel (30 us) does not count, too few for a forger to learn and use it. */
#define USES_MAX   1000
#define USE_MAX_NS (60 * INT64_C(1000000000))

/* How long a server is asked without EDNS. */
#define PLAIN_NS (600 * INT64_C(1000000000))

struct slot {
	struct crow_channel *channel; /* NULL: not drawn yet */
	unsigned uses;
	int64_t made_ns;
};

struct pool {
	struct slot slots[CROW_UPSTREAM_PORTS_MAX];
	int64_t edns_from_ns; /* it is asked with EDNS from then on */
};

struct crow_exchange {
	struct crow_loop *loop;
	const struct crow_upstreams *upstreams;
	struct crow_random *random;
	struct pool pools[CROW_UPSTREAMS_MAX];
};

struct crow_exchange *crow_exchange_new(struct crow_loop *loop,
					const struct crow_upstreams *upstreams,
					struct crow_random *random)
{
	struct crow_exchange *exchange = calloc(1, sizeof(*exchange));

	if (!exchange)
		return NULL;
	exchange->loop = loop;
	exchange->upstreams = upstreams;
	exchange->random = random;
	return exchange;
}

void crow_exchange_free(struct crow_exchange *exchange)
{
	if (!exchange)
		return;
	for (size_t i = 0; i < CROW_UPSTREAMS_MAX; i++)
		for (size_t j = 0; j < CROW_UPSTREAM_PORTS_MAX; j++)
			crow_channel_free(exchange->pools[i].slots[j].channel);
	free(exchange);
}

static bool is_worn(const struct slot *slot, int64_t now_ns)
{
	return slot->uses >= USES_MAX || now_ns - slot->made_ns >= USE_MAX_NS;
}

/* False: something is under way in it, or there is no memory. */
static bool renew(struct crow_exchange *exchange, size_t upstream, struct slot *slot,
		  int64_t now_ns)
{
	struct crow_channel *channel;

	if (slot->channel && !crow_channel_is_idle(slot->channel))
		return false;
	channel = crow_channel_new(exchange->loop, &exchange->upstreams->items[upstream].at);
	if (!channel)
		return false;
	crow_channel_free(slot->channel);
	*slot = (struct slot){.channel = channel, .made_ns = now_ns};
	return true;
}

/* Draws until one is fresh or can be made so. Where each of a few is worn and busy, the last one
 * drawn serves on: that is better than no answer. */
static struct crow_channel *draw(struct crow_exchange *exchange, size_t upstream, int64_t now_ns)
{
	struct pool *pool = &exchange->pools[upstream];
	struct slot *slot = NULL;

	for (int i = 0; i < 8; i++) {
		slot = &pool->slots[crow_random_u16(exchange->random) % exchange->upstreams->ports];
		if (slot->channel && !is_worn(slot, now_ns))
			break;
		if (renew(exchange, upstream, slot, now_ns))
			break;
	}
	slot->uses++;
	return slot->channel;
}

void crow_exchange_send(struct crow_exchange *exchange, size_t upstream, const uint8_t *query,
			size_t size, int64_t now_ns, crow_channel_hook *hook, void *context)
{
	struct crow_channel *channel = draw(exchange, upstream, now_ns);

	errno = ENOMEM; /* there is no other cause */
	if (channel)
		crow_channel_send(channel, query, size, hook, context);
	else
		hook(context, CROW_CHANNEL_SHORTAGE, NULL, 0);
}

bool crow_exchange_has_edns(const struct crow_exchange *exchange, size_t upstream, int64_t now_ns)
{
	return now_ns >= exchange->pools[upstream].edns_from_ns;
}

void crow_exchange_set_edns(struct crow_exchange *exchange, size_t upstream, bool has,
			    int64_t now_ns)
{
	exchange->pools[upstream].edns_from_ns = has ? now_ns : now_ns + PLAIN_NS;
}

void crow_exchange_expire(struct crow_exchange *exchange)
{
	for (size_t i = 0; i < exchange->upstreams->count; i++)
		for (size_t j = 0; j < exchange->upstreams->ports; j++)
			if (exchange->pools[i].slots[j].channel)
				crow_channel_expire(exchange->pools[i].slots[j].channel);
}
