/* Who was given: marks beside an image, swept into a ledger that outlives it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

#include "daemon/publisher.h"
#include "resolver/pick.h"
#include "tests/unit/fixture.h"

#define SECOND_NS INT64_C(1000000000)

static const struct fixture_item three[] = {
	{"10.0.0.1", 8001, 1}, {"10.0.0.2", 8002, 1}, {"10.0.0.3", 8003, 1}};

static struct fixture f;
static struct crow_given *given;
static struct crow_published *published;

static int setup(void **state)
{
	(void)state;
	fixture_init(&f, FIXTURE_CONFIG);
	fixture_take(&f, "one", three, 3);
	given = crow_given_new();
	published = fixture_build(&f);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	crow_given_free(given);
	free(published);
	fixture_fini(&f);
	return 0;
}

static void sweep(int64_t now_ns)
{
	crow_given_sweep(given, &published->image, published->given, now_ns);
}

static uint32_t last_minute(const char *service, const char *ip, uint16_t port, int64_t now_ns)
{
	struct crow_addr addr;

	assert_true(crow_addr_parse(ip, strlen(ip), &addr));
	return crow_given_last_minute(given, service, &addr, port, now_ns);
}

static void test_the_pick_counts_and_the_others_are_named(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++)
		crow_given_mark(published->given, 0, true);
	crow_given_mark(published->given, 1, false);
	crow_given_mark(NULL, 1, true); /* an answer that nobody counts */
	sweep(SECOND_NS);
	assert_int_equal(last_minute("one", "10.0.0.1", 8001, SECOND_NS), 5);
	assert_int_equal(last_minute("one", "10.0.0.2", 8002, SECOND_NS), 0);
	assert_int_equal(last_minute("one", "10.0.0.1", 8002, SECOND_NS), 0);
	assert_int_equal(last_minute("two_b", "10.0.0.1", 8001, SECOND_NS), 0);
}

static double equal(unsigned i)
{
	(void)i;
	return 1;
}

/* One sweep takes the marks of all services, and more of them than it looks up side by side. */
static void test_each_service_has_its_own_counts(void **state)
{
	const struct crow_snap_service *service;
	struct crow_addr addr;

	(void)state;
	free(published);
	fixture_take_many(&f, "two_b", 100, equal);
	published = fixture_build(&f);
	for (uint32_t s = 0; s < crow_image_service_count(&published->image); s++) {
		service = crow_image_service(&published->image, s);
		for (uint32_t i = 0; i < service->count; i++)
			for (uint32_t k = 0; k <= i % 5 + s; k++)
				crow_given_mark(published->given, service->first + i, true);
	}
	sweep(SECOND_NS);
	for (uint32_t s = 0; s < crow_image_service_count(&published->image); s++) {
		service = crow_image_service(&published->image, s);
		for (uint32_t i = 0; i < service->count; i++) {
			const struct crow_snap_instance *instance =
				crow_image_instance(&published->image, service->first + i);

			addr = instance->addr;
			assert_int_equal(crow_given_last_minute(given,
								crow_image_string(&published->image,
										  service->name),
								&addr, instance->port, SECOND_NS),
					 i % 5 + s + 1);
		}
	}
}

static void note(void *context, const struct crow_snap_instance *instance, int64_t now_ns)
{
	unsigned *named = context;

	assert_true(now_ns > 0);
	*named |= 1u << (instance->port - 8000);
}

static void test_each_that_was_named_is_told_once(void **state)
{
	unsigned named = 0;

	(void)state;
	crow_given_watch(given, note, &named);
	crow_given_mark(published->given, 0, true);
	crow_given_mark(published->given, 2, false);
	sweep(SECOND_NS);
	assert_int_equal(named, 1u << 1 | 1u << 3);
	named = 0;
	sweep(2 * SECOND_NS);
	assert_int_equal(named, 0);
}

static void test_counts_go_on_with_the_next_image_and_fade(void **state)
{
	(void)state;
	for (int i = 0; i < 60; i++)
		crow_given_mark(published->given, 0, true);
	sweep(59 * SECOND_NS);
	free(published);
	fixture_take(&f, "one", three + 0, 2);
	published = fixture_build(&f);
	crow_given_mark(published->given, 0, true);
	sweep(60 * SECOND_NS);
	assert_int_equal(last_minute("one", "10.0.0.1", 8001, 60 * SECOND_NS), 61);
	assert_int_equal(last_minute("one", "10.0.0.1", 8001, 90 * SECOND_NS), 31);
	assert_int_equal(last_minute("one", "10.0.0.1", 8001, 121 * SECOND_NS), 0);
	assert_int_equal(last_minute("one", "10.0.0.1", 8001, 1000 * SECOND_NS), 0);
}

static void test_what_was_not_given_for_long_makes_room(void **state)
{
	struct crow_addr addr;

	(void)state;
	free(published);
	fixture_take_many(&f, "one", 1000, equal);
	published = fixture_build(&f);
	for (int64_t minute = 0; minute < 20; minute++) {
		for (uint32_t i = 0; i < 1000; i++)
			crow_given_mark(published->given, i, true);
		sweep(minute * 60 * SECOND_NS);
	}
	for (uint32_t i = 0; i < 1000; i++) {
		addr = published->image.instances[i].addr;
		assert_int_equal(
			crow_given_last_minute(given, "one", &addr, 8000, 19 * 60 * SECOND_NS), 2);
	}
}

/* Workers mark while images come and go: no mark is lost, none is counted twice. */
enum { WORKERS = 3, MARKS = 20000 };

static struct crow_publisher *publisher;
static struct crow_reader readers[WORKERS];

static void *mark_on(void *argument)
{
	struct crow_reader *reader = argument;

	for (int i = 0; i < MARKS; i++) {
		crow_reader_acquire(reader);
		crow_given_mark(crow_reader_given(reader), 0, true);
		crow_reader_release(reader);
	}
	return NULL;
}

static void test_no_mark_is_lost_across_images(void **state)
{
	struct crow_loop *loop = crow_loop_new();
	pthread_t threads[WORKERS];
	struct crow_addr addr = published->image.instances[0].addr;

	(void)state;
	publisher = crow_publisher_new(loop, &f.table, NULL, NULL, NULL);
	for (int i = 0; i < WORKERS; i++)
		crow_reader_init(&readers[i], publisher);
	for (int i = 0; i < WORKERS; i++)
		pthread_create(&threads[i], NULL, mark_on, &readers[i]);
	for (int i = 0; i < 300; i++) {
		crow_publisher_flush(publisher);
		crow_publisher_sweep(publisher, crow_now_ns());
	}
	for (int i = 0; i < WORKERS; i++)
		pthread_join(threads[i], NULL);
	crow_publisher_sweep(publisher, crow_now_ns());
	/* A minute may have turned meanwhile, and then some have faded. */
	assert_in_range(crow_given_last_minute(crow_publisher_given(publisher), "one", &addr, 8001,
					       crow_now_ns()),
			WORKERS * MARKS * 9 / 10, WORKERS * MARKS);
	crow_publisher_free(publisher);
	crow_loop_free(loop);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_the_pick_counts_and_the_others_are_named),
		TEST(test_each_service_has_its_own_counts),
		TEST(test_each_that_was_named_is_told_once),
		TEST(test_counts_go_on_with_the_next_image_and_fade),
		TEST(test_what_was_not_given_for_long_makes_room),
		TEST(test_no_mark_is_lost_across_images),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
