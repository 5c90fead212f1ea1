/*
 * Fetching a URL by HTTP: the one door to libcurl. A fetcher drives any number of transfers on the
 * daemon's loop; each has a deadline for the whole of it, and a cap on what its body decodes to.
 * Nothing of the environment counts: no proxy, no cookies, no netrc. Redirects are not followed.
 *
 * Host names are looked up by `hosts`, never by libcurl, which would take a thread for each and ask
 * the system's resolver, which may be ourselves.
 */
#ifndef CROW_FETCH_H
#define CROW_FETCH_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/loop.h"
#include "daemon/upstream/hosts.h"

enum crow_fetch_end {
	CROW_FETCH_ANSWERED, /* with any status */
	CROW_FETCH_TIMEOUT,
	CROW_FETCH_CONNECT,  /* no connection, or it was lost before the answer was whole */
	CROW_FETCH_GARBLED,  /* not HTTP/1, or a body that does not decode */
	CROW_FETCH_OVERSIZE, /* the decoded body passed the cap */
	CROW_FETCH_NO_MEMORY,
};

struct crow_fetch_answer {
	enum crow_fetch_end end;
	int status;       /* 0: no status line came */
	const char *body; /* of a 200 that came whole; else empty. Lent for the call */
	size_t size;
	uint32_t retry_after_s; /* 0: not said, or in the past */
	char cause[256];        /* a phrase, unless it is a 200: "connection refused" */
};

struct crow_fetcher;
struct crow_fetch; /* one transfer */

typedef void crow_fetch_hook(void *context, const struct crow_fetch_answer *answer);

/* Both are borrowed. NULL: no memory. */
struct crow_fetcher *crow_fetcher_new(struct crow_loop *loop, struct crow_hosts *hosts);
/* After every transfer has ended or was cancelled. */
void crow_fetcher_free(struct crow_fetcher *fetcher);

/* Starts a transfer: done is called once, from the loop, never before this returns; the transfer is
 * gone then. NULL: no memory, or url is none. */
struct crow_fetch *crow_fetch_start(struct crow_fetcher *fetcher, const char *url,
				    uint32_t timeout_ms, size_t body_max, crow_fetch_hook *done,
				    void *context);
/* Ends it without calling done. */
void crow_fetch_cancel(struct crow_fetch *fetch);

#endif
