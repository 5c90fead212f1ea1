/* Files that change: written, renamed over, swapped by a link, gone and back. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/discovery/file.h"
#include "daemon/watch.h"

#define S INT64_C(1000000000)

static char dir[64];
static struct crow_loop *loop;
static struct crow_watcher *watcher;

struct seen {
	int changes;
	struct crow_file_watch *watch;
	bool free_it;
};

static void on_change(void *context)
{
	struct seen *seen = context;

	seen->changes++;
	if (seen->free_it)
		crow_file_watch_free(seen->watch);
	crow_loop_stop(loop);
}

static void on_overdue(struct crow_timer *timer, int64_t now_ns)
{
	(void)timer;
	(void)now_ns;
	crow_loop_stop(loop);
}

/* Runs the loop until a change is told, at most for a long time. */
static void run(void)
{
	struct crow_timer overdue = {.on_due = on_overdue};

	crow_timer_set(loop, &overdue, crow_now_ns() + 10 * S);
	crow_loop_run(loop);
	crow_timer_clear(loop, &overdue);
}

static const char *in_dir(const char *name)
{
	static char paths[4][160];
	static unsigned turn;
	char *path = paths[turn++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
	return path;
}

static void put(const char *name, const char *text)
{
	FILE *file = fopen(in_dir(name), "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void add(struct seen *seen, const char *name)
{
	seen->watch = crow_file_watch_new(watcher, in_dir(name), on_change, seen);
	assert_non_null(seen->watch);
}

static int set_up(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/crowfly-test-watch-XXXXXX");
	loop = crow_loop_new();
	watcher = loop ? crow_watcher_new(loop) : NULL;
	return watcher && mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state)
{
	char command[128];

	(void)state;
	crow_watcher_free(watcher);
	crow_loop_free(loop);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static void test_written_in_place(void **state)
{
	struct seen seen = {0};

	(void)state;
	put("list.json", "a");
	add(&seen, "list.json");
	put("list.json", "b");
	run();
	assert_int_equal(seen.changes, 1);
	crow_file_watch_free(seen.watch);
}

static void test_renamed_over(void **state)
{
	struct seen seen = {0};

	(void)state;
	put("list.json", "a");
	add(&seen, "list.json");
	for (int i = 1; i <= 3; i++) {
		put("list.json.tmp", "b"); /* another file's change: not told */
		assert_int_equal(rename(in_dir("list.json.tmp"), in_dir("list.json")), 0);
		run();
		assert_int_equal(seen.changes, i);
	}
	crow_file_watch_free(seen.watch);
}

static void test_appears_later(void **state)
{
	struct seen seen = {0};

	(void)state;
	add(&seen, "list.json");
	put("list.json", "a");
	run();
	assert_int_equal(seen.changes, 1);
	crow_file_watch_free(seen.watch);
}

/* What the kubelet does with a ConfigMap: list.json -> ..data/list.json, ..data -> ..1. */
static void test_link_is_swapped(void **state)
{
	struct seen seen = {0}, other = {0};

	(void)state;
	assert_int_equal(mkdir(in_dir("..1"), 0755), 0);
	assert_int_equal(mkdir(in_dir("..2"), 0755), 0);
	put("..1/list.json", "a");
	put("..2/list.json", "b");
	put("other.json", "c");
	assert_int_equal(symlink("..1", in_dir("..data")), 0);
	assert_int_equal(symlink("..data/list.json", in_dir("list.json")), 0);
	add(&seen, "list.json");
	add(&other, "other.json");
	assert_int_equal(symlink("..2", in_dir("..data_tmp")), 0);
	assert_int_equal(rename(in_dir("..data_tmp"), in_dir("..data")), 0);
	run();
	assert_int_equal(seen.changes, 1);
	assert_int_equal(other.changes, 0);
	crow_file_watch_free(seen.watch);
	crow_file_watch_free(other.watch);
}

static void test_directory_is_replaced(void **state)
{
	struct seen seen = {0};

	(void)state;
	add(&seen, "etc/list.json"); /* the directory is not there yet */
	assert_int_equal(mkdir(in_dir("etc"), 0755), 0);
	crow_file_watch_renew(seen.watch);
	put("etc/list.json", "a");
	run();
	assert_int_equal(seen.changes, 1);

	assert_int_equal(rename(in_dir("etc"), in_dir("etc.old")), 0);
	assert_int_equal(mkdir(in_dir("etc"), 0755), 0);
	crow_file_watch_renew(seen.watch);
	put("etc.old/list.json", "old");
	put("etc/list.json", "new");
	run();
	assert_int_equal(seen.changes, 2);

	assert_int_equal(unlink(in_dir("etc/list.json")), 0);
	assert_int_equal(rmdir(in_dir("etc")), 0);
	assert_int_equal(mkdir(in_dir("etc"), 0755), 0);
	crow_file_watch_renew(seen.watch);
	put("etc/list.json", "again");
	run();
	assert_int_equal(seen.changes, 3);
	crow_file_watch_free(seen.watch);
}

static void test_two_of_one_directory(void **state)
{
	struct seen first = {.free_it = true}, second = {0};

	(void)state;
	add(&first, "first.json");
	add(&second, "second.json");
	put("first.json", "a");
	run();
	assert_int_equal(first.changes, 1);
	assert_int_equal(second.changes, 0);
	/* The first is gone, and the directory is still watched for the second. */
	put("first.json", "b");
	put("second.json", "b");
	run();
	assert_int_equal(first.changes, 1);
	assert_int_equal(second.changes, 1);
	crow_file_watch_free(second.watch);
}

static void test_reading(void **state)
{
	char *bytes;
	size_t size;

	(void)state;
	put("list.json", "0123456789");
	assert_int_equal(crow_file_read(in_dir("list.json"), 10, &bytes, &size), 0);
	assert_int_equal(size, 10);
	assert_memory_equal(bytes, "0123456789", 10);
	free(bytes);
	assert_int_equal(crow_file_read(in_dir("list.json"), 9, &bytes, &size), EFBIG);
	assert_null(bytes);
	assert_int_equal(crow_file_read(in_dir("none.json"), 10, &bytes, &size), ENOENT);
	put("empty.json", "");
	assert_int_equal(crow_file_read(in_dir("empty.json"), 10, &bytes, &size), 0);
	assert_int_equal(size, 0);
	free(bytes);
}

/* Nobody ever writes to the FIFO: opening it must not wait for that. */
static void test_only_regular_files_are_read(void **state)
{
	char *bytes;
	size_t size;

	(void)state;
	assert_int_equal(mkfifo(in_dir("fifo"), 0644), 0);
	assert_int_equal(crow_file_read(in_dir("fifo"), 10, &bytes, &size), EINVAL);
	assert_int_equal(crow_file_read(dir, 10, &bytes, &size), EINVAL);
	assert_int_equal(crow_file_read("/dev/zero", 10, &bytes, &size), EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_written_in_place, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_renamed_over, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_appears_later, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_link_is_swapped, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_directory_is_replaced, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_two_of_one_directory, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_reading, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_only_regular_files_are_read, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
