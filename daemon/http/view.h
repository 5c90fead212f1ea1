/*
 * What the page, the status and the metrics tell of a service, said once so that they cannot
 * disagree: who is shown, in which order, and what each word means. Borrows all that it shows;
 * valid for one turn of the loop.
 */
#ifndef CROW_HTTP_VIEW_H
#define CROW_HTTP_VIEW_H

#include "daemon/table.h"
#include "resolver/image.h"

struct crow_view {
	const struct crow_image *img;
	const struct crow_table *table;
	int64_t now_ns;
	int64_t started_ns; /* when this daemon started */
};

struct crow_view_service {
	uint32_t index; /* in the image */
	const struct crow_snap_service *snap;
	/* The daemon's own record. NULL: a reload has just removed it, and the image lags behind. */
	const struct crow_service *polled;
	const char *name, *source, *zone;
	uint32_t up, drained, ejected, tombstones;
	bool stale;
};

/* False if the index is out of range. */
bool crow_view_service(const struct crow_view *view, uint32_t index, struct crow_view_service *out);
/* The service of that very name. */
bool crow_view_find(const struct crow_view *view, const char *name, struct crow_view_service *out);

/* An eye should fall on it: it is stale, has no list, or has instances ejected. */
bool crow_view_is_troubled(const struct crow_view_service *service);

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
