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
	assert_int_equal(crow_guests_next_ns(&guests), INT64_MAX);
	slow = enter(&guests, 3, "127.0.0.1", 10 * SECOND);
	keen = enter(&guests, 4, "127.0.0.1", 11 * SECOND);
	assert_int_equal(crow_guests_next_ns(&guests), 40 * SECOND);
	crow_guests_renew(&guests, keen, 35 * SECOND);
	assert_null(crow_guests_late(&guests, 40 * SECOND - 1));
	assert_ptr_equal(crow_guests_late(&guests, 40 * SECOND), slow);
	assert_null(crow_guests_late(&guests, 64 * SECOND)); /* told once, and keen was renewed */
	assert_int_equal(crow_guests_next_ns(&guests), 65 * SECOND);
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
	assert_int_equal(crow_guests_next_ns(&guests), 60 * SECOND);
	assert_null(crow_guests_late(&guests, 50 * SECOND));
	guest->suspended = false;
	assert_ptr_equal(crow_guests_late(&guests, 50 * SECOND), guest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full_house),
		cmocka_unit_test(test_one_address_leaves_room),
		cmocka_unit_test(test_an_exchange_has_its_time),
		cmocka_unit_test(test_who_waits_is_not_late),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
