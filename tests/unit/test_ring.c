/* The ring of records against a model: a plain array of what was put. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/dns/ring.h"

#define KEYS      400
#define VALUE_MAX 3000
#define BUCKETS   64 /* fewer than records, so that chains are long */

struct model {
	struct crow_ring ring;
	uint8_t *bytes;
	uint32_t buckets[BUCKETS];
	size_t live;
	struct {
		bool live, used;
		size_t size;
		uint8_t fill;
	} of[KEYS];
};

static void model_init(struct model *m, size_t size)
{
	memset(m, 0, sizeof(*m));
	m->bytes = malloc(size);
	assert_non_null(m->bytes);
	crow_ring_init(&m->ring, m->bytes, size, m->buckets, BUCKETS);
}

static size_t make_key(uint32_t number, char key[16])
{
	return (size_t)snprintf(key, 16, "%0*u", 1 + (int)(number % 9), number);
}

/* Bad on purpose: many keys have the same. */
static uint64_t hash_of(uint32_t number)
{
	return number % 97;
}

static struct crow_ring_record *find(const struct model *m, uint32_t number)
{
	char key[16];

	return crow_ring_find(&m->ring, hash_of(number), key, make_key(number, key));
}

/* Records stand one behind another, and the index leads to exactly those that live. */
static void check_structure(const struct model *m)
{
	const struct crow_ring *ring = &m->ring;
	size_t live = 0, listed = 0, at = 0;

	assert_true(ring->gap_at <= ring->gap_end && ring->gap_end <= ring->top &&
		    ring->top <= ring->size);
	while (at < ring->top) {
		const struct crow_ring_record *record = (const void *)(ring->bytes + at);

		if (at == ring->gap_at && at < ring->gap_end) {
			at = ring->gap_end;
			continue;
		}
		assert_true(record->size > 0 && record->size % CROW_RING_UNIT == 0);
		live += record->live;
		at += record->size;
		assert_true(at <= ring->gap_at || at > ring->gap_end);
	}
	assert_int_equal(at, ring->top);
	for (size_t i = 0; i < BUCKETS; i++)
		for (uint32_t place = ring->buckets[i]; place != UINT32_MAX; listed++) {
			const struct crow_ring_record *record =
				(const void *)(ring->bytes + (size_t)place * CROW_RING_UNIT);

			assert_true(record->live && record->hash % BUCKETS == i);
			place = record->next;
		}
	assert_int_equal(live, m->live);
	assert_int_equal(listed, m->live);
}

/* Each byte equals the one before, and the first is the fill. */
static bool is_filled(const uint8_t *value, size_t size, uint8_t fill)
{
	return size == 0 || (value[0] == fill && memcmp(value, value + 1, size - 1) == 0);
}

/* What the model thinks alive is there to the byte, or was evicted; returns how many were. */
static unsigned check_contents(struct model *m)
{
	unsigned evicted = 0;

	for (uint32_t i = 0; i < KEYS; i++) {
		struct crow_ring_record *record = find(m, i);

		if (!record) {
			evicted += m->of[i].live;
			m->of[i].live = false;
			continue;
		}
		assert_true(m->of[i].live);
		assert_true(is_filled(crow_ring_value(record), m->of[i].size, m->of[i].fill));
	}
	return evicted;
}

static void put(struct model *m, uint32_t number, size_t size, uint8_t fill)
{
	struct crow_ring_record *record;
	unsigned evicted;
	char key[16];

	record = crow_ring_put(&m->ring, hash_of(number), key, make_key(number, key), size,
			       &evicted);
	memset(crow_ring_value(record), fill, size);
	m->live += !m->of[number].live;
	m->of[number].live = true;
	m->of[number].size = size;
	m->of[number].fill = fill;
	m->live -= evicted;
	assert_int_equal(check_contents(m), evicted);
	check_structure(m);
	/* Twice the record in the smallest ones, since the end of the ring may not hold it. */
	assert_true(evicted <= 2 * record->size / crow_ring_record_size(1, 1) + 1);
}

static void play(unsigned seed, size_t size, unsigned steps)
{
	struct model *m = malloc(sizeof(*m));

	assert_non_null(m);
	printf("seed %u, %zu bytes\n", seed, size);
	srandom(seed);
	model_init(m, size);
	for (unsigned step = 0; step < steps; step++) {
		uint32_t number = (uint32_t)random() % KEYS;
		struct crow_ring_record *record = find(m, number);

		switch (random() % 8) {
		case 0:
			if (record) {
				crow_ring_remove(&m->ring, record);
				m->of[number].live = false;
				m->live--;
				check_structure(m);
			}
			break;
		case 1:
		case 2:
		case 3:
			if (record)
				record->used = true;
			break;
		case 4:
			put(m, number, (size_t)random() % VALUE_MAX, (uint8_t)random());
			break;
		default:
			put(m, number, (size_t)random() % 100, (uint8_t)random());
		}
	}
	free(m->bytes);
	free(m);
}

static void test_random_use(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 6; seed++)
		play(seed, (size_t)3200 << seed, 3000); /* from one large record to all of them */
}

static void test_nothing_is_evicted_while_there_is_room(void **state)
{
	struct model *m = malloc(sizeof(*m));

	(void)state;
	assert_non_null(m);
	model_init(m, KEYS * crow_ring_record_size(16, 100));
	for (uint32_t i = 0; i < KEYS; i++)
		put(m, i, 100, (uint8_t)i);
	assert_int_equal(m->live, KEYS);
	/* In place, however often. */
	for (uint32_t i = 0; i < KEYS; i++) {
		struct crow_ring_record *record = find(m, i);

		put(m, i, i % 101, (uint8_t)(i + 1));
		assert_ptr_equal(find(m, i), record);
	}
	assert_int_equal(m->live, KEYS);
	free(m->bytes);
	free(m);
}

/* A flood of names that nobody asks for twice does not wash away those that are asked for. */
static void test_what_is_used_stays(void **state)
{
	struct model *m = malloc(sizeof(*m));

	(void)state;
	assert_non_null(m);
	model_init(m, 100 * crow_ring_record_size(9, 100));
	for (uint32_t i = 0; i < 20; i++)
		put(m, i, 100, 1);
	for (uint32_t flood = 0; flood < 2000; flood++) {
		for (uint32_t i = 0; i < 20; i++) {
			struct crow_ring_record *record = find(m, i);

			assert_non_null(record);
			record->used = true;
		}
		put(m, 20 + flood % (KEYS - 20), 100, 2);
	}
	free(m->bytes);
	free(m);
}

/* And what was used once is gone when the hand comes for the second time. */
static void test_what_was_used_goes(void **state)
{
	struct model *m = malloc(sizeof(*m));
	uint32_t flood = 1;

	(void)state;
	assert_non_null(m);
	model_init(m, 100 * crow_ring_record_size(9, 100));
	put(m, 0, 100, 1);
	find(m, 0)->used = true;
	for (; flood <= 150; flood++)
		put(m, flood, 100, 2);
	assert_non_null(find(m, 0));
	for (; flood <= 300; flood++)
		put(m, flood, 100, 2);
	assert_null(find(m, 0));
	free(m->bytes);
	free(m);
}

/* Where everything is used, somebody goes all the same, and the put moves only a few records. */
static void test_a_put_moves_few(void **state)
{
	size_t places[KEYS], moved;
	struct model *m = malloc(sizeof(*m));

	(void)state;
	assert_non_null(m);
	model_init(m, 300 * crow_ring_record_size(9, 64));
	for (uint32_t flood = 0; flood < 3 * KEYS; flood++) {
		for (uint32_t i = 0; i < KEYS; i++) {
			struct crow_ring_record *record = find(m, i);

			places[i] = record ? (size_t)((uint8_t *)record - m->bytes) : SIZE_MAX;
			if (record)
				record->used = true;
		}
		put(m, flood % KEYS, 64, 1);
		moved = 0;
		for (uint32_t i = 0; i < KEYS; i++) {
			struct crow_ring_record *record = find(m, i);

			moved += i != flood % KEYS && record && places[i] != SIZE_MAX &&
				 (size_t)((uint8_t *)record - m->bytes) != places[i];
		}
		assert_true(moved <= CROW_RING_MOVES_MAX);
	}
	free(m->bytes);
	free(m);
}

/* A record as large as the ring, and then a small one. */
static void test_the_largest_record(void **state)
{
	struct model *m = malloc(sizeof(*m));

	(void)state;
	assert_non_null(m);
	model_init(m, crow_ring_record_size(16, VALUE_MAX));
	for (unsigned i = 0; i < 10; i++) {
		put(m, 0, VALUE_MAX, (uint8_t)i);
		put(m, 1, 3, (uint8_t)i);
		put(m, 2, 3, (uint8_t)i);
	}
	free(m->bytes);
	free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_use),
		cmocka_unit_test(test_nothing_is_evicted_while_there_is_room),
		cmocka_unit_test(test_what_is_used_stays),
		cmocka_unit_test(test_what_was_used_goes),
		cmocka_unit_test(test_a_put_moves_few),
		cmocka_unit_test(test_the_largest_record),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
