/*
 * A message from anywhere: what c-ares is shown of it holds its id, question and nothing else, and
 * what the veil hides comes back.
 */
#include <string.h>

#include "daemon/upstream/veil.h"
#include "tests/fuzz/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_host_character(uint8_t byte)
{
	return strchr("-_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", byte);
}

static void check_name(const uint8_t *envelope, size_t size)
{
	size_t at = CROW_ENVELOPE_HEADER;

	while (envelope[at] > 0) {
		size_t end = at + 1 + envelope[at];

		MUST(envelope[at] < 64 && end < size);
		while (++at < end)
			MUST(envelope[at] != 0 && is_host_character(envelope[at]));
	}
	MUST(at + 1 + 4 == size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t envelope[CROW_ENVELOPE_MAX], query[CROW_ENVELOPE_MAX];
	size_t shown = crow_envelope_write(data, size, false, envelope);
	struct crow_veil veil;

	MUST(shown == crow_envelope_size(data, size));
	if (shown == 0)
		return 0;
	MUST(memcmp(envelope, data, 2) == 0);
	MUST(crow_envelope_size(envelope, shown) == shown);
	check_name(envelope, shown);
	crow_veil_init(&veil, data, size);
	memcpy(query, data, shown);
	crow_veil_hide(query, shown);
	MUST(memcmp(query + CROW_ENVELOPE_HEADER, envelope + CROW_ENVELOPE_HEADER,
		    shown - CROW_ENVELOPE_HEADER) == 0);
	crow_veil_lift(&veil, query, shown);
	MUST(memcmp(query, data, shown) == 0);
	return 0;
}
