#include "resolver/utf8.h"

#include <stdbool.h>
#include <stdint.h>

/* The second byte alone tells overlong forms, surrogates and what lies beyond U+10FFFF from the
 * rest (RFC 3629, 4: the table of UTF8-2 to UTF8-4). */
static bool second_is_valid(uint8_t lead, uint8_t second)
{
	switch (lead) {
	case 0xe0:
		return second >= 0xa0 && second <= 0xbf;
	case 0xed:
		return second >= 0x80 && second <= 0x9f;
	case 0xf0:
		return second >= 0x90 && second <= 0xbf;
	case 0xf4:
		return second >= 0x80 && second <= 0x8f;
	default:
		return second >= 0x80 && second <= 0xbf;
	}
}

static size_t length_by_lead(uint8_t lead)
{
	if (lead < 0x80)
		return lead != 0;
	if (lead < 0xc2)
		return 0;
	if (lead < 0xe0)
		return 2;
	if (lead < 0xf0)
		return 3;
	return lead <= 0xf4 ? 4 : 0;
}

size_t crow_utf8_length(const char *text)
{
	const uint8_t *bytes = (const uint8_t *)text;
	size_t length = length_by_lead(bytes[0]);

	if (length < 2)
		return length;
	if (!second_is_valid(bytes[0], bytes[1]))
		return 0;
	/* A NUL is no continuation byte, so nothing behind it is looked at. */
	for (size_t i = 2; i < length; i++) {
		if ((bytes[i] & 0xc0) != 0x80)
			return 0;
	}
	return length;
}
