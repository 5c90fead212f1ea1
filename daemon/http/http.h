/*
 * The HTTP face: libmicrohttpd driven by the daemon's own loop (no thread of its own).
 *
 * Files: listener.* sockets that listen, guest.* who is connected and for how long, http.c the one
 * door to libmicrohttpd, site.* what stands at which path; view.* what all of these tell: page.*,
 * status.* (by json.*, json-c's writing door), metrics.*, mirror.*; text.* and body.* are what
 * answers are made of.
 */
#ifndef CROW_HTTP_H
#define CROW_HTTP_H

#include "daemon/config.h"
#include "daemon/health/health.h"
#include "daemon/http/history.h"
#include "daemon/inherit.h"
#include "daemon/publisher.h"
#include "daemon/upstream/follow.h"

struct crow_http;

/* NULL with a sentence that names the address and the remedy. */
struct crow_http *crow_http_bind(const struct crow_config *config, struct crow_inherited *inherited,
				 char *complaint, size_t complaint_size);

/* What the pages are made from, and whom to tell that a name below an on-demand zone is wanted. */
struct crow_http_house {
	struct crow_loop *loop;
	struct crow_publisher *publisher;
	const struct crow_table *table;
	const struct crow_follow *follow; /* NULL: nobody is forwarded to */
	const struct crow_health *health; /* NULL: none */
	void (*demand)(void *context, const char *name);
	void *context;
};
bool crow_http_start(struct crow_http *http, const struct crow_http_house *house);

/* There is a new image: for the answers that wait for one. */
void crow_http_wake(struct crow_http *http);
/* Something happened to an instance: for the curves of its services. */
void crow_http_note(struct crow_http *http, enum crow_history_kind kind,
		    const struct crow_addr *addr, uint16_t port);
/* For tests: another bound than CROW_GUEST_EXCHANGE_NS. */
void crow_http_hurry(struct crow_http *http, int64_t exchange_ns);
/* Likewise: less room for large answers, see body.h and site.h. */
void crow_http_narrow(struct crow_http *http, size_t kept_max, size_t large_max);
void crow_http_free(struct crow_http *http);

#endif
