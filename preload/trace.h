/*
 * Lines on stderr for whoever set CROWFLY_LOG; without it the library never writes a byte. A line
 * is one write() without stdio, so that it may come from a signal handler and never mixes with
 * the program's own buffers. errno is kept.
 */
#ifndef CROW_TRACE_H
#define CROW_TRACE_H

#include "resolver/address.h"

enum crow_trace_level { CROW_TRACE_OFF, CROW_TRACE_ERROR, CROW_TRACE_INFO, CROW_TRACE_DEBUG };

/* "error", "info" or "debug"; NULL and anything else is off. Called by the constructor alone. */
void crow_trace_open(const char *level);
bool crow_trace_is_on(enum crow_trace_level level);

/* "crowfly: " and the words, which end with NULL, joined as they are. A line that is longer than
 * 400 bytes is cut. */
void crow_trace(enum crow_trace_level level, ...) __attribute__((sentinel));

/* "cannot reach 10.0.0.1:80 of SERVICE (refused after 0.2 ms), trying 10.0.0.2:80", at level
 * info. */
struct crow_trace_place {
	const struct crow_addr *addr;
	uint16_t port;
};
void crow_trace_redirect(const char *service, struct crow_trace_place from, int error,
			 int64_t elapsed_ns, struct crow_trace_place to);

#endif
