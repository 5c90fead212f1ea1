/* The rules for lists. Pure: no clock, no log, no counter. */
#include "daemon/list.h"

#include <float.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "resolver/name.h"

/* A Kubernetes name has at most 63 characters, a label value too; twice that, rounded up. */
#define LABEL_MAX 128

/* An index into apps is 16 bits wide, so there are 65535 labels beside the empty one. */
#define APPS_MAX 65536u

/* A label that finds no place within this many slots of a half-empty table met hostile collisions,
 * not chance. It is given up: labels are for show, and adding one must not become linear. */
#define PROBES_MAX 128

void crow_list_init(struct crow_list *list)
{
	memset(list, 0, sizeof(*list));
}

void crow_list_fini(struct crow_list *list)
{
	for (size_t i = 0; i < list->app_count; i++)
		free(list->apps[i]);
	free(list->apps);
	free(list->app_slots);
	free(list->items);
	crow_list_init(list);
}

int crow_item_compare(const struct crow_item *a, const struct crow_item *b)
{
	bool a_is_v4 = crow_addr_is_v4(&a->addr);
	bool b_is_v4 = crow_addr_is_v4(&b->addr);
	int order;

	if (a_is_v4 != b_is_v4)
		return a_is_v4 ? -1 : 1;
	order = crow_addr_compare(&a->addr, &b->addr);
	return order ? order : (int)a->port - (int)b->port;
}

/* Labels and addresses are foreign text that ends up in logs, JSON and pages: what is not printable
 * ASCII could move a terminal's cursor or be no UTF-8. */
static void make_printable(char *text)
{
	for (; *text; text++) {
		if (*text < 0x20 || *text > 0x7e)
			*text = '?';
	}
}

/* The slot of a label, or the free one where it belongs; NULL if it has no place. */
static uint32_t *find_slot(const struct crow_list *list, const char *label)
{
	size_t mask = list->app_slot_count - 1;
	size_t at = crow_name_hash(label, strlen(label)) & mask;

	for (size_t probe = 0; probe < PROBES_MAX && probe <= mask; probe++) {
		uint32_t *slot = &list->app_slots[(at + probe) & mask];

		if (*slot == 0 || strcmp(list->apps[*slot - 1], label) == 0)
			return slot;
	}
	return NULL;
}

/* Makes room for one more label: there are two slots for each place in apps. */
static bool reserve_app(struct crow_list *list)
{
	size_t slots = 16;
	char **apps;
	uint32_t *new_slots;

	if (list->app_count < list->app_slot_count / 2)
		return true;
	while (slots / 2 <= list->app_count)
		slots *= 2;
	apps = realloc(list->apps, slots / 2 * sizeof(*apps));
	if (!apps)
		return false;
	list->apps = apps;
	new_slots = calloc(slots, sizeof(*new_slots));
	if (!new_slots)
		return false;
	free(list->app_slots);
	list->app_slots = new_slots;
	list->app_slot_count = slots;
	for (size_t i = 0; i < list->app_count; i++) {
		uint32_t *slot = find_slot(list, apps[i]);

		if (slot)
			*slot = (uint32_t)i + 1;
	}
	return true;
}

static bool intern(struct crow_list *list, const char *label, uint16_t *index)
{
	uint32_t *slot;

	*index = 0;
	if (!reserve_app(list))
		return false;
	slot = find_slot(list, label);
	if (slot && *slot == 0 && list->app_count < APPS_MAX) {
		char *copy = strdup(label);

		if (!copy)
			return false;
		list->apps[list->app_count++] = copy;
		*slot = (uint32_t)list->app_count;
	}
	if (slot && *slot)
		*index = (uint16_t)(*slot - 1);
	return true;
}

static bool intern_app(struct crow_list *list, const char *app, uint16_t *index)
{
	char label[LABEL_MAX + 1];

	if (list->app_count == 0 && !intern(list, "", index))
		return false;
	snprintf(label, sizeof(label), "%.*s", LABEL_MAX, app ? app : "");
	make_printable(label);
	return intern(list, label, index);
}

static bool reserve_item(struct crow_list *list)
{
	size_t capacity = list->capacity ? list->capacity * 2 : 16;
	struct crow_item *items;

	if (list->count < list->capacity)
		return true;
	items = realloc(list->items, capacity * sizeof(*items));
	if (!items)
		return false;
	list->items = items;
	list->capacity = capacity;
	return true;
}

bool crow_list_append(struct crow_list *list, const struct crow_addr *addr, uint16_t port,
		      uint32_t weight, const char *app)
{
	uint16_t index;

	if (!reserve_item(list) || !intern_app(list, app, &index))
		return false;
	list->items[list->count++] = (struct crow_item){
		.addr = *addr,
		.port = port,
		.app = index,
		.weight = weight,
	};
	return true;
}

__attribute__((format(printf, 2, 0))) static void explain(struct crow_list_tally *tally,
							  const char *format, va_list arguments)
{
	size_t size = sizeof(tally->example);
	int prefix;

	if (tally->example[0])
		return;
	prefix = snprintf(tally->example, size, "item %zu: ", tally->seen);
	vsnprintf(tally->example + prefix, size - (size_t)prefix, format, arguments);
	make_printable(tally->example);
}

void crow_list_drop(struct crow_list_tally *tally, const char *format, ...)
{
	va_list arguments;

	tally->seen++;
	tally->dropped++;
	va_start(arguments, format);
	explain(tally, format, arguments);
	va_end(arguments);
}

__attribute__((format(printf, 2, 3))) static void leave_outside(struct crow_list_tally *tally,
								const char *format, ...)
{
	va_list arguments;

	tally->seen++;
	tally->outside++;
	va_start(arguments, format);
	explain(tally, format, arguments);
	va_end(arguments);
}

void crow_list_explain(const struct crow_list_tally *tally, const char *source,
		       char out[CROW_LIST_REASON])
{
	if (tally->outside == 0)
		snprintf(out, CROW_LIST_REASON, "%s", tally->example);
	else if (strcmp(source, CROW_COMMAND_LINE_SOURCE) == 0)
		snprintf(out, CROW_LIST_REASON,
			 "%s; if its instances are there, start crowflyd with --accept and all "
			 "networks that they are in",
			 tally->example);
	else
		snprintf(out, CROW_LIST_REASON,
			 "%s; if its instances are there, give [source %s] a line accept= with all "
			 "networks that they are in",
			 tally->example, source);
}

/* Rounded, but a weight above 0 stays above 0: only 0 itself means drained. */
static uint32_t round_weight(double weight)
{
	if (weight >= CROW_WEIGHT_MAX)
		return CROW_WEIGHT_MAX;
	if (weight > 0 && weight < 1)
		return 1;
	return (uint32_t)(weight + 0.5);
}

bool crow_list_add(struct crow_list *list, const struct crow_cidrs *accept, const char *ip,
		   int64_t port, double weight, const char *app, struct crow_list_tally *tally)
{
	struct crow_addr addr;

	if (!crow_addr_parse(ip, strlen(ip), &addr)) {
		crow_list_drop(tally, "\"%.64s\" is not an address", ip);
		return true;
	}
	if (port < 1 || port > UINT16_MAX) {
		crow_list_drop(tally, "port %lld of %s is not from 1 to 65535", (long long)port,
			       ip);
		return true;
	}
	/* Asked this way round so that NaN fails too. */
	if (!(weight >= 0 && weight <= DBL_MAX)) {
		crow_list_drop(tally, "weight %g of %s is no weight", weight, ip);
		return true;
	}
	if (!crow_list_accepts(accept, &addr)) {
		leave_outside(tally, "%s is not covered by `accept`", ip);
		return true;
	}
	tally->seen++;
	if (weight > CROW_WEIGHT_MAX)
		tally->clamped++;
	return crow_list_append(list, &addr, (uint16_t)port, round_weight(weight), app);
}

static bool is_sorted(const struct crow_list *list)
{
	for (size_t i = 1; i < list->count; i++) {
		if (crow_item_compare(&list->items[i - 1], &list->items[i]) >= 0)
			return false;
	}
	return true;
}

/* qsort() promises nothing about equal elements, and of those the last one must win. */
struct placed {
	struct crow_item item;
	uint32_t place;
};

static int compare_placed(const void *left, const void *right)
{
	const struct placed *a = left, *b = right;
	int order = crow_item_compare(&a->item, &b->item);

	if (order)
		return order;
	return a->place < b->place ? -1 : a->place > b->place;
}

static bool sort_and_merge(struct crow_list *list, struct crow_list_tally *tally)
{
	struct placed *placed;
	size_t count = 0;

	if (is_sorted(list))
		return true;
	placed = malloc(list->count * sizeof(*placed));
	if (!placed)
		return false;
	for (size_t i = 0; i < list->count; i++)
		placed[i] = (struct placed){.item = list->items[i], .place = (uint32_t)i};
	qsort(placed, list->count, sizeof(*placed), compare_placed);
	for (size_t i = 0; i < list->count; i++) {
		bool last = i + 1 == list->count ||
			    crow_item_compare(&placed[i].item, &placed[i + 1].item) != 0;

		if (last)
			list->items[count++] = placed[i].item;
		else
			tally->merged++;
	}
	list->count = count;
	free(placed);
	return true;
}

/* What was only needed for adding. A list lives for hours: its slack is given back. */
static void trim(struct crow_list *list)
{
	struct crow_item *items = realloc(list->items, list->count * sizeof(*items));

	if (items) {
		list->items = items;
		list->capacity = list->count;
	}
	free(list->app_slots);
	list->app_slots = NULL;
	list->app_slot_count = 0;
}

static bool is_drained(const struct crow_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		if (list->items[i].weight > 0)
			return false;
	}
	return true;
}

static enum crow_list_verdict judge(struct crow_list *list, struct crow_list_tally *tally)
{
	if (tally->seen == 0)
		return CROW_LIST_EMPTY;
	if (tally->seen > CROW_LIST_MAX)
		return CROW_LIST_OVERSIZE;
	if (tally->dropped + tally->outside > tally->seen / 2)
		return CROW_LIST_REFUSED;
	if (!sort_and_merge(list, tally))
		return CROW_LIST_NO_MEMORY;
	return is_drained(list) ? CROW_LIST_DRAINED : CROW_LIST_OK;
}

enum crow_list_verdict crow_list_finish(struct crow_list *list, struct crow_list_tally *tally)
{
	enum crow_list_verdict verdict = judge(list, tally);

	if (verdict == CROW_LIST_OK || verdict == CROW_LIST_DRAINED)
		trim(list);
	else
		crow_list_fini(list);
	return verdict;
}

size_t crow_list_find(const struct crow_list *list, const struct crow_addr *addr, uint16_t port)
{
	const struct crow_item key = {.addr = *addr, .port = port};
	size_t low = 0, high = list->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = crow_item_compare(&list->items[middle], &key);

		if (order == 0)
			return middle;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return list->count;
}

bool crow_list_equal(const struct crow_list *a, const struct crow_list *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		const struct crow_item *x = &a->items[i], *y = &b->items[i];

		if (crow_item_compare(x, y) != 0 || x->weight != y->weight)
			return false;
		if (strcmp(a->apps[x->app], b->apps[y->app]) != 0)
			return false;
	}
	return true;
}

static bool is_ordinary_v4(const uint8_t *bytes)
{
	bool this_network = bytes[0] == 0;
	bool loopback = bytes[0] == 127;
	bool link_local = bytes[0] == 169 && bytes[1] == 254;
	bool multicast = (bytes[0] & 0xf0) == 0xe0;

	return !this_network && !loopback && !link_local && !multicast;
}

static bool is_ordinary_v6(const uint8_t *bytes)
{
	static const uint8_t zeros[15];
	bool unspecified_or_loopback = memcmp(bytes, zeros, 15) == 0 && bytes[15] <= 1;
	bool link_local = bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80;
	bool multicast = bytes[0] == 0xff;

	return !unspecified_or_loopback && !link_local && !multicast;
}

bool crow_list_accepts(const struct crow_cidrs *accept, const struct crow_addr *addr)
{
	if (!accept || accept->count == 0)
		return crow_addr_is_v4(addr) ? is_ordinary_v4(crow_addr_v4_bytes(addr))
					     : is_ordinary_v6(addr->bytes);
	for (size_t i = 0; i < accept->count; i++) {
		if (crow_cidr_contains(&accept->items[i], addr))
			return true;
	}
	return false;
}

const char *crow_list_strverdict(enum crow_list_verdict verdict)
{
	switch (verdict) {
	case CROW_LIST_OK:
		return "a good list";
	case CROW_LIST_EMPTY:
		return "a list without items";
	case CROW_LIST_DRAINED:
		return "a list whose weights are all 0";
	case CROW_LIST_REFUSED:
		return "a list of which more than half is bad";
	case CROW_LIST_MALFORMED:
		return "not a list";
	case CROW_LIST_OVERSIZE:
		return "a list that is too large";
	case CROW_LIST_NO_MEMORY:
		return "a list for which there is no memory";
	}
	return "an unknown verdict";
}
