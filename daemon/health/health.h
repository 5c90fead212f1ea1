/*
 * Health: the host learns once. What one program found out the hard way, that an instance refuses
 * or does not answer, the daemon proves by a probe of its own and publishes to all.
 *
 * Files, from the pure to the kernel: endpoint.* (the state of one ip:port, a machine), book.* (all
 * that are worth remembering), judge.* (who of a service is out of picks), care.* (when to probe
 * what, and what follows; clock and randomness are passed in), limit.* (allowances of senders),
 * probe.* (connections), health.c (wired to the loop). docs/health.md has the rules. Main thread.
 */
#ifndef CROW_HEALTH_H
#define CROW_HEALTH_H

#include "daemon/publisher.h"
#include "daemon/reports.h"

struct crow_health;

enum crow_health_state {
	CROW_HEALTH_UP,
	CROW_HEALTH_SUSPECT, /* picked as ever, while a probe finds out */
	CROW_HEALTH_EJECTED, /* out of picks */
	CROW_HEALTH_KEPT,    /* seems down, and is picked all the same: see why */
};

/* What people are shown of an instance. */
struct crow_health_view {
	enum crow_health_state state;
	int64_t since_ns;   /* of the state, CLOCK_BOOTTIME; 0 = as long as it is known */
	char why[128];      /* a clause, such as "connect refused"; "" if there is nothing to say */
	const char *last;   /* the last probe's result in words; "" = none yet */
	int64_t probed_ns;  /* when that probe ended; 0 = never */
	uint32_t share;     /* by what percentage of its weight it is picked; 0 = not at all */
	uint32_t failovers; /* reports of programs that had to go elsewhere */
	uint32_t probes;    /* of ours */
	uint32_t ejections; /* how often it was found to be down */
};

/* NULL: no memory. All is borrowed; what changes reaches the table's own hook. */
struct crow_health *crow_health_new(struct crow_loop *loop, struct crow_table *table,
				    struct crow_publisher *publisher);
void crow_health_free(struct crow_health *health);

/* The table has another configuration. */
void crow_health_configure(struct crow_health *health);
/* A service has another list: who left it is forgotten, who is new is in. */
void crow_health_take_list(struct crow_health *health, struct crow_service *service);
/* A hint, from whoever sent it. */
void crow_health_report(struct crow_health *health, const struct crow_report *report,
			const struct crow_sender *sender);

/* Of the instance at addr and port of that service: any, also one that nobody ever probed. */
void crow_health_get(const struct crow_health *health, const struct crow_service *service,
		     const struct crow_addr *addr, uint16_t port, struct crow_health_view *out);
/* Told of each report of a program that was believed, and of how each probe ended, unless what was
 * at fault is this host itself. For curves; one hook. */
enum crow_health_news { CROW_HEALTH_FAILOVER, CROW_HEALTH_PROBE_OK, CROW_HEALTH_PROBE_FAILED };
typedef void crow_health_hook(void *context, enum crow_health_news news,
			      const struct crow_addr *addr, uint16_t port);
void crow_health_watch(struct crow_health *health, crow_health_hook *on_news, void *context);

const char *crow_health_strstate(enum crow_health_state state);

#endif
