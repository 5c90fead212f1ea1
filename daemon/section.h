/*
 * A section of an image under construction: an array of records that grows, and that remembers that
 * memory ran out, so that whoever fills it asks once, at the end.
 */
#ifndef CROW_SECTION_H
#define CROW_SECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The caller's memory: zeroes and `record` make an empty one; data is freed by crow_section_fini(). */
struct crow_section {
	uint8_t *data;
	size_t record; /* bytes of one */
	size_t count, capacity;
	bool failed;
};

void crow_section_fini(struct crow_section *section);

/* Room for `more` records, zeroed, at the end; NULL without memory, then and ever after. Pointers
 * into the section are invalid afterwards. */
void *crow_section_append(struct crow_section *section, size_t more);

#endif
