#include "daemon/section.h"

#include <stdlib.h>
#include <string.h>

void crow_section_fini(struct crow_section *section)
{
	free(section->data);
}

void *crow_section_append(struct crow_section *section, size_t more)
{
	size_t needed = section->count + more;
	uint8_t *at;

	if (section->failed)
		return NULL;
	if (needed > section->capacity || section->data == NULL) {
		size_t capacity = needed + needed / 2 + 16;
		uint8_t *data = realloc(section->data, capacity * section->record);

		if (data == NULL) {
			section->failed = true;
			return NULL;
		}
		section->data = data;
		section->capacity = capacity;
	}
	at = section->data + section->count * section->record;
	memset(at, 0, more * section->record);
	section->count = needed;
	return at;
}
