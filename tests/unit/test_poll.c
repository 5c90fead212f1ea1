/* The rules of polling: which path, when next, what a round amounts to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/discovery/demand.h"
#include "daemon/discovery/poll.h"

#define MS INT64_C(1000000)
#define S  (1000 * MS)

static const struct crow_poll_answer ok = {CROW_POLL_OK, 200, 0};
static const struct crow_poll_answer empty = {CROW_POLL_EMPTY, 200, 0};
static const struct crow_poll_answer malformed = {CROW_POLL_MALFORMED, 200, 0};
static const struct crow_poll_answer unknown = {CROW_POLL_UNKNOWN, 404, 0};
static const struct crow_poll_answer broken = {CROW_POLL_STATUS, 500, 0};
static const struct crow_poll_answer timeout = {CROW_POLL_TIMEOUT, 0, 0};
static const struct crow_poll_answer refused = {CROW_POLL_CONNECT, 0, 0};

static struct crow_poll_memory nothing(void)
{
	return (struct crow_poll_memory){CROW_POLL_NO_PATH};
}

/* Runs a round over two paths; returns how many were asked. */
static int round_of(struct crow_poll *poll, struct crow_poll_memory *source,
		    const struct crow_poll_answer *const by_path[2])
{
	int path = crow_poll_begin(poll, source, 2, 0);
	int asked = 0;

	while (path != CROW_POLL_NO_PATH) {
		asked++;
		assert_true(asked <= 2);
		path = crow_poll_answered(poll, source, 2, by_path[path], NULL);
	}
	return asked;
}

#define ROUND(poll, source, first, second)                                                         \
	round_of(poll, source, (const struct crow_poll_answer *const[]){first, second})

static void test_other_path_is_asked_and_remembered(void **state)
{
	struct crow_poll_memory source = nothing();
	struct crow_poll poll, sibling;

	(void)state;
	crow_poll_init(&poll, false);
	assert_int_equal(ROUND(&poll, &source, &unknown, &ok), 2);
	assert_int_equal(poll.outcome, CROW_POLL_OK);
	assert_int_equal(ROUND(&poll, &source, &unknown, &ok), 1);
	/* The source remembers for services that were never asked for. */
	crow_poll_init(&sibling, false);
	assert_int_equal(ROUND(&sibling, &source, &unknown, &ok), 1);
}

static void test_service_memory_comes_before_the_source(void **state)
{
	struct crow_poll_memory source = nothing();
	struct crow_poll old, new;

	(void)state;
	crow_poll_init(&old, false);
	crow_poll_init(&new, false);
	assert_int_equal(ROUND(&old, &source, &ok, &unknown), 1);
	assert_int_equal(ROUND(&new, &source, &unknown, &ok), 2);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(ROUND(&old, &source, &ok, &unknown), 1);
		assert_int_equal(ROUND(&new, &source, &unknown, &ok), 1);
	}
}

static void test_service_moves_to_the_other_path(void **state)
{
	struct crow_poll_memory source = nothing();
	struct crow_poll poll;

	(void)state;
	crow_poll_init(&poll, false);
	ROUND(&poll, &source, &ok, &unknown);
	assert_int_equal(ROUND(&poll, &source, &malformed, &ok), 2);
	assert_int_equal(poll.outcome, CROW_POLL_OK);
	assert_int_equal(ROUND(&poll, &source, &malformed, &ok), 1);
}

static void test_status_asks_on_only_while_nothing_answered(void **state)
{
	struct crow_poll_memory source = nothing();
	struct crow_poll poll;

	(void)state;
	crow_poll_init(&poll, false);
	assert_int_equal(ROUND(&poll, &source, &broken, &broken), 2);
	assert_int_equal(ROUND(&poll, &source, &empty, &broken), 2);
	assert_int_equal(poll.outcome, CROW_POLL_EMPTY);
	ROUND(&poll, &source, &ok, &ok);
	assert_int_equal(ROUND(&poll, &source, &broken, &ok), 1);
	assert_int_equal(poll.outcome, CROW_POLL_STATUS);
	assert_int_equal(ROUND(&poll, &source, &empty, &ok), 1);
}

static void test_statuses_of_a_missing_path(void **state)
{
	static const int missing[] = {405, 410, 501};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct crow_poll_answer answer = {CROW_POLL_STATUS, missing[i], 0};
		struct crow_poll_memory source = nothing();
		struct crow_poll poll;

		crow_poll_init(&poll, false);
		ROUND(&poll, &source, &ok, &unknown);
		assert_int_equal(ROUND(&poll, &source, &answer, &unknown), 2);
		assert_int_equal(poll.outcome, CROW_POLL_STATUS);
	}
}

static void test_host_failures_do_not_ask_on(void **state)
{
	struct crow_poll_memory source = nothing();
	struct crow_poll poll;

	(void)state;
	crow_poll_init(&poll, true);
	assert_int_equal(ROUND(&poll, &source, &timeout, &ok), 1);
	assert_int_equal(poll.outcome, CROW_POLL_TIMEOUT);
	assert_int_equal(ROUND(&poll, &source, &refused, &ok), 1);
	assert_int_equal(poll.outcome, CROW_POLL_CONNECT);
}

static void test_round_keeps_what_tells_most(void **state)
{
	struct crow_poll_memory source = nothing();
	struct crow_poll poll;

	(void)state;
	crow_poll_init(&poll, true);
	ROUND(&poll, &source, &unknown, &unknown);
	assert_int_equal(poll.outcome, CROW_POLL_UNKNOWN);
	ROUND(&poll, &source, &unknown, &timeout);
	assert_int_equal(poll.outcome, CROW_POLL_TIMEOUT);
	ROUND(&poll, &source, &broken, &unknown);
	assert_int_equal(poll.outcome, CROW_POLL_STATUS);
	ROUND(&poll, &source, &unknown, &malformed);
	assert_int_equal(poll.outcome, CROW_POLL_MALFORMED);
}

static void test_one_path_is_enough(void **state)
{
	struct crow_poll_memory source = nothing();
	struct crow_poll poll;

	(void)state;
	crow_poll_init(&poll, true);
	assert_int_equal(crow_poll_begin(&poll, &source, 1, 0), 0);
	assert_int_equal(crow_poll_answered(&poll, &source, 1, &unknown, NULL), CROW_POLL_NO_PATH);
}

static void test_wait_is_one_to_two_intervals(void **state)
{
	struct crow_poll poll;

	(void)state;
	crow_poll_init(&poll, false);
	poll.started_ns = 100 * S;
	/* interval + 1 values can be drawn: 0 gives the least, interval the most. */
	assert_int_equal(crow_poll_next_ns(&poll, 5000, 101 * S, 0), 105 * S);
	assert_int_equal(crow_poll_next_ns(&poll, 5000, 101 * S, 5 * S), 110 * S);
	for (uint64_t i = 1; i != 0; i <<= 1) {
		int64_t due = crow_poll_next_ns(&poll, 5000, 101 * S, i * 0x9E3779B97F4A7C15u);

		assert_in_range(due, 105 * S, 110 * S);
	}
	/* A round that took longer than the wait is followed at once. */
	assert_int_equal(crow_poll_next_ns(&poll, 100, 103 * S, 0), 103 * S);
}

static void test_wait_is_uniform(void **state)
{
	unsigned buckets[10] = {0};
	struct crow_poll poll;
	uint64_t x = 1;

	(void)state;
	crow_poll_init(&poll, false);
	for (int i = 0; i < 10000; i++) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		int64_t due = crow_poll_next_ns(&poll, 1000, 0, x ^ (x >> 31));

		buckets[(due - S) * 10 / (S + 1)]++;
	}
	for (size_t i = 0; i < 10; i++)
		assert_in_range(buckets[i], 850, 1150);
}

static void test_retry_after(void **state)
{
	struct crow_poll_answer busy = {CROW_POLL_STATUS, 503, 30};
	struct crow_poll_answer later = {CROW_POLL_STATUS, 429, 3600};
	struct crow_poll_memory source = {0};
	struct crow_poll poll;

	(void)state;
	crow_poll_init(&poll, false);
	ROUND(&poll, &source, &busy, &ok);
	assert_int_equal(crow_poll_next_ns(&poll, 5000, 1 * S, 0), 31 * S);
	assert_int_equal(crow_poll_next_ns(&poll, 5000, 1 * S, 5 * S), 36 * S);
	ROUND(&poll, &source, &later, &ok);
	assert_int_equal(crow_poll_next_ns(&poll, 5000, 1 * S, 0), 61 * S);
	/* It never shortens the rhythm, and the next round forgets it. */
	assert_int_equal(crow_poll_next_ns(&poll, 3600000, 1 * S, 0), 3600 * S);
	ROUND(&poll, &source, &ok, &ok);
	assert_int_equal(crow_poll_next_ns(&poll, 5000, 1 * S, 0), 5 * S);
}

static void test_first_poll_is_spread(void **state)
{
	(void)state;
	assert_int_equal(crow_poll_first_ns(1, 7 * S, 0), 7 * S);
	for (uint64_t random = 1; random != 0; random <<= 1) {
		assert_in_range(crow_poll_first_ns(1, S, random), S, S + 10 * MS);
		assert_in_range(crow_poll_first_ns(1000, S, random), S, 2 * S);
		assert_in_range(crow_poll_first_ns(100000, S, random), S, 2 * S);
	}
	assert_int_equal(crow_poll_first_ns(500, 0, 500 * MS), 500 * MS);
}

static void test_waking_from_a_suspend(void **state)
{
	(void)state;
	assert_int_equal(crow_poll_wake_ns(10 * S, 5000, 10 * S, 12345), 10 * S);
	assert_int_equal(crow_poll_wake_ns(10 * S, 5000, 15 * S, 12345), 15 * S);
	assert_int_equal(crow_poll_wake_ns(10 * S, 5000, 8 * 3600 * S, 700 * MS),
			 8 * 3600 * S + 700 * MS);
	for (uint64_t random = 1; random != 0; random <<= 1)
		assert_in_range(crow_poll_wake_ns(0, 200, 100 * S, random), 100 * S,
				100 * S + 200 * MS);
}

static void check_location(const char *endpoint, const char *template, const char *service,
			   const char *expected)
{
	char *text = crow_poll_locate(endpoint, template, service);

	assert_non_null(text);
	assert_string_equal(text, expected);
	free(text);
}

static void test_locations(void **state)
{
	(void)state;
	check_location("http://h:1", "/v1/upstreams/{service}", "mnist_a.b-c~1",
		       "http://h:1/v1/upstreams/mnist_a.b-c~1");
	check_location("http://h", "/{service}/x?s={service}", "a/b c?#%\xc3\xa9",
		       "http://h/a%2Fb%20c%3F%23%25%C3%A9/x?s=a%2Fb%20c%3F%23%25%C3%A9");
	check_location("http://h", "/fixed", "a", "http://h/fixed");
	check_location("http://h", "/{service", "a", "http://h/{service");
	check_location(NULL, "/etc/{service}.json", "a b", "/etc/a b.json");
	/* A service may be called like the slot. */
	check_location(NULL, "/{service}/{service}", "{service}", "/{service}/{service}");
}

static void check_service(const char *name, bool dashed, const char *expected)
{
	char service[CROW_DEMAND_SERVICE_MAX + 1];

	if (!expected) {
		assert_false(crow_demand_service(name, "eas.internal", dashed, service));
		return;
	}
	assert_true(crow_demand_service(name, "eas.internal", dashed, service));
	assert_string_equal(service, expected);
}

static void test_services_of_names(void **state)
{
	char longest[CROW_DEMAND_SERVICE_MAX + 32], name[256];

	(void)state;
	check_service("mnist.eas.internal", false, "mnist");
	check_service("group.a-b-c.eas.internal", false, "group.a-b-c");
	check_service("group.a-b-c.eas.internal", true, "group.a_b_c");
	check_service("mnist.eas.internal", true, NULL);
	check_service("eas.internal", false, NULL);
	check_service(".eas.internal", false, NULL);
	check_service("xeas.internal", false, NULL);
	check_service("a.example", false, NULL);
	check_service("a b.eas.internal", false, NULL);
	check_service("a/b.eas.internal", false, NULL);
	check_service("...eas.internal", false, NULL);
	memset(longest, 'a', sizeof(longest));
	longest[CROW_DEMAND_SERVICE_MAX] = '\0';
	strcat(strcpy(name, longest), ".eas.internal");
	check_service(name, false, longest);
	strcat(strcat(strcpy(name, longest), "b"), ".eas.internal");
	check_service(name, false, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_other_path_is_asked_and_remembered),
		cmocka_unit_test(test_service_memory_comes_before_the_source),
		cmocka_unit_test(test_service_moves_to_the_other_path),
		cmocka_unit_test(test_status_asks_on_only_while_nothing_answered),
		cmocka_unit_test(test_statuses_of_a_missing_path),
		cmocka_unit_test(test_host_failures_do_not_ask_on),
		cmocka_unit_test(test_round_keeps_what_tells_most),
		cmocka_unit_test(test_one_path_is_enough),
		cmocka_unit_test(test_wait_is_one_to_two_intervals),
		cmocka_unit_test(test_wait_is_uniform),
		cmocka_unit_test(test_retry_after),
		cmocka_unit_test(test_first_poll_is_spread),
		cmocka_unit_test(test_waking_from_a_suspend),
		cmocka_unit_test(test_locations),
		cmocka_unit_test(test_services_of_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
