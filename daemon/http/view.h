/*
 * What the page, the status and the metrics tell of a service, said once so that they cannot
 * disagree: who is shown, in which order, and what each word means. Borrows all that it shows;
 * valid for one turn of the loop.
 */
#ifndef CROW_HTTP_VIEW_H
#define CROW_HTTP_VIEW_H

#include "daemon/given.h"
#include "daemon/health/health.h"
#include "daemon/http/history.h"
#include "daemon/table.h"
#include "daemon/upstream/upstreams.h"
#include "resolver/image.h"

struct crow_view {
	const struct crow_upstreams *upstreams; /* NULL: none are configured */
	const struct crow_image *img;
	const struct crow_table *table;
	int64_t now_ns;
	int64_t started_ns;                 /* when this daemon started */
	const struct crow_given *given;     /* NULL: nobody counts what DNS gives */
	const struct crow_health *health;   /* NULL: nobody looks after instances */
	const struct crow_history *history; /* NULL: none */
};

struct crow_view_service {
	uint32_t index; /* in the image */
	const struct crow_snap_service *snap;
	/* The daemon's own record. NULL: a reload has just removed it, and the image lags behind. */
	const struct crow_service *polled;
	const char *name, *source, *zone;
	uint32_t up, drained, ejected, tombstones;
	bool stale;      /* has a list, which discovery does not confirm */
	int64_t lost_ns; /* since when all instances of a family are down, and picked all the same; 0 */
};

/* False if the index is out of range. */
bool crow_view_service(const struct crow_view *view, uint32_t index, struct crow_view_service *out);
/* The service of that very name. */
bool crow_view_find(const struct crow_view *view, const char *name, struct crow_view_service *out);

struct crow_view_instance {
	const struct crow_snap_instance *snap;
	char endpoint[CROW_ENDPOINT_TEXT];
	const char *app;
	double asked; /* which part of the picks it is to have, 0 to 1 */
	double given; /* which part of those of DNS it had in the last minute; < 0: there were none */
	/* What the daemon's own probes say of it. */
	struct crow_health_view health;
};

/* The i-th instance of a service in the image's order; picks is crow_view_picks(). False if there
 * is none. */
bool crow_view_instance(const struct crow_view *view, const struct crow_view_service *service,
			uint32_t i, uint32_t picks, struct crow_view_instance *out);
/* Which part of the circle of picks the i-th instance has, 0 to 1. */
double crow_view_part(const struct crow_view *view, const struct crow_view_service *service,
		      uint32_t i);
/* How often DNS picked an instance of the service in the last minute, and how often any of them. */
uint32_t crow_view_picks_of(const struct crow_view *view, const struct crow_view_service *service,
			    const struct crow_snap_instance *snap);
uint32_t crow_view_picks(const struct crow_view *view, const struct crow_view_service *service);

/* An eye should fall on it: it is stale, has no list, or has instances that are down. */
bool crow_view_is_troubled(const struct crow_view_service *service);

/* Of its list: "good", "stale", or "waiting" for the first one. */
const char *crow_view_standing(const struct crow_view_service *service);

/* "up", "drained", "ejected" or "tombstone". */
const char *crow_view_state(uint8_t state);

/* The rule of /readyz: every service has a list in the image, or was asked for one. *waiting is how
 * many are neither. */
bool crow_view_is_ready(const struct crow_view *view, size_t *waiting);

/* A page of the services that match: those in trouble first, then by name. */
#define CROW_VIEW_PAGE 50u
struct crow_selection {
	size_t total;  /* that match */
	unsigned page; /* from 1; the last there is, if a later one was asked for */
	unsigned pages;
	size_t count;
	uint32_t services[CROW_VIEW_PAGE];
};

/* query: "" for all; an address, or address:port, for the services with such an instance; else a
 * part of a name, in any case. */
void crow_view_select(const struct crow_view *view, const char *query, unsigned page,
		      struct crow_selection *out);

#endif
