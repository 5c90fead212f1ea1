/*
 * The process's current image: updates, readers, threads, forks, signals. The data carries a
 * relation: image number g has one service of one instance, 10.0.hi.lo with g = hi << 8 | lo, and
 * generation g. A torn or recycled image breaks it.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/runtime.h"
#include "preload/current.h"
#include "preload/memo.h"
#include "resolver/pick.h"
#include "tests/unit/fixture.h"

#define IMAGES  64
#define THREADS 4

static char dir[] = "/tmp/crowfly-current-XXXXXX";
static struct crow_published *images[IMAGES];

static struct crow_addr address(unsigned g)
{
	uint8_t bytes[4] = {10, 0, (uint8_t)(g >> 8), (uint8_t)g};

	return crow_addr_v4(bytes);
}

/* The clock of this program, libcrowfly-preload.a included. */
static atomic_llong ahead_s;

static atomic_bool stopped;
static struct timespec stopped_at;

int clock_gettime(clockid_t id, struct timespec *ts)
{
	int result = (int)syscall(SYS_clock_gettime, id, ts);

	if (atomic_load(&stopped))
		*ts = stopped_at;
	ts->tv_sec += (time_t)atomic_load(&ahead_s);
	return result;
}

static bool try_publish(unsigned g)
{
	struct stat identity;

	return crow_runtime_write_snapshot(dir, images[g]->bytes, images[g]->image.size, &identity);
}

static void publish(unsigned g)
{
	assert_true(try_publish(g));
}

static int setup(void **state)
{
	struct fixture f;

	(void)state;
	assert_non_null(mkdtemp(dir));
	chmod(dir, 0755);
	fixture_init(&f, FIXTURE_CONFIG);
	for (unsigned g = 1; g < IMAGES; g++) {
		char ip[16];
		struct fixture_item item = {ip, 8000, 1};

		snprintf(ip, sizeof(ip), "10.0.%u.%u", g >> 8, g & 255);
		fixture_take(&f, "one", &item, 1);
		images[g] = crow_publish_build(&f.table, g, 1, 1);
		assert_non_null(images[g]);
	}
	fixture_fini(&f);
	publish(1);
	return crow_current_open(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	char path[64];

	(void)state;
	for (unsigned g = 1; g < IMAGES; g++)
		free(images[g]);
	snprintf(path, sizeof(path), "%s/snapshot", dir);
	unlink(path);
	return rmdir(dir);
}

/* Which image it is; 0 if it is none of ours, or torn. */
static unsigned identify(const struct crow_image *img)
{
	const struct crow_snap_service *service = crow_image_service(img, 0);
	const struct crow_snap_instance *instance;
	struct crow_addr expected;
	unsigned g;

	if (service == NULL || img->header == NULL)
		return 0;
	g = (unsigned)img->header->generation;
	instance = crow_image_instance(img, service->first);
	expected = address(g);
	if (instance == NULL || crow_addr_compare(&instance->addr, &expected) != 0)
		return 0;
	return g;
}

static unsigned look(enum crow_current_age age)
{
	struct crow_current current;
	unsigned g;

	if (!crow_current_enter(&current, age))
		return 0;
	g = identify(current.image);
	crow_current_leave(&current);
	return g;
}

static void test_a_new_file_is_seen_at_once_by_who_asks(void **state)
{
	(void)state;
	assert_int_equal(look(CROW_CURRENT_NOW), 1);
	for (unsigned g = 2; g < 10; g++) {
		publish(g);
		assert_int_equal(look(CROW_CURRENT_NOW), g);
		assert_int_equal(look(CROW_CURRENT_SECOND), g);
	}
}

static void test_a_reader_keeps_its_image(void **state)
{
	struct crow_current reader;
	unsigned before;

	(void)state;
	publish(10);
	assert_int_equal(look(CROW_CURRENT_NOW), 10);
	assert_true(crow_current_enter(&reader, CROW_CURRENT_NOW));
	publish(11);
	assert_int_equal(look(CROW_CURRENT_NOW), 11); /* into the other copy */
	publish(12);
	before = look(CROW_CURRENT_NOW); /* no copy is free: the current one serves */
	assert_int_equal(before, 11);
	assert_int_equal(identify(reader.image), 10);
	crow_current_leave(&reader);
	assert_int_equal(look(CROW_CURRENT_NOW), 12);
}

static void test_a_bad_file_changes_nothing(void **state)
{
	char path[64];
	FILE *file;

	(void)state;
	publish(13);
	assert_int_equal(look(CROW_CURRENT_NOW), 13);
	snprintf(path, sizeof(path), "%s/snapshot", dir);
	unlink(path);
	errno = EXDEV;
	assert_int_equal(look(CROW_CURRENT_NOW), 13);
	assert_int_equal(errno, EXDEV);
	file = fopen(path, "w");
	fputs("not a snapshot", file);
	fclose(file);
	assert_int_equal(look(CROW_CURRENT_NOW), 13);
	assert_int_equal(errno, EXDEV);
}

static void test_what_may_be_ours(void **state)
{
	struct crow_addr addr;

	(void)state;
	for (unsigned g = 1; g <= 13; g++) { /* what was there once is never denied again */
		addr = address(g);
		assert_true(crow_current_may_have(&addr));
	}
	addr = address(40000);
	assert_false(crow_current_may_have(&addr));
}

/* For connects to addresses that are ours: those that follow each other closely share a stat(). */
static void test_an_age_of_a_tick(void **state)
{
	(void)state;
	atomic_fetch_add(&ahead_s, 2); /* past the bad file of the test before */
	publish(14);
	assert_int_equal(look(CROW_CURRENT_SECOND), 14);
	clock_gettime(CLOCK_MONOTONIC_COARSE, &stopped_at);
	stopped_at.tv_sec -= (time_t)atomic_load(&ahead_s);
	atomic_store(&stopped, true);
	publish(15);
	assert_int_equal(look(CROW_CURRENT_NOW), 15);
	publish(16);
	assert_int_equal(look(CROW_CURRENT_TICK), 15);
	stopped_at.tv_nsec += 1000000;
	assert_int_equal(look(CROW_CURRENT_TICK), 16);
	atomic_store(&stopped, false);
}

/* What was decided by an image holds for as long as its version is the current one. */
static void test_each_image_has_a_version(void **state)
{
	uint64_t first, second;

	(void)state;
	publish(22);
	assert_int_equal(look(CROW_CURRENT_NOW), 22);
	first = crow_current_version(CROW_CURRENT_ANY);
	assert_int_equal(look(CROW_CURRENT_NOW), 22);
	assert_true(crow_current_version(CROW_CURRENT_ANY) == first);
	clock_gettime(CLOCK_MONOTONIC_COARSE, &stopped_at);
	stopped_at.tv_sec -= (time_t)atomic_load(&ahead_s);
	atomic_store(&stopped, true);
	publish(23);
	assert_int_equal(look(CROW_CURRENT_NOW), 23);
	second = crow_current_version(CROW_CURRENT_TICK);
	assert_true(second != 0 && second != first);
	stopped_at.tv_nsec += 1000000;
	assert_true(crow_current_version(CROW_CURRENT_TICK) == 0);
	assert_true(crow_current_version(CROW_CURRENT_SECOND) == second);
	assert_int_equal(look(CROW_CURRENT_TICK), 23);
	assert_true(crow_current_version(CROW_CURRENT_TICK) == second);
	atomic_store(&stopped, false);
}

/* For connects to addresses that are not ours, one stat() a second is the limit. */
static void test_an_age_of_a_second(void **state)
{
	(void)state;
	atomic_fetch_add(&ahead_s, 2);
	publish(17);
	assert_int_equal(look(CROW_CURRENT_SECOND), 17);
	publish(18);
	assert_int_equal(look(CROW_CURRENT_SECOND), 17);
	atomic_fetch_add(&ahead_s, 2);
	assert_int_equal(look(CROW_CURRENT_SECOND), 18);
	/* Not even that for who takes it as it is. */
	publish(19);
	atomic_fetch_add(&ahead_s, 2);
	assert_int_equal(look(CROW_CURRENT_ANY), 18);
}

/* siglongjmp() out of a look-up leaves a reader that nobody will ever take away. */
static void test_a_reader_that_never_leaves_stops_updates_for_a_while_only(void **state)
{
	struct crow_current lost;

	(void)state;
	publish(19);
	assert_int_equal(look(CROW_CURRENT_NOW), 19);
	assert_true(crow_current_enter(&lost, CROW_CURRENT_NOW));
	publish(20);
	assert_int_equal(look(CROW_CURRENT_NOW), 20);
	publish(21);
	assert_int_equal(look(CROW_CURRENT_NOW), 20);
	atomic_fetch_add(&ahead_s, 5);
	assert_int_equal(look(CROW_CURRENT_NOW), 20);
	atomic_fetch_add(&ahead_s, 10);
	assert_int_equal(look(CROW_CURRENT_NOW), 21);
	assert_int_equal(identify(lost.image), 19);
	crow_current_leave(&lost);
	publish(22);
	assert_int_equal(look(CROW_CURRENT_NOW), 22);
}

/* However many others come between. */
static void test_each_service_has_its_own_sequence(void **state)
{
	struct crow_current reader;
	uint64_t point;

	(void)state;
	publish(13);
	assert_int_equal(look(CROW_CURRENT_NOW), 13);
	assert_true(crow_current_enter(&reader, CROW_CURRENT_NOW));
	point = crow_current_next_point(&reader, 5);
	crow_current_next_point(&reader, 6);
	crow_current_next_point(&reader, 61);
	crow_current_next_point(&reader, CROW_CURRENT_FIRSTS);
	crow_current_next_point(&reader, CROW_CURRENT_OTHERS);
	assert_int_equal(crow_current_next_point(&reader, 5), point + crow_pick_point(1));
	crow_current_leave(&reader);
}

static void test_a_child_starts_anew(void **state)
{
	struct crow_current parent, reader;
	uint64_t version;
	int status;
	pid_t pid;

	(void)state;
	publish(14);
	assert_true(crow_current_enter(&reader, CROW_CURRENT_NOW));
	version = crow_current_version(CROW_CURRENT_ANY);
	pid = fork();
	if (pid == 0) {
		struct crow_current child;
		bool good =
			crow_current_version(CROW_CURRENT_ANY) == 0 &&
			look(CROW_CURRENT_NOW) == 14 &&
			crow_current_version(CROW_CURRENT_ANY) != version &&
			crow_current_enter(&child, CROW_CURRENT_NOW) && child.set != reader.set &&
			crow_current_next_point(&child, 0) != crow_current_next_point(&reader, 0);

		crow_current_leave(&reader); /* entered before the fork: no harm */
		crow_current_leave(&child);
		good = good && try_publish(15) && look(CROW_CURRENT_NOW) == 15;
		_exit(good && try_publish(16) && look(CROW_CURRENT_NOW) == 16 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_not_equal(identify(reader.image), 0);
	crow_current_leave(&reader);
	assert_true(crow_current_enter(&parent, CROW_CURRENT_SECOND));
	crow_current_leave(&parent);
}

/* Where the file cannot be read any more, a new set goes on with what the process had. */
static void test_a_child_without_a_file_has_its_parents_image(void **state)
{
	struct crow_addr addr = address(15);
	char path[64];
	int status;
	pid_t pid;

	(void)state;
	publish(15);
	assert_int_equal(look(CROW_CURRENT_NOW), 15);
	snprintf(path, sizeof(path), "%s/snapshot", dir);
	unlink(path);
	pid = fork();
	if (pid == 0) {
		bool good = look(CROW_CURRENT_NOW) == 15 && crow_current_may_have(&addr);

		pid = fork();
		if (pid == 0)
			_exit(look(CROW_CURRENT_NOW) == 15 ? 0 : 1);
		good = good && waitpid(pid, &status, 0) == pid && status == 0;
		atomic_fetch_add(&ahead_s, 2);
		_exit(good && try_publish(16) && look(CROW_CURRENT_SECOND) == 16 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_a_set_given_up_leaves_its_image_to_the_next(void **state)
{
	struct crow_current lost;
	char path[64];

	(void)state;
	publish(23);
	assert_int_equal(look(CROW_CURRENT_NOW), 23);
	assert_true(crow_current_enter(&lost, CROW_CURRENT_NOW));
	publish(24);
	assert_int_equal(look(CROW_CURRENT_NOW), 24);
	snprintf(path, sizeof(path), "%s/snapshot", dir);
	unlink(path);
	assert_int_equal(look(CROW_CURRENT_NOW), 24); /* no copy is free from here on */
	atomic_fetch_add(&ahead_s, 11);
	assert_int_equal(look(CROW_CURRENT_NOW), 24);
	publish(25);
	atomic_fetch_add(&ahead_s, 2);
	assert_int_equal(look(CROW_CURRENT_NOW), 25);
	crow_current_leave(&lost);
}

static atomic_bool stop;
static atomic_uint torn, looked;

static void *reader_thread(void *unused)
{
	(void)unused;
	while (!atomic_load(&stop)) {
		if (look(CROW_CURRENT_NOW) == 0)
			atomic_fetch_add(&torn, 1);
		atomic_fetch_add(&looked, 1);
	}
	return NULL;
}

static void on_signal(int signal)
{
	(void)signal;
	if (look(CROW_CURRENT_NOW) == 0)
		atomic_fetch_add(&torn, 1);
}

/* Readers, signals that read while their thread updates, and children that are born in between. */
static void test_threads_signals_and_forks_never_see_a_torn_image(void **state)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	pthread_t threads[THREADS];
	unsigned children = 0;

	(void)state;
	sigaction(SIGUSR1, &action, NULL);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, reader_thread, NULL), 0);
	for (unsigned round = 0; round < 2000 || atomic_load(&looked) < 20000; round++) {
		publish(1 + round % (IMAGES - 1));
		pthread_kill(threads[round % THREADS], SIGUSR1);
		if (round % 100 == 0 && round < 2000) {
			int status;
			pid_t pid = fork();

			if (pid == 0)
				_exit(look(CROW_CURRENT_NOW) == 0 || look(CROW_CURRENT_NOW) == 0);
			assert_int_equal(waitpid(pid, &status, 0), pid);
			children += status != 0;
		}
	}
	atomic_store(&stop, true);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&torn), 0);
	assert_int_equal(children, 0);
	publish(20);
	assert_int_equal(look(CROW_CURRENT_NOW), 20);
}

#define CIRCLE (IMAGES - 1) /* of images that follow each other again and again */

static atomic_uint loaded, outdated, remembered;

/* As connect() does: what is remembered of the current image, else what that says itself. */
static unsigned decided(void)
{
	struct crow_target asked = {.addr = address(1), .port = 1};
	struct crow_decision decision = {.is_sole = true, .is_asked = true};
	uint64_t version = crow_current_version(CROW_CURRENT_ANY);

	if (crow_memo_get(version, &asked, &decision)) {
		atomic_fetch_add(&remembered, 1);
		return decision.service;
	}
	decision.service = look(CROW_CURRENT_ANY);
	crow_memo_put(version, &asked, &decision);
	return decision.service;
}

static void *decider_thread(void *unused)
{
	(void)unused;
	while (!atomic_load(&stop)) {
		unsigned first = atomic_load(&loaded);
		unsigned seen = look(CROW_CURRENT_ANY);
		unsigned later = (decided() + CIRCLE - seen) % CIRCLE;

		/* Of this circle of images, or it cannot be told from the last. */
		if (atomic_load(&loaded) - first < CIRCLE / 2 && later > CIRCLE / 2)
			atomic_fetch_add(&outdated, 1);
	}
	return NULL;
}

/* Who has seen an image is not told what was decided by the one before. */
static void test_what_is_remembered_is_not_older_than_what_was_seen(void **state)
{
	pthread_t threads[THREADS];

	(void)state;
	atomic_store(&stop, false);
	publish(1);
	assert_int_equal(look(CROW_CURRENT_NOW), 1);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, decider_thread, NULL), 0);
	for (unsigned round = 1; round < 6000 || atomic_load(&remembered) < 6000; round++) {
		publish(1 + round % CIRCLE);
		while (look(CROW_CURRENT_NOW) != 1 + round % CIRCLE)
			sched_yield(); /* a reader is preempted */
		atomic_store(&loaded, round);
	}
	atomic_store(&stop, true);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&outdated), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_new_file_is_seen_at_once_by_who_asks),
		cmocka_unit_test(test_a_reader_keeps_its_image),
		cmocka_unit_test(test_a_bad_file_changes_nothing),
		cmocka_unit_test(test_what_may_be_ours),
		cmocka_unit_test(test_an_age_of_a_tick),
		cmocka_unit_test(test_each_image_has_a_version),
		cmocka_unit_test(test_an_age_of_a_second),
		cmocka_unit_test(test_a_reader_that_never_leaves_stops_updates_for_a_while_only),
		cmocka_unit_test(test_each_service_has_its_own_sequence),
		cmocka_unit_test(test_a_child_starts_anew),
		cmocka_unit_test(test_a_child_without_a_file_has_its_parents_image),
		cmocka_unit_test(test_a_set_given_up_leaves_its_image_to_the_next),
		cmocka_unit_test(test_threads_signals_and_forks_never_see_a_torn_image),
		cmocka_unit_test(test_what_is_remembered_is_not_older_than_what_was_seen),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
