#include "resolver/name.h"

#include <string.h>

size_t crow_name_fold(const char *text, size_t len, char out[CROW_NAME_MAX + 1])
{
	if (len > 0 && text[len - 1] == '.')
		len--;
	if (len == 0 || len > CROW_NAME_MAX) {
		out[0] = '\0';
		return 0;
	}
	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		/* Not tolower(): its answer depends on the program's locale. */
		out[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
	}
	out[len] = '\0';
	return len;
}

static uint64_t mix(uint64_t hash, const char *bytes, size_t size)
{
	uint64_t word = 0;

	memcpy(&word, bytes, size);
	hash = (hash ^ word) * 0x9E3779B185EBCA87u; /* XXH64's (Collet) first prime */
	return hash ^ hash >> 32;
}

/* Eight bytes a step: a multiplication for each byte would be a tenth of a whole answer. The last
 * step of a long name takes some bytes again, so that its size is known to the compiler. */
uint64_t crow_name_hash(const char *folded, size_t len)
{
	uint64_t hash = len;
	size_t at = 0;

	for (; at + 8 < len; at += 8)
		hash = mix(hash, folded + at, 8);
	hash = len < 8 ? mix(hash, folded, len) : mix(hash, folded + len - 8, 8);
	/* Slots are chosen by the low bits, which the high ones of a product are to reach. */
	hash *= 0xC2B2AE3D27D4EB4Fu; /* XXH64's second prime */
	return hash ^ hash >> 29;
}

bool crow_name_is_below(const char *name, size_t len, const char *zone, size_t zone_len)
{
	if (zone_len == 0 || len < zone_len || memcmp(name + len - zone_len, zone, zone_len) != 0)
		return false;
	return len == zone_len || name[len - zone_len - 1] == '.';
}
