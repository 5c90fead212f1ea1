/*
 * What is asked of an upstream, as bytes: always built anew, so that nothing of an asker's packet
 * but name, type, class, DO and CD gets there (no COOKIE, keepalive or padding, which are between
 * two neighbours: RFC 7873, 7828, 7830). Pure.
 */
#ifndef CROW_QUESTION_H
#define CROW_QUESTION_H

#include "daemon/dns/query.h"

/* Header, name, type and class, OPT. */
#define CROW_QUESTION_MAX (CROW_WIRE_HEADER + CROW_WIRE_NAME_MAX + 4 + 11)

/* Whether a name that is not ours may be asked of others at all. */
bool crow_question_is_forwarded(const struct crow_query *query);

/* The size of the query written to out. */
size_t crow_question_write(const struct crow_query *query, uint16_t id, bool edns,
			   uint8_t out[CROW_QUESTION_MAX]);

/* Draws the case of each letter of the name from bits (draft-vixie-dnsext-dns0x20): who forges a
 * reply has to guess it too. */
void crow_question_mix_case(struct crow_query *query, uint64_t (*bits)(void *context),
			    void *context);

/* Turns a dotted name and a type into the query that asks for it. */
void crow_question_make(struct crow_query *query, const char *name, uint16_t type);

#endif
