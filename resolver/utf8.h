/*
 * Names and labels come from discovery and may hold any bytes; JSON and terminals want UTF-8.
 */
#ifndef CROW_UTF8_H
#define CROW_UTF8_H

#include <stddef.h>

/* The length (1 to 4) of the well-formed UTF-8 sequence (RFC 3629) that text, NUL-terminated,
 * starts with; 0 if it starts with none, and at the NUL. */
size_t crow_utf8_length(const char *text);

#endif
