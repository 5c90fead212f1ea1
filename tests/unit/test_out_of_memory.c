/*
 * The n-th allocation fails, for every n: the round is given up, the last good list stays, nothing
 * aborts. This program's own malloc() stands in front of libc's for all code in it, libraries
 * included. A sanitizer has one of its own: built with it, these tests are skipped.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/publish.h"
#include "daemon/state.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#endif

/* How many allocations are still granted; negative: all of them. */
static long granted = -1;
static bool refused;
/* After a refusal: whether all that follow are refused too, or none. */
static bool lasting;
/* Larger ones are never granted. */
static size_t largest = SIZE_MAX;

static void fail_after(long allocations)
{
	granted = allocations;
	refused = false;
}

/* Ends it; whether one was refused. */
static bool was_refused(void)
{
	granted = -1;
	return refused;
}

#ifndef SANITIZED

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *block, size_t size);

static bool refuses(size_t size)
{
	if (size > largest)
		return true;
	if (granted < 0 || granted-- > 0)
		return false;
	granted = lasting ? 0 : -1;
	refused = true;
	errno = ENOMEM;
	return true;
}

void *malloc(size_t size)
{
	return refuses(size) ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	return refuses(n * size) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *block, size_t size)
{
	return refuses(size) ? NULL : __libc_realloc(block, size);
}

#endif

static int setup_lasting(void **state)
{
	(void)state;
	lasting = true;
	return 0;
}

static int setup_once(void **state)
{
	(void)state;
	lasting = false;
	return 0;
}

static void need_own_malloc(void)
{
#ifdef SANITIZED
	print_message("skipped: the sanitizer has a malloc() of its own\n");
	skip();
#endif
}

static struct crow_config config;
static struct crow_source_config sources[2];
static char name_a[] = "a", name_b[] = "b", name_c[] = "c", name_d[] = "d";
static char *names[] = {name_a, name_b, name_c, name_d};

static void fake_config(void)
{
	static char first[] = "eas", second[] = "other", zone[] = "zone";

	memset(&config, 0, sizeof(config));
	memset(sources, 0, sizeof(sources));
	sources[0].name = first;
	sources[1].name = second;
	sources[0].zone = sources[1].zone = zone;
	sources[0].services = (struct crow_strings){names, 2};
	sources[0].max_services = sources[1].max_services = 100;
	sources[1].on_demand = true;
	config.sources = sources;
	config.source_count = 2;
}

/* n instances, every second one with a label of its own, in no order. */
static bool fill(struct crow_list *list, unsigned n, uint8_t net, struct crow_list_tally *tally)
{
	char ip[32], app[16];

	memset(tally, 0, sizeof(*tally));
	for (unsigned i = n; i-- > 0;) {
		snprintf(ip, sizeof(ip), "10.0.%u.%u", net, i);
		snprintf(app, sizeof(app), "app-%u", i / 2);
		if (!crow_list_add(list, NULL, ip, 80, 1, app, tally))
			return false;
	}
	return crow_list_finish(list, tally) == CROW_LIST_OK;
}

static struct crow_list good_list(unsigned n, uint8_t net, struct crow_list_tally *tally)
{
	struct crow_list list;

	crow_list_init(&list);
	assert_true(fill(&list, n, net, tally));
	return list;
}

static void test_building_a_list(void **state)
{
	struct crow_list_tally tally;
	struct crow_list list;
	bool built, failed = true;

	(void)state;
	need_own_malloc();
	for (long n = 0; failed; n++) {
		crow_list_init(&list);
		fail_after(n);
		built = fill(&list, 50, 0, &tally);
		failed = was_refused();
		/* Giving back slack may fail too, and then nothing is lost. */
		assert_true(built || failed);
		if (built)
			assert_int_equal(list.count, 50);
		crow_list_fini(&list);
	}
	assert_true(built);
}

static const char body[] = "{\"endpoints\":{\"items\":["
			   "{\"app\":\"x\",\"ip\":\"10.0.0.1\",\"port\":80,\"weight\":1},"
			   "{\"app\":\"y\",\"ip\":\"10.0.0.2\",\"port\":80,\"weight\":2.5}]}}";

/* json-c itself is in this: it must neither crash nor make us take half a list for a whole one. */
static void test_reading_json(void **state)
{
	enum crow_list_verdict verdict = CROW_LIST_NO_MEMORY;
	struct crow_list_tally tally;
	struct crow_list list;
	bool failed = true;

	(void)state;
	need_own_malloc();
	for (long n = 0; failed; n++) {
		crow_list_init(&list);
		fail_after(n);
		verdict = crow_list_read_json(&list, body, strlen(body), NULL, &tally);
		failed = was_refused();
		if (verdict == CROW_LIST_OK)
			assert_int_equal(list.count, 2);
		else
			assert_null(list.items);
		crow_list_fini(&list);
	}
	assert_int_equal(verdict, CROW_LIST_OK);
}

/* None of the tree's blocks is that large, but all of them together are. */
static void test_json_begins_only_with_memory_for_the_tree(void **state)
{
	struct crow_list_tally tally;
	struct crow_list list;

	(void)state;
	need_own_malloc();
	crow_list_init(&list);
	largest = 4096;
	assert_int_equal(crow_list_read_json(&list, body, strlen(body), NULL, &tally),
			 CROW_LIST_NO_MEMORY);
	largest = SIZE_MAX;
	assert_int_equal(crow_list_read_json(&list, body, strlen(body), NULL, &tally),
			 CROW_LIST_OK);
	crow_list_fini(&list);
}

static void test_configuring(void **state)
{
	struct crow_table table;
	bool failed = true;

	(void)state;
	need_own_malloc();
	fake_config();
	for (long n = 0; failed; n++) {
		struct crow_service *old_a, *on_demand;
		bool configured;

		crow_table_init(&table, NULL, NULL);
		sources[0].services.count = 2;
		assert_true(crow_table_configure(&table, &config));
		old_a = crow_table_find(&table, "a");
		on_demand = crow_table_add(&table, "x", &sources[1]);
		assert_non_null(on_demand);

		sources[0].services.count = 4;
		fail_after(n);
		configured = crow_table_configure(&table, &config);
		failed = was_refused();
		assert_int_equal(configured, !failed);
		assert_int_equal(table.count, configured ? 5 : 3);
		assert_ptr_equal(crow_table_find(&table, "a"), old_a);
		assert_ptr_equal(crow_table_find(&table, "x"), on_demand);
		crow_table_fini(&table);
	}
}

static void test_adding_and_denying(void **state)
{
	bool failed = true;

	(void)state;
	need_own_malloc();
	fake_config();
	for (long n = 0; failed; n++) {
		struct crow_service *added;
		struct crow_table table;

		crow_table_init(&table, NULL, NULL);
		assert_true(crow_table_configure(&table, &config));
		fail_after(n);
		added = crow_table_add(&table, "x", &sources[1]);
		crow_table_deny(&table, "y", CROW_NAME_UNKNOWN, 10);
		failed = was_refused();
		assert_ptr_equal(crow_table_find(&table, "x"), added);
		assert_int_equal(table.count, added ? 3 : 2);
		if (!failed)
			assert_non_null(crow_table_find_denial(&table, "y"));
		crow_table_expire(&table, 20);
		crow_table_fini(&table);
	}
}

static void test_taking_a_list(void **state)
{
	bool failed = true;

	(void)state;
	need_own_malloc();
	fake_config();
	for (long n = 0; failed; n++) {
		struct crow_list_tally tally;
		struct crow_list list, old;
		struct crow_service *service;
		struct crow_table table;

		crow_table_init(&table, NULL, NULL);
		assert_true(crow_table_configure(&table, &config));
		service = crow_table_find(&table, "a");
		list = good_list(10, 1, &tally);
		crow_table_take(&table, service, &list, &tally, 1000);
		old = good_list(10, 1, &tally);
		list = good_list(20, 2, &tally);

		fail_after(n);
		crow_table_take(&table, service, &list, &tally, 2000);
		failed = was_refused();
		assert_null(list.items);
		assert_int_equal(service->outcome, failed ? CROW_POLL_NO_MEMORY : CROW_POLL_OK);
		assert_int_equal(crow_list_equal(&service->list, &old), failed);
		assert_int_equal(service->tombstone_count, failed ? 0 : 10);
		crow_list_fini(&old);
		crow_table_fini(&table);
	}
}

/* All of it or nothing, for an image that fails its own checks must not leave. */
static void test_building_an_image(void **state)
{
	struct crow_published *image = NULL;
	struct crow_list_tally tally;
	struct crow_table table;
	struct crow_list list;
	bool failed = true;

	(void)state;
	need_own_malloc();
	fake_config();
	crow_table_init(&table, NULL, NULL);
	assert_true(crow_table_configure(&table, &config));
	list = good_list(10, 1, &tally);
	crow_table_take(&table, crow_table_find(&table, "a"), &list, &tally, 1000);
	list = good_list(10, 2, &tally);
	crow_table_take(&table, crow_table_find(&table, "a"), &list, &tally, 2000);
	crow_table_deny(&table, "x.zone", CROW_NAME_UNKNOWN, 10000);
	for (long n = 0; failed; n++) {
		fail_after(n);
		image = crow_publish_build(&table, 1, 3000, 3);
		failed = was_refused();
		assert_int_equal(image == NULL, failed);
		free(image);
	}
	crow_table_fini(&table);
}

static int loaded;

static void on_load(void *context, struct crow_state *found)
{
	(void)context;
	assert_string_equal(found->service, "a");
	assert_int_equal(found->list.count, 10);
	assert_int_equal(found->taken_wall_s, 7);
	loaded++;
}

/* A start without memory must not condemn a whole file. */
static void test_loading_state(void **state)
{
	char dir[] = "/tmp/crowfly-memory-XXXXXX", path[64];
	struct crow_service service = {.name = names[0], .source = &sources[0], .taken_wall_s = 7};
	struct crow_list_tally tally;
	bool failed = true;

	(void)state;
	need_own_malloc();
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/a.list", dir);
	service.list = good_list(10, 1, &tally);
	fail_after(0);
	assert_true(crow_state_save(dir, &service));
	assert_false(was_refused()); /* saving allocates nothing */

	for (long n = 0; failed; n++) {
		loaded = 0;
		fail_after(n);
		crow_state_load(dir, on_load, NULL);
		failed = was_refused();
		assert_int_equal(access(path, F_OK), 0);
	}
	assert_int_equal(loaded, 1);
	crow_list_fini(&service.list);
	unlink(path);
	rmdir(dir);
}

#define LASTING(name) cmocka_unit_test_setup(test_##name, setup_lasting)
#define ONCE(name)    cmocka_unit_test_setup(test_##name, setup_once)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LASTING(building_a_list),
		ONCE(building_a_list),
		LASTING(reading_json), /* once: json-c 0.16 itself crashes (list_json.c says why) */
		LASTING(json_begins_only_with_memory_for_the_tree),
		LASTING(configuring),
		ONCE(configuring),
		LASTING(adding_and_denying),
		ONCE(adding_and_denying),
		LASTING(taking_a_list),
		ONCE(taking_a_list),
		LASTING(building_an_image),
		ONCE(building_an_image),
		LASTING(loading_state),
		ONCE(loading_state),
	};

	return cmocka_run_group_tests_name("out_of_memory", tests, NULL, NULL);
}
