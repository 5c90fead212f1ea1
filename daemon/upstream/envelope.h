/*
 * What c-ares is shown of a reply: whom it is for, and whether it is cut. The reply itself is not
 * for it. c-ares 1.34 reads every record and ends all that is asked over a socket if one of them is
 * malformed, builds the reply anew, and learns from it how long it waits and whether it sends OPT;
 * 1.18 does none of this. Pure.
 */
#ifndef CROW_ENVELOPE_H
#define CROW_ENVELOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* RFC 1035 4.1.1 and 2.3.4: the header; the longest name, its type and class; a bare OPT record. */
#define CROW_ENVELOPE_HEADER 12
#define CROW_ENVELOPE_MAX    (CROW_ENVELOPE_HEADER + 255 + 4)
#define CROW_ENVELOPE_OPT    11

/* The size of a message's header and question. 0: there is not one question, and its whole. */
size_t crow_envelope_size(const uint8_t *message, size_t size);
/* Writes what is shown of a reply, under a veil (veil.h); cut: more than may come by UDP. Its size; 0:
 * it names no question, and might be anybody's. */
size_t crow_envelope_write(const uint8_t *reply, size_t size, bool cut,
			   uint8_t out[CROW_ENVELOPE_MAX]);

#endif
