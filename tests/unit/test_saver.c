/* Saving: one list a turn, the loop in between; what fails is tried again with the next change. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/counters.h"
#include "daemon/saver.h"
#include "tests/unit/fixture.h"

static struct fixture f;
static struct crow_loop *loop;
static struct crow_saver saver;
static char parent[] = "/tmp/crowfly-saver-XXXXXX", dir[64];

static int setup(void **state)
{
	(void)state;
	strcpy(parent + sizeof(parent) - 7, "XXXXXX");
	assert_non_null(mkdtemp(parent));
	snprintf(dir, sizeof(dir), "%s/state", parent);
	fixture_init(&f, FIXTURE_CONFIG);
	loop = crow_loop_new();
	crow_saver_init(&saver, loop, &f.table, dir);
	return 0;
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	crow_saver_flush(&saver);
	crow_loop_free(loop);
	fixture_fini(&f);
	snprintf(command, sizeof(command), "rm -r %s", parent);
	return system(command);
}

static bool is_saved(const char *service)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s.list", dir, service);
	return access(path, F_OK) == 0 && !crow_table_find(&f.table, service)->unsaved;
}

static void take(const char *service, double weight)
{
	fixture_take(&f, service, (struct fixture_item[]){{"10.0.0.1", 80, weight}}, 1);
	crow_saver_schedule(&saver);
}

/* What happens while saving is under way: a timer that is always due sees how far it is. */
struct observer {
	struct crow_timer timer;
	bool between; /* there was a turn after the first save and before the second */
	int turns;
};

static void observe(struct crow_timer *timer, int64_t now_ns)
{
	struct observer *observer = crow_container(timer, struct observer, timer);

	observer->between |= is_saved("one") && !is_saved("two_b");
	if (--observer->turns == 0 || !saver.timer.armed ||
	    saver.timer.due_ns > now_ns + 10000000000)
		crow_loop_stop(loop);
	else
		crow_timer_set(loop, timer, now_ns);
}

/* Until there is nothing to do for now. */
static bool run(void)
{
	struct observer observer = {.timer.on_due = observe, .turns = 1000000};

	crow_timer_set(loop, &observer.timer, crow_now_ns());
	crow_loop_run(loop);
	assert_true(observer.turns > 0);
	return observer.between;
}

static void test_one_list_a_turn(void **state)
{
	(void)state;
	take("one", 1);
	take("two_b", 1);
	assert_true(run());
	assert_true(is_saved("one") && is_saved("two_b"));
	assert_false(saver.timer.armed);
}

static void test_a_list_that_changes_meanwhile_is_saved_again(void **state)
{
	uint64_t before = atomic_load(&crow_counters.states_saved);

	(void)state;
	take("one", 1);
	take("two_b", 1);
	saver.timer.on_due(&saver.timer, crow_now_ns());
	assert_true(is_saved("one"));
	take("one", 2);
	run();
	assert_true(is_saved("one") && is_saved("two_b"));
	assert_int_equal(atomic_load(&crow_counters.states_saved) - before, 3);
}

/* A full disk and a missing directory are the same to it. */
static void test_what_failed_is_saved_later(void **state)
{
	FILE *obstacle = fopen(dir, "w");

	(void)state;
	fclose(obstacle);
	take("one", 1);
	run();
	assert_false(is_saved("one"));
	assert_true(saver.timer.armed); /* for the next minute */

	unlink(dir);
	take("two_b", 1);
	run();
	assert_true(is_saved("one") && is_saved("two_b"));
	assert_false(saver.timer.armed);
}

static void test_one_that_cannot_be_saved_keeps_no_other_back(void **state)
{
	char obstacle[128];

	(void)state;
	assert_int_equal(mkdir(dir, 0755), 0);
	snprintf(obstacle, sizeof(obstacle), "%s/one.list", dir);
	assert_int_equal(mkdir(obstacle, 0755), 0);
	take("one", 1);
	take("two_b", 1);
	run();
	assert_true(crow_table_find(&f.table, "one")->unsaved);
	assert_true(is_saved("two_b"));
}

static void test_flush_saves_all(void **state)
{
	(void)state;
	take("one", 1);
	take("two_b", 1);
	crow_saver_flush(&saver);
	assert_true(is_saved("one") && is_saved("two_b"));
	assert_false(saver.timer.armed);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_list_a_turn),
		TEST(a_list_that_changes_meanwhile_is_saved_again),
		TEST(what_failed_is_saved_later),
		TEST(one_that_cannot_be_saved_keeps_no_other_back),
		TEST(flush_saves_all),
	};

	return cmocka_run_group_tests_name("saver", tests, NULL, NULL);
}
