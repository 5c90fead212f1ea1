/* Private copies of the snapshot file: what is trusted, what is refused, what is kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/runtime.h"
#include "resolver/attach.h"

static struct fixture f;
static struct crow_published *published;
static struct crow_copy copy;
static char dir[] = "/tmp/crowfly-attach-XXXXXX", path[64];

static const struct fixture_item one[] = {{"10.0.0.1", 8000, 100}};

static int setup(void **state)
{
	struct stat identity;

	(void)state;
	strcpy(dir + sizeof(dir) - 7, "XXXXXX");
	assert_non_null(mkdtemp(dir));
	chmod(dir, 0755);
	snprintf(path, sizeof(path), "%s/snapshot", dir);
	fixture_init(&f, FIXTURE_CONFIG);
	fixture_take(&f, "one", one, 1);
	published = fixture_build(&f);
	assert_true(crow_runtime_write_snapshot(dir, published->bytes, published->image.size,
						&identity));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	crow_copy_fini(&copy);
	free(published);
	fixture_fini(&f);
	unlink(path);
	rmdir(path);
	return rmdir(dir);
}

static void test_loads(void **state)
{
	enum crow_image_error error;
	int before = dup(0);

	(void)state;
	close(before);
	assert_int_equal(crow_copy_load(&copy, dir, &error), CROW_ATTACH_OK);
	assert_int_equal(copy.image.size, published->image.size);
	assert_memory_equal(copy.image.bytes, published->bytes, copy.image.size);
	assert_false(crow_copy_is_outdated(&copy.identity, dir));
	assert_int_equal(dup(0), before); /* no descriptor is kept */
	close(before);
}

static void test_notices_a_new_file(void **state)
{
	struct stat identity;

	(void)state;
	assert_int_equal(crow_copy_load(&copy, dir, NULL), CROW_ATTACH_OK);
	assert_true(crow_runtime_write_snapshot(dir, published->bytes, published->image.size,
						&identity));
	assert_true(crow_copy_is_outdated(&copy.identity, dir));
	unlink(path);
	assert_false(crow_copy_is_outdated(&copy.identity, dir)); /* the last copy serves on */
	assert_int_equal(crow_copy_load(&copy, dir, NULL), CROW_ATTACH_ABSENT);
}

static void test_refuses_a_fifo_link_and_directory(void **state)
{
	char other[80];

	(void)state;
	snprintf(other, sizeof(other), "%s/other", dir);
	rename(path, other);
	assert_int_equal(symlink(other, path), 0);
	assert_int_equal(crow_copy_load(&copy, dir, NULL), CROW_ATTACH_UNTRUSTED);
	unlink(path);
	unlink(other);
	assert_int_equal(mkfifo(path, 0644), 0);
	assert_int_equal(crow_copy_load(&copy, dir, NULL), CROW_ATTACH_UNTRUSTED);
	unlink(path);
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(crow_copy_load(&copy, dir, NULL), CROW_ATTACH_UNTRUSTED);
	assert_null(copy.image.header);
}

static void test_refuses_what_others_may_write(void **state)
{
	(void)state;
	chmod(path, 0664);
	assert_int_equal(crow_copy_load(&copy, dir, NULL), CROW_ATTACH_UNTRUSTED);
	chmod(path, 0646);
	assert_int_equal(crow_copy_load(&copy, dir, NULL), CROW_ATTACH_UNTRUSTED);
	chmod(path, 0444);
	assert_int_equal(crow_copy_load(&copy, dir, NULL), CROW_ATTACH_OK);
}

/* The daemon's user owns file and directory: trusted, as long as nobody else may write there. */
static void test_owner(void **state)
{
	(void)state;
	if (geteuid() != 0) {
		print_message("skipped: only root can make a file somebody else's\n");
		skip();
	}
	assert_int_equal(chown(path, 65533, 65533), 0);
	assert_int_equal(crow_copy_load(&copy, dir, NULL), CROW_ATTACH_UNTRUSTED);
	assert_int_equal(chown(dir, 65533, 65533), 0);
	assert_int_equal(crow_copy_load(&copy, dir, NULL), CROW_ATTACH_OK);
	chmod(dir, 0775);
	assert_int_equal(crow_copy_load(&copy, dir, NULL), CROW_ATTACH_UNTRUSTED);
	chmod(dir, 0755);
}

static void test_refuses_damage(void **state)
{
	enum crow_image_error error;
	int fd = open(path, O_WRONLY);

	(void)state;
	assert_int_equal(pwrite(fd, "x", 1, 200), 1);
	assert_int_equal(crow_copy_load(&copy, dir, &error), CROW_ATTACH_INVALID);
	assert_int_equal(error, CROW_IMAGE_CHECKSUM);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(crow_copy_load(&copy, dir, &error), CROW_ATTACH_INVALID);
	assert_int_equal(error, CROW_IMAGE_SHORT);
	assert_int_equal(ftruncate(fd, (off_t)CROW_SNAP_MAX_SIZE + 1), 0);
	assert_int_equal(crow_copy_load(&copy, dir, &error), CROW_ATTACH_INVALID);
	assert_null(copy.image.header);
	close(fd);
}

static void test_absent_directory(void **state)
{
	(void)state;
	assert_int_equal(crow_copy_load(&copy, "/nonexistent/crowfly", NULL), CROW_ATTACH_ABSENT);
	assert_false(crow_copy_is_outdated(&copy.identity, "/nonexistent/crowfly"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_loads),
		TEST(test_notices_a_new_file),
		TEST(test_refuses_a_fifo_link_and_directory),
		TEST(test_refuses_what_others_may_write),
		TEST(test_owner),
		TEST(test_refuses_damage),
		TEST(test_absent_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
