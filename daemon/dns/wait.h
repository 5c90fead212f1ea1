/*
 * Queries that wait for a name asked on demand: a fixed table, since each holds memory for as long
 * as discovery takes. Waiting is bounded by the zone's time-out; one thread.
 */
#ifndef CROW_WAIT_H
#define CROW_WAIT_H

#include <netinet/in.h>

#include "daemon/dns/answer.h"
#include "daemon/loop.h"

#define CROW_WAITS_MAX 256

/* Where a late reply goes. deliver is the transport's; if the asker has left, it does nothing. */
struct crow_asker {
	void (*deliver)(const struct crow_asker *asker, const uint8_t *reply, size_t size);
	void *endpoint;  /* the transport's socket or connection */
	uint64_t ticket; /* tells a connection from a later one in the same memory */
	union {
		struct sockaddr sa;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} peer; /* UDP: whom to, and from which of our addresses */
	socklen_t peer_size;
	_Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(struct in6_pktinfo))];
	size_t control_size;
};

struct crow_wait {
	bool used;
	bool reported; /* the daemon has been told of the name */
	int64_t deadline_ns;
	struct crow_query query;
	struct crow_wanted wanted;
	struct crow_asker asker;
};

struct crow_waits {
	struct crow_wait *items; /* CROW_WAITS_MAX */
	size_t count;            /* used ones */
	struct crow_loop *loop;
	struct crow_timer timer; /* of the earliest due; on_due is set by the owner */
	const char *runtime_dir;
};

/* Keeps a query; the first that waits for a name also reports it to the daemon, at once or, where
 * the daemon has too many reports to take in, a little later. False: full. */
bool crow_waits_add(struct crow_waits *waits, const struct crow_query *query,
		    const struct crow_wanted *wanted, const struct crow_asker *asker,
		    int64_t now_ns);
void crow_waits_remove(struct crow_waits *waits, struct crow_wait *wait);
/* Reports what could not be reported yet, and sets the timer to what is due first, or clears it. */
void crow_waits_arm(struct crow_waits *waits, int64_t now_ns);

#endif
