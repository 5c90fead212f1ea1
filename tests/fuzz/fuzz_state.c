/*
 * A state file: any bytes are refused with a reason, or are a list that may serve. Since the
 * checksum would keep a fuzzer out, the bytes are read twice: as they are, and with a last line
 * that vouches for them.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void parse(const char *bytes, size_t size)
{
	struct crow_state state;
	const struct crow_list *list = &state.list;
	const char *why = NULL;

	if (crow_state_parse(bytes, size, &state, &why)) {
		check(!why && state.service[0] && state.source[0] && state.taken_wall_s >= 0 &&
		      list->count > 0);
		for (size_t i = 0; i < list->count; i++) {
			check(list->items[i].port != 0);
			check(list->items[i].app < list->app_count);
			check(i == 0 ||
			      crow_item_compare(&list->items[i - 1], &list->items[i]) < 0);
		}
	} else {
		check(why && list->count == 0 && !list->items);
	}
	crow_list_fini(&state.list);
}

static uint64_t fnv1a(const char *bytes, size_t size)
{
	uint64_t sum = UINT64_C(14695981039346656037);

	for (size_t i = 0; i < size; i++)
		sum = (sum ^ (uint8_t)bytes[i]) * UINT64_C(1099511628211);
	return sum;
}

/* As many lines as there are behind the first four, which are no instances. */
static size_t count_items(const char *bytes, size_t size)
{
	size_t lines = 0;

	for (size_t i = 0; i < size; i++)
		lines += bytes[i] == '\n';
	return lines > 4 ? lines - 4 : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 64);
	int trailer;

	if (!text)
		return 0;
	memcpy(text, data, size);
	trailer = snprintf(text + size, 64, "end %zu %016" PRIx64 "\n", count_items(text, size),
			   fnv1a(text, size));
	parse((const char *)data, size);
	parse(text, size + (size_t)trailer);
	free(text);
	return 0;
}
