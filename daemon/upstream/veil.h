/*
 * Names with bytes that host names do not have, such as those of DNS-SD (RFC 6763 4.1.1). c-ares
 * 1.34 refuses to write them. It is given each of these bytes as an x instead, and as it sends the
 * query they are put back. Pure.
 */
#ifndef CROW_VEIL_H
#define CROW_VEIL_H

#include "daemon/upstream/envelope.h"

struct crow_veil {
	struct crow_veil *next; /* of those under way; the owner's */
	size_t size;            /* of header and question */
	uint8_t bytes[CROW_ENVELOPE_MAX];
};

/* Hides what a host name does not have in the question, of which size bytes are header and question.
 * True: there was something. */
bool crow_veil_hide(uint8_t *message, size_t size);

/* Keeps what hiding takes away from a query. */
void crow_veil_init(struct crow_veil *veil, const uint8_t *query, size_t size);

/* The query is sent for the first time, hidden, with the id by which it is known from then on. */
void crow_veil_name(struct crow_veil *veil, const uint8_t *query, size_t size);

/* Puts back into a query what was hidden, if it is one of a list's. */
void crow_veil_lift(const struct crow_veil *first, uint8_t *query, size_t size);
/* The same for the frames of a connection. The size of those that are whole. */
size_t crow_veil_lift_frames(const struct crow_veil *first, uint8_t *frames, size_t size);

#endif
