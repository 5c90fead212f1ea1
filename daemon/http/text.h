/*
 * A text under construction. Its errors stick: whoever writes looks once, at the end.
 *
 * What comes from the network (names of services, labels, details) goes through %s of
 * crow_text_html() or through crow_text_label(), which escape; what stands in a format is ours.
 */
#ifndef CROW_TEXT_H
#define CROW_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/http/body.h"

/* All zero is an empty text. */
struct crow_text {
	char *bytes;
	size_t size, capacity;
	bool failed; /* no memory */
};

void crow_text_fini(struct crow_text *text);

/* As it is. */
void crow_text_put(struct crow_text *text, const char *raw);
void crow_text_put_bytes(struct crow_text *text, const char *bytes, size_t size);

/* HTML: the format is markup; of conversions there are %s (escaped for text and for attributes in
 * quotes; control characters and bytes that are not UTF-8 become U+FFFD), %u, %lu, %zu, %d, %ld,
 * %f with a precision, and %%. */
void crow_text_html(struct crow_text *text, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* A part of a path or an argument of a URL: all but letters, digits and -._~ percent-encoded. */
void crow_text_url(struct crow_text *text, const char *value);

/* A value to go between the quotes of a label in Prometheus' text format 0.0.4. */
void crow_text_label(struct crow_text *text, const char *value);

/* The text as a body, and the text is empty again. NULL: no memory. */
struct crow_body *crow_text_finish(struct crow_text *text);

#endif
