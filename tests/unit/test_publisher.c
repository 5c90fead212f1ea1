/* Publishing: the file, coalescing, and readers while images come and go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include "daemon/publisher.h"
#include "daemon/runtime.h"
#include "resolver/attach.h"
#include "tests/unit/fixture.h"

static struct fixture f;
static struct crow_loop *loop;
static struct crow_publisher *publisher;
static char dir[] = "/tmp/crowfly-publish-XXXXXX";
static unsigned published_count;

static void on_published(void *context)
{
	(void)context;
	published_count++;
}

static int setup(void **state)
{
	(void)state;
	strcpy(dir + sizeof(dir) - 7, "XXXXXX");
	assert_non_null(mkdtemp(dir));
	fixture_init(&f, FIXTURE_CONFIG);
	loop = crow_loop_new();
	published_count = 0;
	publisher = crow_publisher_new(loop, &f.table, dir, on_published, NULL);
	assert_non_null(publisher);
	return 0;
}

static int teardown(void **state)
{
	char path[64];

	(void)state;
	crow_publisher_free(publisher);
	crow_loop_free(loop);
	fixture_fini(&f);
	snprintf(path, sizeof(path), "%s/snapshot", dir);
	unlink(path);
	return rmdir(dir);
}

/* Relation between two fields: the port of every instance is 7000 + the size of its list. */
static void take_list(unsigned n)
{
	struct fixture_item items[64];
	char text[64][16];

	for (unsigned i = 0; i < n; i++) {
		snprintf(text[i], sizeof(text[i]), "10.0.0.%u", i + 1);
		items[i] = (struct fixture_item){text[i], 7000 + (int)n, 100};
	}
	fixture_take(&f, "one", items, n);
}

/* All descriptors but those in use are gone. */
static void test_the_file_is_written_without_a_free_descriptor(void **state)
{
	struct crow_copy copy = {0};
	int taken[256];
	size_t count = 0;
	struct rlimit before, low;

	(void)state;
	crow_publisher_check_file(publisher);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	low = (struct rlimit){.rlim_cur = 200, .rlim_max = before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	while ((taken[count] = dup(STDERR_FILENO)) >= 0)
		count++;
	assert_int_equal(errno, EMFILE);

	for (unsigned n = 1; n <= 2; n++) { /* the reserve is there again afterwards */
		take_list(n);
		crow_publisher_flush(publisher);
	}
	assert_int_equal(dup(STDERR_FILENO), -1);
	while (count > 0)
		close(taken[--count]);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(crow_copy_load(&copy, dir, NULL), CROW_ATTACH_OK);
	assert_int_equal(crow_image_service(&copy.image, 0)->count, 2);
	crow_copy_fini(&copy);
}

static void test_file_holds_the_image(void **state)
{
	struct crow_copy copy = {0};

	(void)state;
	take_list(3);
	crow_publisher_flush(publisher);
	assert_int_equal(crow_copy_load(&copy, dir, NULL), CROW_ATTACH_OK);
	assert_int_equal(crow_image_service(&copy.image, 0)->count, 3);
	assert_int_equal(copy.image.header->generation, 2);
	assert_int_equal(published_count, 1);
	crow_copy_fini(&copy);
}

static void test_wiped_file_comes_back(void **state)
{
	struct crow_copy copy = {0};
	char path[64];

	(void)state;
	crow_publisher_check_file(publisher);
	assert_int_equal(crow_copy_load(&copy, dir, NULL), CROW_ATTACH_OK);
	crow_publisher_check_file(publisher);
	assert_false(crow_copy_is_outdated(&copy.identity, dir)); /* whole: not written again */
	snprintf(path, sizeof(path), "%s/snapshot", dir);
	unlink(path);
	rmdir(dir);
	crow_publisher_check_file(publisher);
	assert_int_equal(crow_copy_load(&copy, dir, NULL), CROW_ATTACH_OK);
	crow_copy_fini(&copy);
}

static struct crow_timer stop_timer;

static void on_stop(struct crow_timer *timer, int64_t now_ns)
{
	(void)timer;
	(void)now_ns;
	if (published_count > 0)
		crow_loop_stop(loop);
	else
		crow_timer_set(loop, &stop_timer, crow_now_ns() + 1000000);
}

static void test_bursts_are_one_image(void **state)
{
	(void)state;
	for (int i = 0; i < 100; i++)
		crow_publisher_schedule(publisher);
	stop_timer = (struct crow_timer){.on_due = on_stop};
	crow_timer_set(loop, &stop_timer, crow_now_ns());
	crow_loop_run(loop);
	assert_int_equal(published_count, 1);
	assert_int_equal(crow_publisher_image(publisher)->header->generation, 2);
}

static void on_turn(struct crow_timer *timer, int64_t now_ns)
{
	(void)timer;
	(void)now_ns;
	crow_loop_stop(loop);
}

/* After a quiet while: it is out before a timer that was set later for that same moment. */
static void test_the_first_change_waits_for_nobody(void **state)
{
	int64_t quiet_ns = crow_now_ns() + 11 * INT64_C(1000000);

	(void)state;
	stop_timer = (struct crow_timer){.on_due = on_turn};
	crow_timer_set(loop, &stop_timer, quiet_ns);
	crow_loop_run(loop);
	crow_publisher_schedule(publisher);
	crow_timer_set(loop, &stop_timer, crow_now_ns());
	crow_loop_run(loop);
	assert_int_equal(published_count, 1);
}

static void test_second_lock_is_refused(void **state)
{
	char complaint[256] = "", path[64];
	int first = crow_runtime_lock(dir, complaint, sizeof(complaint));

	(void)state;
	assert_true(first >= 0);
	assert_int_equal(crow_runtime_lock(dir, complaint, sizeof(complaint)), -1);
	assert_non_null(strstr(complaint, "another crowflyd runs on /tmp/crowfly-publish-"));
	assert_true(crow_runtime_is_locked(dir, first));
	snprintf(path, sizeof(path), "%s/lock", dir);
	unlink(path);
	assert_false(crow_runtime_is_locked(dir, first));
	close(first);
}

struct reading {
	struct crow_reader reader;
	pthread_t thread;
	unsigned long seen;
	bool torn;
};

static atomic_bool stop_reading;

static void *read_on(void *argument)
{
	struct reading *reading = argument;

	while (!atomic_load(&stop_reading)) {
		const struct crow_image *img = crow_reader_acquire(&reading->reader);
		const struct crow_snap_service *service = crow_image_service(img, 0);

		for (uint32_t i = 0; i < service->count; i++)
			if (crow_image_instance(img, service->first + i)->port !=
			    7000 + service->count)
				reading->torn = true;
		crow_reader_release(&reading->reader);
		reading->seen++;
	}
	return NULL;
}

static void test_readers_see_whole_images(void **state)
{
	enum { READERS = 3, IMAGES = 500 };
	struct reading readings[READERS] = {0};

	(void)state;
	atomic_store(&stop_reading, false);
	for (int i = 0; i < READERS; i++) {
		crow_reader_init(&readings[i].reader, publisher);
		pthread_create(&readings[i].thread, NULL, read_on, &readings[i]);
	}
	for (unsigned i = 0; i < IMAGES; i++) {
		take_list(1 + i % 40);
		crow_publisher_flush(publisher);
	}
	atomic_store(&stop_reading, true);
	for (int i = 0; i < READERS; i++) {
		pthread_join(readings[i].thread, NULL);
		assert_false(readings[i].torn);
		assert_true(readings[i].seen > 0);
	}
	assert_int_equal(crow_publisher_image(publisher)->header->generation, IMAGES + 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_file_holds_the_image),
		TEST(test_wiped_file_comes_back),
		TEST(test_bursts_are_one_image),
		TEST(test_the_first_change_waits_for_nobody),
		TEST(test_second_lock_is_refused),
		TEST(test_readers_see_whole_images),
		TEST(test_the_file_is_written_without_a_free_descriptor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
