#include "daemon/given.h"

#include <stdlib.h>
#include <string.h>

#include "resolver/name.h"

#define MINUTE_NS (60 * INT64_C(1000000000))

/* The first size of the table, in entries. */
#define SMALLEST 64

struct entry {
	struct crow_addr addr;
	uint16_t port; /* 0: free */
	uint32_t this_minute, last_minute;
	uint64_t service; /* the hash of its name */
	int64_t minute;   /* which one is this_minute: its number since the clock's start */
};

/* Open addressing. Entries that say nothing any more go when the table would grow. */
struct crow_given {
	struct entry *entries;
	size_t capacity; /* 0, or a power of two */
	size_t used;
	crow_given_hook *on_named;
	void *context;
};

struct crow_given *crow_given_new(void)
{
	return calloc(1, sizeof(struct crow_given));
}

void crow_given_free(struct crow_given *given)
{
	if (given != NULL)
		free(given->entries);
	free(given);
}

void crow_given_mark_init(struct crow_given_mark *marks, const struct crow_snap_instance *instances,
			  size_t count)
{
	memset(marks, 0, count * sizeof(*marks));
	for (size_t i = 0; i < count; i++)
		if (crow_addr_is_v4(&instances[i].addr))
			memcpy(marks[i].v4, crow_addr_v4_bytes(&instances[i].addr),
			       sizeof(marks[i].v4));
}

void crow_given_watch(struct crow_given *given, crow_given_hook *on_named, void *context)
{
	given->on_named = on_named;
	given->context = context;
}

static bool is_same(const struct entry *a, const struct entry *b)
{
	return a->port == b->port && a->service == b->service &&
	       crow_addr_equal(&a->addr, &b->addr);
}

static size_t place_of(const struct entry *key)
{
	return crow_addr_hash(&key->addr) ^ key->service ^ key->port;
}

/* The entry of a key, or the free one where it belongs. There is always a free one. */
static struct entry *find(struct entry *entries, size_t capacity, const struct entry *key)
{
	size_t at = place_of(key);

	for (;; at++) {
		struct entry *entry = &entries[at & (capacity - 1)];

		if (entry->port == 0 || is_same(entry, key))
			return entry;
	}
}

/* Brings an entry to the minute of now. */
static void turn(struct entry *entry, int64_t minute)
{
	if (entry->minute == minute)
		return;
	entry->last_minute = entry->minute + 1 == minute ? entry->this_minute : 0;
	entry->this_minute = 0;
	entry->minute = minute;
}

static size_t count_recent(const struct crow_given *given, int64_t minute)
{
	size_t count = 0;

	for (size_t i = 0; i < given->capacity; i++)
		count += given->entries[i].port != 0 && given->entries[i].minute + 1 >= minute;
	return count;
}

/* Room for one more: at least a third of the entries stay free. */
static bool make_room(struct crow_given *given, int64_t minute)
{
	size_t capacity = SMALLEST;
	struct entry *entries;

	if ((given->used + 1) * 3 <= given->capacity * 2)
		return true;
	while ((count_recent(given, minute) + 1) * 2 > capacity)
		capacity *= 2;
	entries = calloc(capacity, sizeof(*entries));
	if (entries == NULL)
		return false;
	given->used = 0;
	for (size_t i = 0; i < given->capacity; i++) {
		const struct entry *old = &given->entries[i];

		if (old->port == 0 || old->minute + 1 < minute)
			continue;
		*find(entries, capacity, old) = *old;
		given->used++;
	}
	free(given->entries);
	given->entries = entries;
	given->capacity = capacity;
	return true;
}

static struct entry key_of(const char *service, const struct crow_addr *addr, uint16_t port)
{
	return (struct entry){
		.addr = *addr, .port = port, .service = crow_name_hash(service, strlen(service))};
}

/* Adds picks to the entry of a key, which is made if it is missing. */
static void count(struct crow_given *given, const struct entry *key, uint32_t picks, int64_t minute)
{
	struct entry *entry;

	if (!make_room(given, minute))
		return;
	entry = find(given->entries, given->capacity, key);
	if (entry->port == 0) {
		*entry = *key;
		entry->minute = minute;
		given->used++;
	}
	turn(entry, minute);
	entry->this_minute += picks;
}

/* Instances that were named, on their way from the marks to their entries. Those lie anywhere in
 * memory: some at a time, so that the processor fetches them side by side. */
#define WINDOW 16

struct window {
	const struct crow_snap_instance *instances[WINDOW];
	struct entry keys[WINDOW];
	uint32_t picks[WINDOW];
	size_t count;
	uint32_t service; /* of the last one, and the hash of its name */
	uint64_t service_hash;
};

static void empty(struct crow_given *given, struct window *window, int64_t now_ns)
{
	for (size_t i = 0; i < window->count; i++) {
		count(given, &window->keys[i], window->picks[i], now_ns / MINUTE_NS);
		if (given->on_named != NULL)
			given->on_named(given->context, window->instances[i], now_ns);
	}
	window->count = 0;
}

static void take(struct crow_given *given, struct window *window, const struct crow_image *img,
		 const struct crow_snap_instance *instance, uint32_t picks)
{
	const struct crow_snap_service *service = crow_image_service(img, instance->service);
	struct entry *key = &window->keys[window->count];

	if (service == NULL || instance->port == 0)
		return;
	if (window->service != instance->service) {
		const char *name = crow_image_string(img, service->name);

		window->service = instance->service;
		window->service_hash = crow_name_hash(name, strlen(name));
	}
	*key = (struct entry){
		.addr = instance->addr, .port = instance->port, .service = window->service_hash};
	if (given->capacity > 0)
		__builtin_prefetch(&given->entries[place_of(key) & (given->capacity - 1)], 1);
	window->instances[window->count] = instance;
	window->picks[window->count++] = picks;
}

void crow_given_sweep(struct crow_given *given, const struct crow_image *img,
		      struct crow_given_mark *marks, int64_t now_ns)
{
	uint32_t instances = img->header == NULL ? 0 : img->header->instances.count;
	struct window window = {.count = 0, .service = CROW_SNAP_NONE};

	for (uint32_t i = 0; i < instances; i++) {
		uint32_t mark;

		/* A load of all, an exchange of those few that were named. */
		if (atomic_load_explicit(&marks[i].named, memory_order_relaxed) == 0)
			continue;
		mark = atomic_exchange_explicit(&marks[i].named, 0, memory_order_relaxed);
		take(given, &window, img, &img->instances[i], mark / 2);
		if (window.count == WINDOW)
			empty(given, &window, now_ns);
	}
	empty(given, &window, now_ns);
}

uint32_t crow_given_last_minute(const struct crow_given *given, const char *service,
				const struct crow_addr *addr, uint16_t port, int64_t now_ns)
{
	struct entry key = key_of(service, addr, port);
	int64_t left_ns = MINUTE_NS - now_ns % MINUTE_NS;
	struct entry entry;

	if (given->capacity == 0 || port == 0)
		return 0;
	entry = *find(given->entries, given->capacity, &key);
	if (entry.port == 0)
		return 0;
	turn(&entry, now_ns / MINUTE_NS);
	return entry.this_minute +
	       (uint32_t)((double)entry.last_minute * (double)left_ns / (double)MINUTE_NS);
}
