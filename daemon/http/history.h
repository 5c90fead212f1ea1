/*
 * What happened to services of late, for the small curves on the page: how often in each ten
 * seconds of the last ten minutes. Fixed memory: 0.6 kB for a service to which anything happened,
 * and so many of these. Main thread; the clock is passed in.
 */
#ifndef CROW_HTTP_HISTORY_H
#define CROW_HTTP_HISTORY_H

#include <stdint.h>

enum crow_history_kind {
	CROW_HISTORY_FAILOVERS, /* programs that had to go to another instance */
	CROW_HISTORY_PROBES_OK,
	CROW_HISTORY_PROBES_FAILED,
	CROW_HISTORY_KINDS
};

#define CROW_HISTORY_POINTS   60u
#define CROW_HISTORY_POINT_NS (10 * INT64_C(1000000000))
/* One more takes the place of the one to which nothing happened for longest. */
#define CROW_HISTORY_SERVICES 1024u

struct crow_history;

struct crow_history *crow_history_new(void); /* NULL: no memory */
void crow_history_free(struct crow_history *history);

/* Without memory nothing is noted. */
void crow_history_note(struct crow_history *history, const char *service,
		       enum crow_history_kind kind, int64_t now_ns);

/* The points, the oldest first, the last one still growing; their sum is returned. */
uint32_t crow_history_get(const struct crow_history *history, const char *service,
			  enum crow_history_kind kind, int64_t now_ns,
			  uint16_t points[CROW_HISTORY_POINTS]);

#endif
