/*
 * Text for people: colour and cutting to the width on a terminal only, and never a control
 * character that came from a name.
 */
#ifndef CROW_TERM_H
#define CROW_TERM_H

#include <stdbool.h>
#include <stdio.h>

enum crow_tint { CROW_PLAIN, CROW_BOLD, CROW_GOOD, CROW_WARN, CROW_BAD };

struct crow_term {
	FILE *out;
	bool colour;
	unsigned columns; /* 0: no terminal, so nothing is cut */
};

/* Colour needs a terminal that is not TERM=dumb, and NO_COLOR empty or unset (no-color.org). */
void crow_term_init(struct crow_term *term, FILE *out);

/* Prints text, filled up to `width` columns with blanks. Control characters and what is not UTF-8
 * become '?'. Returns the columns used. */
unsigned crow_term_put(const struct crow_term *term, enum crow_tint tint, unsigned width,
		       const char *text);

/* Prints text from column `at` on, broken at blanks so that no line passes the terminal's last
 * column; the lines that follow begin at column `indent`. Returns the column behind it. */
unsigned crow_term_wrap(const struct crow_term *term, enum crow_tint tint, unsigned at,
			unsigned indent, const char *text);

/* As crow_term_put(), from column `at` on, but text that would pass the terminal's last one is cut. */
void crow_term_put_last(const struct crow_term *term, enum crow_tint tint, unsigned at,
			const char *text);

#endif
