/* Timers in order, against a list that is searched through. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/timers.h"

#define COUNT 300

static struct crow_timers timers;
static struct crow_timer items[COUNT];
static uint64_t added[COUNT]; /* when, by number; 0: it is not in */
static uint64_t number, draws;

static int set_up(void **state)
{
	(void)state;
	memset(&timers, 0, sizeof(timers));
	memset(items, 0, sizeof(items));
	memset(added, 0, sizeof(added));
	number = 0;
	draws = 1;
	return 0;
}

/* Knuth's MMIX generator: the same sequence in each run. */
static unsigned draw(unsigned below)
{
	draws = draws * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(draws >> 33) % below;
}

static void add(size_t i, int64_t due_ns)
{
	items[i].due_ns = due_ns;
	crow_timers_add(&timers, &items[i]);
	added[i] = ++number;
}

static void take_out(size_t i)
{
	crow_timers_remove(&items[i]);
	added[i] = 0;
}

static struct crow_timer *find_first(void)
{
	struct crow_timer *first = NULL;

	for (size_t i = 0; i < COUNT; i++)
		if (added[i] &&
		    (!first || items[i].due_ns < first->due_ns ||
		     (items[i].due_ns == first->due_ns && added[i] < added[first - items])))
			first = &items[i];
	return first;
}

/* Few times, so that many are equal; those that are first are taken out as often as any. */
static void test_any_order_of_calls(void **state)
{
	(void)state;
	for (int round = 0; round < 50000; round++) {
		size_t i = draw(COUNT);

		if (round / 1000 % 2 == 1 && timers.first)
			i = (size_t)(timers.first - items);
		if (added[i])
			take_out(i);
		else
			add(i, draw(100));
		assert_ptr_equal(timers.first, find_first());
	}
}

static void test_equal_ones_keep_their_order(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT; i++)
		add(i, 5);
	take_out(0);
	add(0, 5);
	for (size_t i = 1; i < COUNT; i++) {
		assert_ptr_equal(timers.first, &items[i]);
		take_out(i);
	}
	assert_ptr_equal(timers.first, &items[0]);
}

static void test_those_that_are_due_are_moved(void **state)
{
	struct crow_timers due = {0};
	int64_t before_ns = 0;
	size_t moved = 0;

	(void)state;
	for (size_t i = 0; i < COUNT; i++)
		add(i, (int64_t)(i * 7 % COUNT));
	crow_timers_take_due(&timers, -1, &due);
	assert_null(due.first);
	crow_timers_take_due(&timers, 99, &due);
	assert_int_equal(timers.first->due_ns, 100);
	crow_timers_remove(&items[7]); /* due at 49: from wherever it is */
	for (; due.first; moved++) {
		assert_true(due.first->due_ns >= before_ns);
		assert_int_not_equal(due.first->due_ns, 49);
		before_ns = due.first->due_ns;
		crow_timers_remove(due.first);
	}
	assert_int_equal(moved, 99);
	assert_int_equal(before_ns, 99);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_any_order_of_calls, set_up),
		cmocka_unit_test_setup(test_equal_ones_keep_their_order, set_up),
		cmocka_unit_test_setup(test_those_that_are_due_are_moved, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
