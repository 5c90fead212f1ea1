/*
 * Who may be connected, and for how long, by a clock of the test's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/http/guest.h"

#define SECOND INT64_C(1000000000)

static struct crow_addr address(const char *text)
{
	struct crow_addr addr;

	assert_true(crow_addr_parse(text, strlen(text), &addr));
	return addr;
}

static struct crow_guest *enter(struct crow_guests *guests, int fd, const char *peer,
				int64_t now_ns)
{
	struct crow_addr addr = address(peer), own = address("10.0.0.1");

	return crow_guests_enter(guests, fd, &addr, &own, now_ns);
}

static void test_full_house(void **state)
{
	struct crow_guests guests;

	(void)state;
	crow_guests_init(&guests, SECOND);
	for (unsigned i = 0; i < CROW_GUESTS_MAX; i++) {
		assert_false(crow_guests_is_full(&guests));
		enter(&guests, (int)i, "127.0.0.1", 0);
	}
	assert_true(crow_guests_is_full(&guests));
	crow_guests_leave(&guests, &guests.items[7]);
	assert_false(crow_guests_is_full(&guests));
	assert_ptr_equal(enter(&guests, 7, "127.0.0.1", 0), &guests.items[7]);
}

static void test_one_address_leaves_room(void **state)
{
	struct crow_addr greedy = address("10.0.0.9"), other = address("10.0.0.8");
	struct crow_addr loopback = address("127.0.0.1");
	struct crow_guests guests;

	(void)state;
	crow_guests_init(&guests, SECOND);
	for (unsigned i = 0; i < CROW_GUESTS_PER_ADDRESS; i++) {
		assert_true(crow_guests_admits(&guests, &greedy));
		enter(&guests, (int)i, "10.0.0.9", 0);
	}
	assert_false(crow_guests_admits(&guests, &greedy));
	assert_true(crow_guests_admits(&guests, &other));
	for (unsigned i = 0; i < CROW_GUESTS_PER_ADDRESS; i++)
		enter(&guests, 1000 + (int)i, "127.0.0.1", 0);
	assert_true(crow_guests_admits(&guests, &loopback));
	crow_guests_leave(&guests, &guests.items[0]);
	assert_true(crow_guests_admits(&guests, &greedy));
}

static void test_an_exchange_has_its_time(void **state)
{
	struct crow_guest *slow, *keen;
	struct crow_guests guests;

	(void)state;
	crow_guests_init(&guests, 30 * SECOND);
	assert_int_equal(crow_guests_next_ns(&guests, 0), INT64_MAX);
	slow = enter(&guests, 3, "127.0.0.1", 10 * SECOND);
	keen = enter(&guests, 4, "127.0.0.1", 11 * SECOND);
	assert_int_equal(crow_guests_next_ns(&guests, 0), 40 * SECOND);
	crow_guests_renew(keen, 35 * SECOND);
	assert_null(crow_guests_late(&guests, 40 * SECOND - 1));
	assert_ptr_equal(crow_guests_late(&guests, 40 * SECOND), slow);
	assert_null(crow_guests_late(&guests, 64 * SECOND)); /* one is leaving, keen was renewed */
	assert_int_equal(crow_guests_next_ns(&guests, 0), 65 * SECOND);
}

/* Who waits for discovery is looked at when the wait ends, and is not late before. */
static void test_who_waits_is_not_late(void **state)
{
	struct crow_guests guests;
	struct crow_guest *guest;

	(void)state;
	crow_guests_init(&guests, 30 * SECOND);
	guest = enter(&guests, 3, "127.0.0.1", 0);
	guest->suspended = true;
	guest->wait_ns = 60 * SECOND;
	assert_int_equal(crow_guests_next_ns(&guests, 0), 60 * SECOND);
	assert_null(crow_guests_late(&guests, 50 * SECOND));
	guest->suspended = false;
	assert_ptr_equal(crow_guests_late(&guests, 50 * SECOND), guest);
}

/* ---- who makes room ---- */

static void test_the_longest_idle_makes_room(void **state)
{
	struct crow_guest *asking, *older, *newer;
	struct crow_guests guests;

	(void)state;
	crow_guests_init(&guests, 30 * SECOND);
	assert_null(crow_guests_yielding(&guests, SECOND));
	asking = enter(&guests, 3, "127.0.0.1", 1 * SECOND);
	newer = enter(&guests, 4, "127.0.0.1", 5 * SECOND);
	older = enter(&guests, 5, "127.0.0.1", 2 * SECOND);
	crow_guests_ask(asking, 2 * SECOND);
	assert_ptr_equal(crow_guests_yielding(&guests, 9 * SECOND), older);
	crow_guests_renew(older, 6 * SECOND); /* it had an exchange meanwhile */
	assert_ptr_equal(crow_guests_yielding(&guests, 9 * SECOND), newer);
	newer->leaving = true;
	assert_ptr_equal(crow_guests_yielding(&guests, 9 * SECOND), older);
}

/* An exchange that is slow gives way, though not one that has just begun. */
static void test_where_all_ask_the_first_makes_room(void **state)
{
	const int64_t began = 5 * SECOND, patient_until = began + CROW_GUEST_PATIENCE_NS;
	struct crow_guests guests;

	(void)state;
	crow_guests_init(&guests, 30 * SECOND);
	for (unsigned i = 0; i < CROW_GUESTS_MAX; i++)
		crow_guests_ask(enter(&guests, (int)i, "127.0.0.1", 0),
				i == 7 ? began : began + SECOND);
	assert_null(crow_guests_yielding(&guests, patient_until - 1));
	assert_int_equal(crow_guests_next_ns(&guests, patient_until - 1), patient_until);
	assert_ptr_equal(crow_guests_yielding(&guests, patient_until), &guests.items[7]);
	assert_int_equal(crow_guests_next_ns(&guests, patient_until), 30 * SECOND);
	crow_guests_leave(&guests, &guests.items[9]); /* there is room: nobody has to */
	assert_int_equal(crow_guests_next_ns(&guests, began), 30 * SECOND);
}

static void test_the_slowest_reader_lets_go(void **state)
{
	struct crow_body small = {.size = 1}, kept = {.size = 1, .kept = true}, large = {.size = 1};
	struct crow_shelf shelf;
	struct crow_guests guests;
	struct crow_guest *reading[4];

	(void)state;
	crow_shelf_init(&shelf);
	kept.shelf = large.shelf = &shelf;
	crow_guests_init(&guests, 30 * SECOND);
	for (int i = 0; i < 4; i++) {
		reading[i] = enter(&guests, i, "127.0.0.1", 0);
		crow_guests_ask(reading[i], (9 - i) * SECOND);
	}
	reading[3]->reading = &small;
	reading[2]->reading = &kept; /* to cut it would free nothing */
	assert_null(crow_guests_reading(&guests));
	reading[1]->reading = &large;
	reading[0]->reading = &large;
	assert_ptr_equal(crow_guests_reading(&guests), reading[1]);
	crow_guests_renew(reading[1], 10 * SECOND);
	assert_ptr_equal(crow_guests_reading(&guests), reading[0]);
	reading[0]->leaving = true;
	assert_null(crow_guests_reading(&guests));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full_house),
		cmocka_unit_test(test_one_address_leaves_room),
		cmocka_unit_test(test_an_exchange_has_its_time),
		cmocka_unit_test(test_who_waits_is_not_late),
		cmocka_unit_test(test_the_longest_idle_makes_room),
		cmocka_unit_test(test_where_all_ask_the_first_makes_room),
		cmocka_unit_test(test_the_slowest_reader_lets_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
