/*
 * The small curves of the page, by a clock of the test's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "daemon/http/history.h"

#define POINT CROW_HISTORY_POINT_NS
#define LAST  (CROW_HISTORY_POINTS - 1)

static uint16_t points[CROW_HISTORY_POINTS];

static uint32_t failovers(const struct crow_history *history, const char *service, int64_t now_ns)
{
	return crow_history_get(history, service, CROW_HISTORY_FAILOVERS, now_ns, points);
}

static void fail_over(struct crow_history *history, const char *service, int64_t now_ns)
{
	crow_history_note(history, service, CROW_HISTORY_FAILOVERS, now_ns);
}

static void test_points(void **state)
{
	struct crow_history *history = crow_history_new();

	(void)state;
	assert_int_equal(failovers(history, "a", 5 * POINT), 0);
	fail_over(history, "a", 5 * POINT);
	fail_over(history, "a", 6 * POINT - 1);
	fail_over(history, "a", 8 * POINT);
	crow_history_note(history, "a", CROW_HISTORY_PROBES_OK, 8 * POINT);
	assert_int_equal(failovers(history, "a", 8 * POINT), 3);
	assert_int_equal(points[LAST], 1);
	assert_int_equal(points[LAST - 1], 0);
	assert_int_equal(points[LAST - 3], 2);
	assert_int_equal(failovers(history, "a", 10 * POINT), 3);
	assert_int_equal(points[LAST - 2], 1);
	assert_int_equal(failovers(history, "b", 8 * POINT), 0);
	crow_history_free(history);
}

static void test_what_is_old_is_gone(void **state)
{
	struct crow_history *history = crow_history_new();
	int64_t count = CROW_HISTORY_POINTS;

	(void)state;
	fail_over(history, "a", 5 * POINT);
	assert_int_equal(failovers(history, "a", (5 + count - 1) * POINT), 1);
	assert_int_equal(points[0], 1);
	assert_int_equal(failovers(history, "a", (5 + count) * POINT), 0);
	fail_over(history, "a", (5 + count) * POINT); /* the same place in the ring */
	assert_int_equal(failovers(history, "a", (5 + count) * POINT), 1);
	fail_over(history, "a", (5 + 10 * count + 7) * POINT); /* after a long rest */
	assert_int_equal(failovers(history, "a", (5 + 10 * count + 7) * POINT), 1);
	crow_history_free(history);
}

static void test_bounded(void **state)
{
	struct crow_history *history = crow_history_new();
	char name[16];

	(void)state;
	for (unsigned i = 0; i < CROW_HISTORY_SERVICES + 10; i++) {
		snprintf(name, sizeof(name), "svc%u", i);
		fail_over(history, name, i * POINT / 100);
	}
	assert_int_equal(failovers(history, "svc0", 11 * POINT), 0);
	assert_int_equal(failovers(history, name, 11 * POINT), 1);
	for (int i = 0; i < 70000; i++)
		fail_over(history, "a", 12 * POINT);
	assert_int_equal(failovers(history, "a", 12 * POINT), UINT16_MAX);
	crow_history_free(history);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_points),
		cmocka_unit_test(test_what_is_old_is_gone),
		cmocka_unit_test(test_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
