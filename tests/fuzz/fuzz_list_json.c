/* What discovery answers: any bytes give a verdict, and a list that keeps the rules. */
#include <stdlib.h>

#include "daemon/list.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void check_list(const struct crow_list *list)
{
	bool pickable = false;

	for (size_t i = 0; i < list->count; i++) {
		const struct crow_item *item = &list->items[i];

		check(item->port != 0 && item->weight <= CROW_WEIGHT_MAX);
		check(item->app < list->app_count);
		check(crow_list_accepts(NULL, &item->addr));
		check(i == 0 || crow_item_compare(item - 1, item) < 0);
		pickable |= item->weight > 0;
	}
	check(pickable);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct crow_list_tally tally;
	struct crow_list list;
	enum crow_list_verdict verdict;

	crow_list_init(&list);
	verdict = crow_list_read_json(&list, (const char *)data, size, NULL, &tally);
	if (verdict == CROW_LIST_OK) {
		check_list(&list);
		check(list.count + tally.dropped + tally.outside + tally.merged == tally.seen);
	} else if (verdict != CROW_LIST_DRAINED) {
		check(list.count == 0 && !list.items && !list.apps);
	}
	crow_list_fini(&list);
	return 0;
}
