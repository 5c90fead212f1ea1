#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "daemon/loop.h"

/* What the callbacks of a test share: the loop, and a letter for each call in the order of calls. */
static struct crow_loop *loop;
static char calls[64];

static void called(char letter)
{
	size_t len = strlen(calls);

	assert_true(len + 1 < sizeof(calls));
	calls[len] = letter;
	calls[len + 1] = '\0';
}

static int setup(void **state)
{
	(void)state;
	calls[0] = '\0';
	loop = crow_loop_new();
	return loop ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	crow_loop_free(loop);
	return 0;
}

struct source {
	struct crow_watch watch;
	struct source *other; /* what its callback does something to */
	struct crow_timer *timer;
	char letter;
	int left; /* calls until the loop is stopped */
};

static struct source *source_new(char letter, unsigned ready,
				 void (*on_ready)(struct crow_watch *, uint32_t))
{
	struct source *source = calloc(1, sizeof(*source));

	assert_non_null(source);
	source->letter = letter;
	source->watch.on_ready = on_ready;
	source->watch.fd = eventfd(ready, EFD_NONBLOCK | EFD_CLOEXEC);
	assert_true(source->watch.fd >= 0);
	return source;
}

static void source_free(struct source *source)
{
	close(source->watch.fd);
	free(source);
}

struct late {
	struct crow_timer timer;
	struct crow_timer *other;
	char letter;
	int left;
};

static void on_alarm(struct crow_timer *timer, int64_t now_ns)
{
	struct late *alarm = (struct late *)timer;

	assert_true(now_ns >= timer->due_ns);
	assert_false(timer->armed);
	called(alarm->letter);
	if (--alarm->left == 0)
		crow_loop_stop(loop);
}

static void on_alarm_again(struct crow_timer *timer, int64_t now_ns)
{
	on_alarm(timer, now_ns);
	crow_timer_set(loop, timer, now_ns);
}

static void on_alarm_clear_other(struct crow_timer *timer, int64_t now_ns)
{
	struct late *alarm = (struct late *)timer;

	on_alarm(timer, now_ns);
	crow_timer_clear(loop, alarm->other);
	free(alarm->other);
}

static void on_ready(struct crow_watch *watch, uint32_t events)
{
	struct source *source = (struct source *)watch;

	assert_true(events & (EPOLLIN | EPOLLOUT));
	called(source->letter);
	if (--source->left == 0)
		crow_loop_stop(loop);
}

/* Whoever is called first takes the other away, memory and all. */
static void on_ready_remove_other(struct crow_watch *watch, uint32_t events)
{
	struct source *source = (struct source *)watch;

	(void)events;
	called('x');
	crow_loop_remove(loop, &source->other->watch);
	source_free(source->other);
	crow_loop_remove(loop, watch);
	source_free(source);
	crow_loop_stop(loop);
}

static void test_watch(void **state)
{
	struct source *source = source_new('a', 1, on_ready);

	(void)state;
	source->left = 2;
	assert_int_equal(crow_loop_add(loop, &source->watch, EPOLLIN), 0);
	crow_loop_run(loop);
	assert_string_equal(calls, "aa"); /* level-triggered */
	source->left = 1;
	assert_int_equal(crow_loop_modify(loop, &source->watch, EPOLLOUT), 0);
	crow_loop_run(loop);
	assert_string_equal(calls, "aaa");
	crow_loop_remove(loop, &source->watch);
	source_free(source);
}

static void test_add_fails(void **state)
{
	struct source *source = source_new('a', 0, on_ready);
	struct crow_watch none = {.fd = -1, .on_ready = on_ready};

	(void)state;
	assert_int_equal(crow_loop_add(loop, &none, EPOLLIN), -1);
	assert_int_equal(errno, EBADF);
	assert_int_equal(crow_loop_modify(loop, &source->watch, EPOLLIN), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(crow_loop_add(loop, &source->watch, EPOLLIN), 0);
	assert_int_equal(crow_loop_add(loop, &source->watch, EPOLLIN), -1);
	assert_int_equal(errno, EEXIST);
	source_free(source);
}

static void test_remove_within_a_batch(void **state)
{
	struct source *a = source_new('a', 1, on_ready_remove_other);
	struct source *b = source_new('b', 1, on_ready_remove_other);

	(void)state;
	a->other = b;
	b->other = a;
	assert_int_equal(crow_loop_add(loop, &a->watch, EPOLLIN), 0);
	assert_int_equal(crow_loop_add(loop, &b->watch, EPOLLIN), 0);
	crow_loop_run(loop);
	assert_string_equal(calls, "x");
}

/* Takes the other's watch away and adds a new one with the same memory and descriptor, to which the
 * event that is still in the batch does not belong. */
static void on_ready_replace_other(struct crow_watch *watch, uint32_t events)
{
	struct source *source = (struct source *)watch, *other = source->other;

	(void)events;
	called('x');
	crow_loop_remove(loop, watch);
	crow_loop_remove(loop, &other->watch);
	eventfd_t count;
	assert_int_equal(eventfd_read(other->watch.fd, &count), 0);
	other->watch.on_ready = on_ready;
	assert_int_equal(crow_loop_add(loop, &other->watch, EPOLLIN), 0);
	crow_timer_set(loop, source->timer, 0);
}

static void test_replace_within_a_batch(void **state)
{
	struct source *a = source_new('a', 1, on_ready_replace_other);
	struct source *b = source_new('b', 1, on_ready_replace_other);
	struct late end = {.timer.on_due = on_alarm, .letter = 't', .left = 1};

	(void)state;
	a->other = b;
	b->other = a;
	a->timer = b->timer = &end.timer;
	assert_int_equal(crow_loop_add(loop, &a->watch, EPOLLIN), 0);
	assert_int_equal(crow_loop_add(loop, &b->watch, EPOLLIN), 0);
	crow_loop_run(loop);
	assert_string_equal(calls, "xt");
	source_free(a);
	source_free(b);
}

static void on_ready_add_other(struct crow_watch *watch, uint32_t events)
{
	struct source *source = (struct source *)watch;

	(void)events;
	called('x');
	assert_int_equal(crow_loop_add(loop, &source->other->watch, EPOLLIN), 0);
	crow_loop_remove(loop, watch);
	source_free(source);
}

static void test_add_within_a_batch(void **state)
{
	struct source *a = source_new('a', 1, on_ready_add_other);
	struct source *b = source_new('b', 1, on_ready);

	(void)state;
	a->other = b;
	b->left = 1;
	assert_int_equal(crow_loop_add(loop, &a->watch, EPOLLIN), 0);
	crow_loop_run(loop);
	assert_string_equal(calls, "xb");
	source_free(b);
}

static void test_timers_in_order(void **state)
{
	struct late a = {.timer.on_due = on_alarm, .letter = 'a'};
	struct late b = {.timer.on_due = on_alarm, .letter = 'b'};
	struct late c = {.timer.on_due = on_alarm, .letter = 'c'};
	struct late d = {.timer.on_due = on_alarm, .letter = 'd', .left = 1};
	int64_t now_ns = crow_now_ns();

	(void)state;
	crow_timer_set(loop, &d.timer, now_ns + 2000000);
	crow_timer_set(loop, &b.timer, now_ns - 5);
	crow_timer_set(loop, &c.timer, now_ns - 5);
	crow_timer_set(loop, &a.timer, 0); /* long ago: at once */
	crow_loop_run(loop);
	assert_string_equal(calls, "abcd");
}

static void test_timer_is_moved(void **state)
{
	struct late a = {.timer.on_due = on_alarm, .letter = 'a', .left = 1};
	struct late b = {.timer.on_due = on_alarm, .letter = 'b'};
	struct late c = {.timer.on_due = on_alarm, .letter = 'c'};

	(void)state;
	crow_timer_set(loop, &a.timer, 10);
	crow_timer_set(loop, &b.timer, INT64_MAX);
	crow_timer_set(loop, &c.timer, 5);
	crow_timer_set(loop, &b.timer, 1);
	crow_timer_clear(loop, &c.timer);
	crow_timer_clear(loop, &c.timer);
	assert_false(c.timer.armed);
	crow_loop_run(loop);
	assert_string_equal(calls, "ba");
}

/* A timer that is always due does not starve descriptors, nor the other way round. */
static void test_timer_set_for_now_waits_a_turn(void **state)
{
	struct source *source = source_new('w', 1, on_ready);
	struct late again = {.timer.on_due = on_alarm_again, .letter = 't', .left = 3};

	(void)state;
	assert_int_equal(crow_loop_add(loop, &source->watch, EPOLLIN), 0);
	crow_timer_set(loop, &again.timer, 0);
	crow_loop_run(loop);
	assert_string_equal(calls, "wtwtwt");
	assert_true(again.timer.armed);
	source_free(source);
}

static void test_timer_cleared_while_firing(void **state)
{
	struct late *b = calloc(1, sizeof(*b));
	struct late a = {.timer.on_due = on_alarm_clear_other, .letter = 'a', .left = 1};

	(void)state;
	assert_non_null(b);
	b->timer.on_due = on_alarm;
	b->letter = 'b';
	a.other = &b->timer;
	crow_timer_set(loop, &a.timer, 1);
	crow_timer_set(loop, &b->timer, 2);
	crow_loop_run(loop);
	assert_string_equal(calls, "a");
}

/* The time may be one that the timerfd was set to before, and has gone off for. */
static void test_timer_for_the_same_time(void **state)
{
	struct late again = {.timer.on_due = on_alarm, .letter = 'a'};

	(void)state;
	for (int i = 0; i < 3; i++) {
		again.left = 1;
		crow_timer_set(loop, &again.timer, 0);
		crow_loop_run(loop);
	}
	assert_string_equal(calls, "aaa");
}

/* The alarm of a timer that is gone wakes nobody else, and the next one is set again. */
static void test_alarm_is_set_again(void **state)
{
	struct late gone = {.timer.on_due = on_alarm, .letter = 'g'};
	struct late first = {.timer.on_due = on_alarm, .letter = 'a', .left = 1};
	struct late second = {.timer.on_due = on_alarm, .letter = 'b', .left = 1};

	(void)state;
	crow_timer_set(loop, &gone.timer, crow_now_ns() + 1000000);
	crow_timer_set(loop, &first.timer, 0);
	crow_loop_run(loop);
	crow_timer_clear(loop, &gone.timer);
	crow_timer_set(loop, &second.timer, crow_now_ns() + 3000000);
	crow_loop_run(loop);
	assert_string_equal(calls, "ab");
}

/* Counts down a number that all share, whoever is called. */
static void on_ready_once(struct crow_watch *watch, uint32_t events)
{
	struct source *source = (struct source *)watch;
	int *left = &source->other->left;

	(void)events;
	crow_loop_remove(loop, watch);
	if (--*left == 0)
		crow_loop_stop(loop);
}

static void test_more_than_a_batch(void **state)
{
	enum { COUNT = 200 };
	struct source *sources[COUNT];

	(void)state;
	for (int i = 0; i < COUNT; i++) {
		sources[i] = source_new('a', 1, on_ready_once);
		sources[i]->other = sources[0];
		assert_int_equal(crow_loop_add(loop, &sources[i]->watch, EPOLLIN), 0);
	}
	sources[0]->left = COUNT;
	crow_loop_run(loop);
	assert_int_equal(sources[0]->left, 0);
	for (int i = 0; i < COUNT; i++)
		source_free(sources[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_watch, setup, teardown),
		cmocka_unit_test_setup_teardown(test_add_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(test_remove_within_a_batch, setup, teardown),
		cmocka_unit_test_setup_teardown(test_replace_within_a_batch, setup, teardown),
		cmocka_unit_test_setup_teardown(test_add_within_a_batch, setup, teardown),
		cmocka_unit_test_setup_teardown(test_timers_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_timer_is_moved, setup, teardown),
		cmocka_unit_test_setup_teardown(test_timer_set_for_now_waits_a_turn, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_timer_cleared_while_firing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_alarm_is_set_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_timer_for_the_same_time, setup, teardown),
		cmocka_unit_test_setup_teardown(test_more_than_a_batch, setup, teardown),
	};

	alarm(60); /* a loop that misses its wake-up waits for ever */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
