/*
 * A channel to DNS servers: the one door to c-ares. Its sockets are watched by the loop; what is
 * sent and what comes back are bytes. One thread, the loop's.
 *
 * c-ares 1.18 and 1.34 do the same here, although they differ in much (envelope.h): which of them is
 * there is known when the daemon starts, not when it is built.
 *
 * c-ares reads neither /etc/resolv.conf nor the environment for it. A query cannot be taken back:
 * it ends with a reply, with an error, or CROW_CHANNEL_PATIENCE_MS after it was sent, provided that
 * crow_channel_expire() is called now and then.
 */
#ifndef CROW_CHANNEL_H
#define CROW_CHANNEL_H

#include "daemon/config.h"
#include "daemon/loop.h"

/* More than a question may stay open; see forward.h. */
#define CROW_CHANNEL_PATIENCE_MS 4000

struct crow_channel;
struct crow_resolv_conf;

/* ---- questions, as bytes ---- */

enum crow_channel_end {
	CROW_CHANNEL_REPLY,   /* some reply with its id, type and class, and a name that is alike */
	CROW_CHANNEL_SILENCE, /* patience ended */
	CROW_CHANNEL_ERROR,   /* refused by the network */
	CROW_CHANNEL_SHORTAGE, /* it failed here, and errno says for want of what */
};

/* The bytes are lent for the call. */
typedef void crow_channel_hook(void *context, enum crow_channel_end end, const uint8_t *reply,
			       size_t size);

/* Bytes of a reply by UDP; what is longer counts as truncated. */
#define CROW_CHANNEL_REPLY_MAX 1232
/* NULL: no memory. */
struct crow_channel *crow_channel_new(struct crow_loop *loop, const struct crow_listen *server);

/* Sends a query, of one question and perhaps a bare OPT record, by UDP, and by TCP if the reply
 * comes truncated. The hook is called once, perhaps before this returns. */
void crow_channel_send(struct crow_channel *channel, const uint8_t *query, size_t size,
		       crow_channel_hook *hook, void *context);

/* ---- addresses of hosts ---- */

enum crow_lookup_end {
	CROW_LOOKUP_FOUND,
	CROW_LOOKUP_NONE,   /* there is no such host, or it has no address */
	CROW_LOOKUP_FAILED, /* nobody could say */
};

#define CROW_LOOKUP_ADDRESSES_MAX 16

struct crow_lookup {
	enum crow_lookup_end end;
	const char *cause; /* a phrase, unless it was found. Lent for the call */
	size_t count;
	struct crow_addr addrs[CROW_LOOKUP_ADDRESSES_MAX]; /* the best first (RFC 6724) */
	uint32_t ttl_s; /* 0: from /etc/hosts, or not to be kept */
};
typedef void crow_lookup_hook(void *context, const struct crow_lookup *lookup);

/* One for look-ups: the servers, search domains and ndots of conf. NULL: no memory. */
struct crow_channel *crow_channel_new_lookups(struct crow_loop *loop,
					      const struct crow_resolv_conf *conf);
/* /etc/hosts first, then the servers, one after the other. The hook is called once, perhaps before
 * this returns. */
void crow_channel_lookup(struct crow_channel *channel, const char *host, crow_lookup_hook *hook,
			 void *context);

/* ---- both ---- */

/* No hook is called any more. Not from a hook of its own. */
void crow_channel_free(struct crow_channel *channel);
/* Ends the queries whose patience is over. */
void crow_channel_expire(struct crow_channel *channel);
/* Nothing is under way, so that it may be freed. */
bool crow_channel_is_idle(const struct crow_channel *channel);

#endif
