/*
 * The state machine of one connect(): each test is a script of events with a clock of its own.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "preload/attempt.h"

#define MS    INT64_C(1000000)
#define START (1000 * MS)
#define EACH  (250 * MS)

static struct crow_attempt attempt;

static struct crow_action start(uint8_t count, bool nonblocking, int64_t own_ns)
{
	return crow_attempt_start(&attempt, count, nonblocking, EACH, own_ns, START);
}

static struct crow_action on(enum crow_event_kind kind, int error, int64_t after_ms)
{
	return crow_attempt_on(&attempt, (struct crow_event){.kind = kind, .error = error},
			       START + after_ms * MS);
}

static struct crow_action interrupt(bool restarts, int64_t after_ms)
{
	return crow_attempt_on(
		&attempt, (struct crow_event){.kind = CROW_EVENT_INTERRUPTED, .restarts = restarts},
		START + after_ms * MS);
}

static void assert_action(struct crow_action action, enum crow_action_kind kind, int error,
			  int64_t limit_ns, int blame)
{
	assert_int_equal(action.kind, kind);
	assert_int_equal(action.error, error);
	assert_int_equal(action.limit_ns, limit_ns);
	assert_int_equal(action.blame, blame);
}

static void test_first_connects(void **state)
{
	(void)state;
	assert_action(start(3, false, 0), CROW_DO_CONNECT, 0, EACH, 0);
	assert_action(on(CROW_EVENT_CONNECTED, 0, 1), CROW_DO_RETURN, 0, 0, 0);
	assert_int_equal(attempt.state, CROW_ATTEMPT_DONE);
}

static void test_a_single_instance_is_left_to_the_kernel(void **state)
{
	(void)state;
	assert_action(start(1, false, 0), CROW_DO_CONNECT, 0, 0, 0);
	assert_action(on(CROW_EVENT_FAILED, ECONNREFUSED, 1), CROW_DO_RETURN, ECONNREFUSED, 0,
		      ECONNREFUSED);
}

static void test_refused_goes_to_the_next_and_the_last_has_no_limit(void **state)
{
	(void)state;
	start(3, false, 0);
	assert_action(on(CROW_EVENT_FAILED, ECONNREFUSED, 1), CROW_DO_NEXT, 0, EACH, ECONNREFUSED);
	assert_int_equal(attempt.index, 1);
	assert_action(on(CROW_EVENT_FAILED, EHOSTUNREACH, 2), CROW_DO_NEXT, 0, 0, EHOSTUNREACH);
	assert_int_equal(attempt.index, 2);
	assert_action(on(CROW_EVENT_CONNECTED, 0, 3), CROW_DO_RETURN, 0, 0, 0);
}

static void test_the_first_error_is_reported_when_all_fail(void **state)
{
	(void)state;
	start(3, false, 0);
	on(CROW_EVENT_EXPIRED, 0, 250);
	on(CROW_EVENT_FAILED, ECONNREFUSED, 251);
	assert_action(on(CROW_EVENT_FAILED, ENETUNREACH, 252), CROW_DO_RETURN, ETIMEDOUT, 0,
		      ENETUNREACH);
}

static void test_local_errors_end_it(void **state)
{
	static const int local[] = {EACCES,       EPERM,   EADDRNOTAVAIL, EMFILE, EINVAL,
				    EAFNOSUPPORT, EISCONN, EALREADY,      EBADF,  ENOTSOCK};

	(void)state;
	for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++) {
		start(3, false, 0);
		assert_action(on(CROW_EVENT_FAILED, local[i], 1), CROW_DO_RETURN, local[i], 0, 0);
	}
	/* ... with the first error, if there was one: a bound port may be gone by then. */
	start(3, false, 0);
	on(CROW_EVENT_FAILED, ECONNREFUSED, 1);
	assert_action(on(CROW_EVENT_FAILED, EADDRNOTAVAIL, 2), CROW_DO_RETURN, ECONNREFUSED, 0, 0);
}

static void test_our_limit_moves_on_the_applications_ends_it(void **state)
{
	(void)state;
	/* Own 400 ms: 250 for the first; the second has what is left, which is the application's. */
	assert_action(start(3, false, 400 * MS), CROW_DO_CONNECT, 0, EACH, 0);
	assert_action(on(CROW_EVENT_EXPIRED, 0, 250), CROW_DO_NEXT, 0, 150 * MS, ETIMEDOUT);
	assert_action(on(CROW_EVENT_EXPIRED, 0, 400), CROW_DO_RETURN, EINPROGRESS, 0, 0);
}

static void test_a_shorter_time_out_of_the_application_is_the_limit(void **state)
{
	(void)state;
	assert_action(start(3, false, 100 * MS), CROW_DO_CONNECT, 0, 100 * MS, 0);
	assert_action(on(CROW_EVENT_EXPIRED, 0, 100), CROW_DO_RETURN, EINPROGRESS, 0, 0);
	/* It bounds the whole: a refusal does not start it anew. */
	start(3, false, 100 * MS);
	assert_action(on(CROW_EVENT_FAILED, ECONNREFUSED, 30), CROW_DO_NEXT, 0, 70 * MS,
		      ECONNREFUSED);
	/* Nor does one that comes too late make it endless. */
	assert_action(on(CROW_EVENT_FAILED, ECONNREFUSED, 200), CROW_DO_NEXT, 0, 1, ECONNREFUSED);
}

static void test_signals(void **state)
{
	(void)state;
	start(3, false, 0);
	assert_true(crow_attempt_hides_restarts(&attempt));
	assert_action(interrupt(true, 100), CROW_DO_CONTINUE, 0, 150 * MS, 0);
	assert_int_equal(attempt.index, 0);
	assert_action(interrupt(true, 300), CROW_DO_CONTINUE, 0, 1, 0);
	assert_action(interrupt(false, 300), CROW_DO_RETURN, EINTR, 0, 0);
	/* With a time-out of its own, or without a limit, the kernel has spoken. */
	start(3, false, 400 * MS);
	assert_false(crow_attempt_hides_restarts(&attempt));
	assert_action(interrupt(true, 100), CROW_DO_RETURN, EINTR, 0, 0);
	start(1, false, 0);
	assert_action(interrupt(true, 100), CROW_DO_RETURN, EINTR, 0, 0);
}

static void test_non_blocking(void **state)
{
	(void)state;
	assert_action(start(3, true, 0), CROW_DO_CONNECT, 0, 0, 0);
	assert_action(on(CROW_EVENT_PENDING, 0, 0), CROW_DO_RETURN, EINPROGRESS, 0, 0);
	/* No route: known at once, and of the instance that was just tried. */
	start(3, true, 0);
	assert_action(on(CROW_EVENT_FAILED, ENETUNREACH, 0), CROW_DO_NEXT, 0, 0, ENETUNREACH);
	/* A refusal came by packet: it is the outcome of an earlier connect(). */
	start(3, true, 0);
	assert_action(on(CROW_EVENT_FAILED, ECONNREFUSED, 0), CROW_DO_RETURN, ECONNREFUSED, 0, 0);
}

static void test_no_limit_where_the_service_has_none(void **state)
{
	struct crow_action action = crow_attempt_start(&attempt, 3, false, 0, 0, START);

	(void)state;
	assert_action(action, CROW_DO_CONNECT, 0, 0, 0);
	assert_action(on(CROW_EVENT_FAILED, ETIMEDOUT, 1), CROW_DO_NEXT, 0, 0, ETIMEDOUT);
}

static void test_a_socket_that_cannot_be_reset(void **state)
{
	(void)state;
	start(3, false, 0);
	on(CROW_EVENT_FAILED, ECONNREFUSED, 1);
	assert_action(on(CROW_EVENT_STUCK, 0, 1), CROW_DO_RETURN, ECONNREFUSED, 0, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_connects),
		cmocka_unit_test(test_a_single_instance_is_left_to_the_kernel),
		cmocka_unit_test(test_refused_goes_to_the_next_and_the_last_has_no_limit),
		cmocka_unit_test(test_the_first_error_is_reported_when_all_fail),
		cmocka_unit_test(test_local_errors_end_it),
		cmocka_unit_test(test_our_limit_moves_on_the_applications_ends_it),
		cmocka_unit_test(test_a_shorter_time_out_of_the_application_is_the_limit),
		cmocka_unit_test(test_signals),
		cmocka_unit_test(test_non_blocking),
		cmocka_unit_test(test_no_limit_where_the_service_has_none),
		cmocka_unit_test(test_a_socket_that_cannot_be_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
