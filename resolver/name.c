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

uint64_t crow_name_hash(const char *folded, size_t len)
{
	uint64_t hash = 0xcbf29ce484222325u; /* FNV's offset basis */

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (uint8_t)folded[i]) * 0x100000001b3u; /* FNV's prime */
	/* FNV's low bits see little of the last byte, and slots are chosen by the low bits. */
	return hash ^ hash >> 32;
}

bool crow_name_is_below(const char *name, size_t len, const char *zone, size_t zone_len)
{
	if (zone_len == 0 || len < zone_len || memcmp(name + len - zone_len, zone, zone_len) != 0)
		return false;
	return len == zone_len || name[len - zone_len - 1] == '.';
}
