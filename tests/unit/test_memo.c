/*
 * Decisions that are remembered: of the same image and endpoint alone, and whole.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "preload/memo.h"

#define VERSION UINT64_C(0x1234567890)

static struct crow_target target(const char *ip, uint16_t port)
{
	struct crow_target made = {.port = port};

	assert_true(crow_addr_parse(ip, strlen(ip), &made.addr));
	return made;
}

static struct crow_decision decision_for(const struct crow_target *asked)
{
	return (struct crow_decision){
		.count = 3,
		.drawn = 1,
		.mapped = 2,
		.is_sole = true,
		.is_asked = true,
		.targets = {*asked},
		.key = UINT64_C(0xfeedfacecafebeef),
		.service = 77777,
		.attempt_timeout_ms = 4294967295,
	};
}

static void test_what_was_put_comes_back(void **state)
{
	struct crow_target asked = target("10.1.0.1", 8001);
	struct crow_decision put = decision_for(&asked), got = {0};

	(void)state;
	assert_false(crow_memo_get(VERSION, &asked, &got));
	crow_memo_put(VERSION, &asked, &put);
	assert_true(crow_memo_get(VERSION, &asked, &got));
	assert_int_equal(got.count, 3);
	assert_int_equal(got.drawn, 1);
	assert_int_equal(got.mapped, 2);
	assert_true(got.is_sole && got.is_asked);
	assert_memory_equal(&got.targets[0], &asked, sizeof(asked));
	assert_true(got.key == put.key);
	assert_int_equal(got.service, 77777);
	assert_int_equal(got.attempt_timeout_ms, 4294967295);
}

static void test_another_endpoint_or_image_is_not_known(void **state)
{
	struct crow_target asked = target("2001:db8::1", 8001);
	struct crow_target port = target("2001:db8::1", 8002);
	struct crow_target addr = target("2001:db8::1:0:0:1", 8001);
	struct crow_decision put = decision_for(&asked), got;

	(void)state;
	crow_memo_put(VERSION, &asked, &put);
	assert_false(crow_memo_get(VERSION, &port, &got));
	assert_false(crow_memo_get(VERSION, &addr, &got));
	assert_false(crow_memo_get(VERSION + 1, &asked, &got));
	assert_false(crow_memo_get(0, &asked, &got));
	crow_memo_put(VERSION + 1, &asked, &put);
	assert_false(crow_memo_get(VERSION, &asked, &got));
	assert_true(crow_memo_get(VERSION + 1, &asked, &got));
}

/* Not even those that fall into the same place. */
static void test_endpoints_are_never_mixed_up(void **state)
{
	struct crow_decision got;

	(void)state;
	for (uint16_t port = 1; port < 2000; port++) {
		struct crow_target asked = target("10.2.0.1", port);
		struct crow_decision put = decision_for(&asked);

		put.service = port;
		crow_memo_put(VERSION, &asked, &put);
	}
	for (uint16_t port = 1; port < 2000; port++) {
		struct crow_target asked = target("10.2.0.1", port);

		if (crow_memo_get(VERSION, &asked, &got))
			assert_int_equal(got.service, port);
	}
}

static void assert_not_kept(const struct crow_target *asked, const struct crow_decision *decision)
{
	struct crow_decision got;

	crow_memo_put(VERSION, asked, decision);
	assert_false(crow_memo_get(VERSION, asked, &got));
}

static void test_what_may_differ_next_time_is_not_kept(void **state)
{
	struct crow_target asked = target("10.3.0.1", 80);
	struct crow_decision shared = decision_for(&asked), elsewhere = decision_for(&asked),
			     any = decision_for(&asked);

	(void)state;
	shared.is_sole = false;
	elsewhere.is_asked = false;
	assert_not_kept(&asked, &shared);
	assert_not_kept(&asked, &elsewhere);
	/* No image has that version. */
	crow_memo_put(0, &asked, &any);
	assert_false(crow_memo_get(0, &asked, &any));
}

/* Threads: every part of a decision says which one it is of. */

#define THREADS 4
#define ROUNDS  200000

static struct crow_target endpoints[8];
static _Atomic unsigned torn, seen;

static struct crow_decision numbered(unsigned i)
{
	struct crow_decision made = decision_for(&endpoints[i]);

	made.service = made.attempt_timeout_ms = i;
	made.key = i;
	return made;
}

static void *put_and_get(void *argument)
{
	unsigned seed = (unsigned)(uintptr_t)argument;

	for (unsigned round = 0; round < ROUNDS; round++) {
		unsigned i = (seed = seed * 1664525 + 1013904223) >> 29;
		struct crow_decision put = numbered(i), got;

		crow_memo_put(VERSION + (seed >> 20 & 1), &endpoints[i], &put);
		i = (seed = seed * 1664525 + 1013904223) >> 29;
		if (!crow_memo_get(VERSION + (seed >> 20 & 1), &endpoints[i], &got))
			continue;
		atomic_fetch_add(&seen, 1);
		if (got.service != i || got.attempt_timeout_ms != i || got.key != i)
			atomic_fetch_add(&torn, 1);
	}
	return NULL;
}

/* Endpoints of one place, so that all of them meet there: that of the first. */
static void find_neighbours(void)
{
	unsigned found = 0;

	for (uint16_t port = 1; found < 8; port++) {
		struct crow_target one = target("10.4.0.1", port), first = target("10.4.0.1", 1);
		struct crow_decision put = decision_for(&first), got;

		crow_memo_put(VERSION, &first, &put);
		put = decision_for(&one);
		crow_memo_put(VERSION, &one, &put);
		if (port == 1 || !crow_memo_get(VERSION, &first, &got))
			endpoints[found++] = one;
	}
}

static void test_threads_never_see_a_torn_decision(void **state)
{
	pthread_t threads[THREADS];

	(void)state;
	find_neighbours();
	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, put_and_get, (void *)(i + 1)),
				 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_true(seen > 0);
	assert_int_equal(torn, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_was_put_comes_back),
		cmocka_unit_test(test_another_endpoint_or_image_is_not_known),
		cmocka_unit_test(test_endpoints_are_never_mixed_up),
		cmocka_unit_test(test_what_may_differ_next_time_is_not_kept),
		cmocka_unit_test(test_threads_never_see_a_torn_decision),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
