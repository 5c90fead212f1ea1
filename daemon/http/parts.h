/*
 * Parts of the page: an age in words, a state with its colour, a small curve. HTML; all that comes
 * from the network is escaped by crow_text_html().
 */
#ifndef CROW_HTTP_PARTS_H
#define CROW_HTTP_PARTS_H

#include "daemon/http/text.h"
#include "daemon/http/view.h"

/* With thin spaces between thousands: 100 000. */
void crow_part_number(struct crow_text *text, uint64_t value);

/* "12 s", "3 min", "2 h 5 min", "4 d 2 h"; in words, so that nobody reads 300 as minutes. */
void crow_part_age(struct crow_text *text, int64_t seconds);
/* The same since a moment; "never" if ever is false. */
void crow_part_since(struct crow_text *text, const struct crow_view *view, bool ever,
		     int64_t since_ns);

/* A dot in the state's colour and its word. */
void crow_part_state(struct crow_text *text, uint8_t state);
const char *crow_part_word(uint8_t state);
/* The same of an instance that is picked and may be in doubt. */
void crow_part_health(struct crow_text *text, uint8_t state, enum crow_health_state health);
/* How many instances are in which state, those with none left out. */
void crow_part_counts(struct crow_text *text, const struct crow_view_service *service);

/* The last ten minutes of a service: programs that had to go elsewhere; probes. */
void crow_part_failovers(struct crow_text *text, const struct crow_view *view, const char *service);
void crow_part_probes(struct crow_text *text, const struct crow_view *view, const char *service);

/* A part of the whole in per cent, and as a bar: asked as its frame, given (< 0: unknown) as what
 * fills it; most is the largest part that is shown in this table. */
void crow_part_share(struct crow_text *text, double asked, double given, double most);

/* Links to the other pages of a list; nothing if there is one page. path: where it is. */
void crow_part_pages(struct crow_text *text, const char *path, const char *service,
		     const char *query, unsigned page, unsigned pages);

#endif
