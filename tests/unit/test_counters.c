#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <string.h>

#include "daemon/counters.h"

static uint64_t value_of(const char *name)
{
	struct crow_counter_value counter;

	for (size_t i = 0; crow_counter_get(i, &counter); i++)
		if (strcmp(counter.name, name) == 0)
			return counter.value;
	fail_msg("no counter %s", name);
	return 0;
}

static void test_table(void **state)
{
	struct crow_counter_value counter;
	size_t i = 0;

	(void)state;
	for (; crow_counter_get(i, &counter); i++) {
		assert_true(counter.name[0] != '\0');
		assert_true(counter.prose[0] != '\0');
	}
	assert_int_equal(i, sizeof(crow_counters) / sizeof(uint64_t));
	assert_false(crow_counter_get(SIZE_MAX, &counter));
	assert_true(crow_counter_get(0, &counter));
	assert_string_equal(counter.name, "polls");
}

static void *count_some(void *unused)
{
	(void)unused;
	for (int i = 0; i < 10000; i++)
		crow_count(dns_queries_udp);
	crow_count_by(items_dropped, 7);
	return NULL;
}

static void test_threads(void **state)
{
	pthread_t threads[4];

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count_some, NULL), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(value_of("dns_queries_udp"), 40000);
	assert_int_equal(value_of("items_dropped"), 28);
	assert_int_equal(value_of("polls"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
