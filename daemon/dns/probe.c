#include "daemon/dns/probe.h"

#include <string.h>

#include "daemon/dns/question.h"

#define PREFIX "crowfly-"
#define SUFFIX ".test"
#define DIGITS 16
#define LENGTH (sizeof(PREFIX) - 1 + DIGITS + sizeof(SUFFIX) - 1)

#define TYPE_TXT 16

static void write_name(uint64_t probe, char name[LENGTH + 1])
{
	static const char digits[] = "0123456789abcdef";
	char *at = name + sizeof(PREFIX) - 1;

	memcpy(name, PREFIX, sizeof(PREFIX) - 1);
	for (unsigned i = 0; i < DIGITS; i++)
		*at++ = digits[probe >> (60 - 4 * i) & 15];
	memcpy(at, SUFFIX, sizeof(SUFFIX));
}

void crow_probe_make(uint64_t probe, struct crow_query *query)
{
	char name[LENGTH + 1];

	write_name(probe, name);
	crow_question_make(query, name, TYPE_TXT);
}

size_t crow_probe_find(const struct crow_upstreams *upstreams, const struct crow_query *query)
{
	char name[LENGTH + 1];

	if (query->text_size != LENGTH || memcmp(query->text, PREFIX, sizeof(PREFIX) - 1) != 0)
		return CROW_UPSTREAMS_MAX;
	for (size_t i = 0; i < upstreams->count; i++) {
		write_name(upstreams->items[i].probe, name);
		if (memcmp(query->text, name, LENGTH) == 0)
			return i;
	}
	return CROW_UPSTREAMS_MAX;
}
