/*
 * What stands at which path: a request becomes an answer. No sockets and no library here, so that
 * all of it is tested as a function. Main thread.
 */
#ifndef CROW_HTTP_SITE_H
#define CROW_HTTP_SITE_H

#include "daemon/http/body.h"
#include "daemon/http/view.h"
#include "daemon/upstream/follow.h"

struct crow_request {
	const char *method, *path; /* the path is percent-decoded */
	const char *host;          /* header fields; NULL: missing */
	const char *if_none_match;
	/* The arguments ?q=, ?page=, ?service=; NULL: missing. */
	const char *query, *page, *service;
	bool waited; /* it was answered `later` before, and there is no more time */
	struct crow_addr peer, own;
};

struct crow_answer {
	unsigned status;
	const char *type;       /* of the body */
	struct crow_body *body; /* the caller's to let go; NULL: no memory */
	const char *allow;      /* further header fields; NULL: none */
	const char *policy;     /* Content-Security-Policy */
	unsigned retry_after_s; /* 0: none */
	char etag[32];          /* "": none, and no copy may be kept */
	/* Not answered yet: discovery is asked. To be asked again with every new image, and with
	 * `waited` after this time at the latest. 0: this is the answer. */
	int64_t later_ns;
};

struct crow_site {
	const struct crow_follow *follow; /* whom names are forwarded to; NULL: nobody */
	const struct crow_table *table;
	const struct crow_given *given;   /* for the page; NULL: none */
	const struct crow_health *health; /* likewise */
	struct crow_history *history;     /* its own; NULL: there was no memory */
	int64_t started_ns;
	/* A name below an on-demand zone is wanted. */
	void (*demand)(void *context, const char *name);
	void *context;
	struct crow_shelf statuses, searches, metrics, mirrors;
	size_t large_max; /* see crow_site_is_crowded() */
	uint64_t turns;   /* lists that the mirror gave: each starts at another instance */
};

/* Bytes of large answers, kept or in readers' hands. Of 100,000 instances 42 MB of statuses, 30 of
 * searches, 8 of lists and 2 of metrics are kept at most; the rest is for slow readers. */
#define CROW_SITE_LARGE_MAX ((size_t)128 << 20)
/* Bytes of searches that are kept, and one body more. The text is the asker's own, so that there are
 * any number of them: who asks for ever another one is turned away by then. */
#define CROW_SITE_SEARCHES_MAX ((size_t)16 << 20)

void crow_site_init(struct crow_site *site, const struct crow_table *table,
		    void (*demand)(void *context, const char *name), void *context, int64_t now_ns);
void crow_site_fini(struct crow_site *site); /* all bodies it gave are gone by then */

void crow_site_answer(struct crow_site *site, const struct crow_image *img,
		      const struct crow_request *request, int64_t now_ns, struct crow_answer *out);

/* Large answers take more memory than they may: a reader of one that is not kept must let go. */
bool crow_site_is_crowded(const struct crow_site *site);

/* Something happened to the instance of this address and port, whichever services have it. */
void crow_site_note(struct crow_site *site, const struct crow_image *img,
		    enum crow_history_kind kind, const struct crow_addr *addr, uint16_t port,
		    int64_t now_ns);

#endif
