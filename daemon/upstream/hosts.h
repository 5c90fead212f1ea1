/*
 * Addresses of the hosts that crowflyd itself talks to, looked up without libc: resolv.conf may
 * name crowflyd alone, which must not wait for its own answers. Asked are the upstreams, or where
 * none are configured the servers of /etc/resolv.conf but ourselves; /etc/hosts comes first, and the
 * search domains of /etc/resolv.conf count. Main thread alone.
 *
 * A look-up serves everyone who asks meanwhile, and is kept for its TTL. Addresses once good are
 * used when a look-up fails, or is slow.
 */
#ifndef CROW_HOSTS_H
#define CROW_HOSTS_H

#include "daemon/loop.h"
#include "daemon/upstream/upstreams.h"

#define CROW_HOST_ADDRESSES_MAX 16
#define CROW_HOST_CAUSE         256

struct crow_host_answer {
	size_t count; /* 0: `cause` says why, and names the host and who was asked */
	const struct crow_addr *addrs; /* lent for the call */
	char cause[CROW_HOST_CAUSE];
};

struct crow_hosts;
struct crow_host_wait;

typedef void crow_host_hook(void *context, const struct crow_host_answer *answer);

/* own (borrowed): where we listen. NULL: no memory. */
struct crow_hosts *crow_hosts_new(struct crow_loop *loop, const struct crow_listens *own);
void crow_hosts_free(struct crow_hosts *hosts); /* after every wait has ended */

/* The upstreams from now on, which it becomes a user of; NULL: none. */
void crow_hosts_use(struct crow_hosts *hosts, struct crow_upstreams *upstreams);

/* The hook is called once, from the loop, never before this returns; the wait is gone then. NULL: no
 * memory. */
struct crow_host_wait *crow_hosts_ask(struct crow_hosts *hosts, const char *host,
				      crow_host_hook *hook, void *context);
/* A sentence for who cannot wait any more. */
void crow_hosts_describe(const struct crow_host_wait *wait, char cause[CROW_HOST_CAUSE]);
void crow_hosts_cancel(struct crow_host_wait *wait);

#endif
