#include "daemon/http/history.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct ring {
	char *name;
	int64_t last; /* number of the ten seconds in which something last happened */
	uint16_t points[CROW_HISTORY_KINDS][CROW_HISTORY_POINTS]; /* by number % POINTS */
};

struct crow_history {
	struct ring *rings[CROW_HISTORY_SERVICES]; /* sorted by name */
	size_t count;
};

struct crow_history *crow_history_new(void)
{
	return calloc(1, sizeof(struct crow_history));
}

static void ring_free(struct ring *ring)
{
	if (ring)
		free(ring->name);
	free(ring);
}

void crow_history_free(struct crow_history *history)
{
	if (!history)
		return;
	for (size_t i = 0; i < history->count; i++)
		ring_free(history->rings[i]);
	free(history);
}

/* The place of the first ring whose name is not below `name`. */
static size_t lower_bound(const struct crow_history *history, const char *name)
{
	size_t low = 0, high = history->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(history->rings[middle]->name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct ring *find(const struct crow_history *history, const char *name)
{
	size_t at = lower_bound(history, name);

	if (at == history->count || strcmp(history->rings[at]->name, name) != 0)
		return NULL;
	return history->rings[at];
}

static void drop_oldest(struct crow_history *history)
{
	size_t oldest = 0;

	for (size_t i = 1; i < history->count; i++)
		if (history->rings[i]->last < history->rings[oldest]->last)
			oldest = i;
	ring_free(history->rings[oldest]);
	history->count--;
	memmove(&history->rings[oldest], &history->rings[oldest + 1],
		(history->count - oldest) * sizeof(struct ring *));
}

static struct ring *add(struct crow_history *history, const char *name)
{
	struct ring *ring = calloc(1, sizeof(*ring));
	size_t at;

	if (!ring || !(ring->name = strdup(name))) {
		ring_free(ring);
		return NULL;
	}
	if (history->count == CROW_HISTORY_SERVICES)
		drop_oldest(history);
	at = lower_bound(history, name);
	memmove(&history->rings[at + 1], &history->rings[at],
		(history->count - at) * sizeof(struct ring *));
	history->rings[at] = ring;
	history->count++;
	return ring;
}

/* Clears what lies between the last event and this one. */
static void advance(struct ring *ring, int64_t number)
{
	int64_t from = ring->last + 1, points = CROW_HISTORY_POINTS;

	if (from < number - points + 1)
		from = number - points + 1;
	for (; from <= number; from++)
		for (int kind = 0; kind < CROW_HISTORY_KINDS; kind++)
			ring->points[kind][from % points] = 0;
	if (ring->last < number)
		ring->last = number;
}

void crow_history_note(struct crow_history *history, const char *service,
		       enum crow_history_kind kind, int64_t now_ns)
{
	int64_t number = now_ns / CROW_HISTORY_POINT_NS;
	struct ring *ring = find(history, service);
	uint16_t *point;

	if (!ring)
		ring = add(history, service);
	if (!ring)
		return;
	advance(ring, number);
	point = &ring->points[kind][number % CROW_HISTORY_POINTS];
	*point += *point < UINT16_MAX;
}

uint32_t crow_history_get(const struct crow_history *history, const char *service,
			  enum crow_history_kind kind, int64_t now_ns,
			  uint16_t points[CROW_HISTORY_POINTS])
{
	const int64_t count = CROW_HISTORY_POINTS;
	int64_t first = now_ns / CROW_HISTORY_POINT_NS - count + 1;
	const struct ring *ring = find(history, service);
	uint32_t sum = 0;

	memset(points, 0, CROW_HISTORY_POINTS * sizeof(*points));
	for (int64_t i = 0; ring && i < count; i++) {
		int64_t number = first + i;

		/* `number` may be below 0 in the first ten minutes after a boot. */
		if (number >= 0 && number <= ring->last && number > ring->last - count)
			points[i] = ring->points[kind][number % count];
		sum += points[i];
	}
	return sum;
}
