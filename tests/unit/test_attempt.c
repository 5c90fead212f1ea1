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
#define WHOLE (10000 * MS) /* once an instance has failed */

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

static void test_refused_goes_to_the_next_and_the_last_has_what_is_left_of_the_whole(void **state)
{
	(void)state;
	start(3, false, 0);
	assert_action(on(CROW_EVENT_FAILED, ECONNREFUSED, 1), CROW_DO_NEXT, 0, EACH, ECONNREFUSED);
	assert_int_equal(attempt.index, 1);
	assert_action(on(CROW_EVENT_FAILED, EHOSTUNREACH, 2), CROW_DO_NEXT, 0, WHOLE - 2 * MS,
		      EHOSTUNREACH);
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

/* Non-blocking sockets. */

static struct crow_action begin(uint8_t count)
{
	start(count, true, 0);
	return on(CROW_EVENT_BEGUN, 0, 0);
}

static void test_non_blocking_errors_of_connect(void **state)
{
	(void)state;
	/* No route: known at once, and of the instance that was just tried. */
	assert_action(start(3, true, 0), CROW_DO_CONNECT, 0, EACH, 0);
	assert_action(on(CROW_EVENT_FAILED, ENETUNREACH, 0), CROW_DO_NEXT, 0, EACH, ENETUNREACH);
	/* A refusal came by packet: it is the outcome of an earlier connect(). */
	start(3, true, 0);
	assert_action(on(CROW_EVENT_FAILED, ECONNREFUSED, 0), CROW_DO_RETURN, ECONNREFUSED, 0, 0);
}

/* Whose mode was guessed wrongly goes on as if it had started so: the application's SO_SNDTIMEO, which
 * is shorter than our limit here, is nothing to a non-blocking socket. */
static void test_a_socket_that_proves_to_be_non_blocking(void **state)
{
	(void)state;
	assert_action(start(2, false, 100 * MS), CROW_DO_CONNECT, 0, 100 * MS, 0);
	crow_attempt_unblock(&attempt);
	assert_action(on(CROW_EVENT_BEGUN, 0, 1), CROW_DO_LOOK, 0, 0, 0);
	assert_action(on(CROW_EVENT_QUIET, 0, 1), CROW_DO_WAIT, 0, EACH - 1 * MS, 0);
	assert_action(on(CROW_EVENT_QUIET, 0, 250), CROW_DO_NEXT, 0, 0, ETIMEDOUT);
}

static void test_a_single_instance_is_not_looked_at(void **state)
{
	(void)state;
	assert_action(begin(1), CROW_DO_RETURN, EINPROGRESS, 0, 0);
	assert_int_equal(attempt.state, CROW_ATTEMPT_DONE);
}

static void test_connected_before_connect_returns(void **state)
{
	(void)state;
	assert_action(begin(3), CROW_DO_LOOK, 0, 0, 0);
	assert_action(on(CROW_EVENT_WRITABLE, 0, 0), CROW_DO_RETURN, EINPROGRESS, 0, 0);
	assert_int_equal(attempt.state, CROW_ATTEMPT_DONE);
}

static void test_refused_before_connect_returns(void **state)
{
	(void)state;
	begin(3);
	assert_action(on(CROW_EVENT_HUNG_UP, 0, 0), CROW_DO_ASK, 0, 0, 0);
	assert_action(on(CROW_EVENT_ERROR, ECONNREFUSED, 1), CROW_DO_NEXT, 0, EACH, ECONNREFUSED);
	assert_action(on(CROW_EVENT_BEGUN, 0, 1), CROW_DO_LOOK, 0, 0, 0);
	assert_action(on(CROW_EVENT_QUIET, 0, 1), CROW_DO_WAIT, 0, EACH, 0);
	assert_int_equal(attempt.state, CROW_ATTEMPT_PENDING);
	assert_int_equal(attempt.index, 1);
}

static void test_any_error_that_came_by_packet_moves_on(void **state)
{
	static const int errors[] = {ECONNREFUSED, ETIMEDOUT, ECONNRESET, EHOSTUNREACH,
				     ENOPROTOOPT,  EPROTO,    EACCES};

	(void)state;
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		begin(2);
		on(CROW_EVENT_QUIET, 0, 1);
		on(CROW_EVENT_HUNG_UP, 0, 2);
		assert_action(on(CROW_EVENT_ERROR, errors[i], 2), CROW_DO_NEXT, 0, 0, errors[i]);
	}
}

static void test_the_limit_of_a_pending_attempt(void **state)
{
	(void)state;
	begin(3);
	assert_action(on(CROW_EVENT_QUIET, 0, 1), CROW_DO_WAIT, 0, EACH - MS, 0);
	assert_action(on(CROW_EVENT_QUIET, 0, 249), CROW_DO_WAIT, 0, MS, 0);
	assert_action(on(CROW_EVENT_QUIET, 0, 250), CROW_DO_NEXT, 0, EACH, ETIMEDOUT);
	on(CROW_EVENT_BEGUN, 0, 250);
	assert_action(on(CROW_EVENT_QUIET, 0, 250), CROW_DO_WAIT, 0, EACH, 0);
	assert_action(on(CROW_EVENT_QUIET, 0, 500), CROW_DO_NEXT, 0, 0, ETIMEDOUT);
	on(CROW_EVENT_BEGUN, 0, 500);
	/* The last has none. */
	assert_action(on(CROW_EVENT_QUIET, 0, 100000), CROW_DO_WAIT, 0, 0, 0);
	assert_action(on(CROW_EVENT_WRITABLE, 0, 100001), CROW_DO_RETURN, EINPROGRESS, 0, 0);
}

static void test_the_last_failure_stays_on_the_socket_and_the_first_is_told(void **state)
{
	(void)state;
	begin(2);
	on(CROW_EVENT_QUIET, 0, 250);
	on(CROW_EVENT_BEGUN, 0, 250);
	assert_action(on(CROW_EVENT_HUNG_UP, 0, 251), CROW_DO_SETTLE, 0, 0, 0);
	assert_int_equal(attempt.state, CROW_ATTEMPT_SETTLED);
	assert_action(on(CROW_EVENT_DELIVERED, 0, 252), CROW_DO_RETURN, ETIMEDOUT, 0, 0);
	assert_int_equal(attempt.state, CROW_ATTEMPT_DONE);
}

static void test_all_refused_before_connect_returns(void **state)
{
	(void)state;
	begin(2);
	on(CROW_EVENT_HUNG_UP, 0, 0);
	on(CROW_EVENT_ERROR, ECONNREFUSED, 0);
	on(CROW_EVENT_BEGUN, 0, 0);
	/* As without us: in progress, and then the socket tells. */
	assert_action(on(CROW_EVENT_HUNG_UP, 0, 0), CROW_DO_SETTLE, 0, 0, 0);
	assert_action(on(CROW_EVENT_DELIVERED, 0, 0), CROW_DO_RETURN, ECONNREFUSED, 0, 0);
}

static void test_a_program_that_gave_up_is_left_alone(void **state)
{
	(void)state;
	begin(3);
	on(CROW_EVENT_QUIET, 0, 1);
	on(CROW_EVENT_HUNG_UP, 0, 2);
	assert_action(on(CROW_EVENT_ERROR, 0, 2), CROW_DO_RETURN, EINPROGRESS, 0, 0);
}

static void test_nothing_can_be_returned_once_the_program_was_told(void **state)
{
	(void)state;
	begin(3);
	on(CROW_EVENT_QUIET, 0, 250);
	assert_action(on(CROW_EVENT_STUCK, 0, 250), CROW_DO_RETURN, ETIMEDOUT, 0, 0);
	begin(3);
	on(CROW_EVENT_QUIET, 0, 1);
	on(CROW_EVENT_QUIET, 0, 250);
	assert_action(on(CROW_EVENT_STUCK, 0, 250), CROW_DO_SETTLE, 0, 0, 0);
	begin(3);
	on(CROW_EVENT_QUIET, 0, 1);
	on(CROW_EVENT_QUIET, 0, 250);
	assert_action(on(CROW_EVENT_FAILED, EADDRNOTAVAIL, 250), CROW_DO_SETTLE, 0, 0, 0);
	assert_action(on(CROW_EVENT_DELIVERED, 0, 251), CROW_DO_RETURN, ETIMEDOUT, 0, 0);
}

static void test_no_limit_where_the_service_has_none(void **state)
{
	struct crow_action action = crow_attempt_start(&attempt, 3, false, 0, 0, START);

	(void)state;
	assert_action(action, CROW_DO_CONNECT, 0, 0, 0);
	assert_action(on(CROW_EVENT_FAILED, ETIMEDOUT, 1), CROW_DO_NEXT, 0, 0, ETIMEDOUT);
}

static void test_the_whole_is_bounded_where_others_are_silent(void **state)
{
	(void)state;
	start(3, false, 0);
	on(CROW_EVENT_EXPIRED, 0, 250);
	assert_action(on(CROW_EVENT_EXPIRED, 0, 500), CROW_DO_NEXT, 0, WHOLE - 500 * MS, ETIMEDOUT);
	assert_true(crow_attempt_hides_restarts(&attempt));
	assert_action(interrupt(true, 600), CROW_DO_CONTINUE, 0, WHOLE - 600 * MS, 0);
	assert_action(on(CROW_EVENT_EXPIRED, 0, 10000), CROW_DO_ABANDON, 0, 0, ETIMEDOUT);
	assert_action(on(CROW_EVENT_STUCK, 0, 10000), CROW_DO_RETURN, ETIMEDOUT, 0, 0);
	/* It is not the application's own, which comes first here and last there. */
	start(2, false, 5000 * MS);
	assert_action(on(CROW_EVENT_EXPIRED, 0, 250), CROW_DO_NEXT, 0, 4750 * MS, ETIMEDOUT);
	assert_action(on(CROW_EVENT_EXPIRED, 0, 5000), CROW_DO_RETURN, EINPROGRESS, 0, 0);
	start(2, false, 60000 * MS);
	assert_action(on(CROW_EVENT_EXPIRED, 0, 250), CROW_DO_NEXT, 0, WHOLE - 250 * MS, ETIMEDOUT);
	/* Nor for sockets whose program does the waiting. */
	begin(2);
	assert_action(on(CROW_EVENT_QUIET, 0, 250), CROW_DO_NEXT, 0, 0, ETIMEDOUT);
}

static void test_an_earlier_connect_is_waited_for_and_not_moved(void **state)
{
	(void)state;
	start(3, false, 0);
	assert_action(on(CROW_EVENT_EARLIER, 0, 250), CROW_DO_CONTINUE, 0, 0, 0);
	assert_action(on(CROW_EVENT_FAILED, ECONNREFUSED, 400), CROW_DO_RETURN, ECONNREFUSED, 0, 0);
	start(3, false, 400 * MS);
	assert_action(on(CROW_EVENT_EARLIER, 0, 250), CROW_DO_CONTINUE, 0, 150 * MS, 0);
	assert_action(on(CROW_EVENT_EXPIRED, 0, 400), CROW_DO_RETURN, EALREADY, 0, 0);
	start(3, false, 100 * MS);
	assert_action(on(CROW_EVENT_EARLIER, 0, 100), CROW_DO_RETURN, EALREADY, 0, 0);
}

static void test_the_wait_for_an_earlier_connect_is_restarted_as_that_would_be(void **state)
{
	const struct crow_event restarted = {.kind = CROW_EVENT_INTERRUPTED, .restarts = true};

	(void)state;
	start(3, false, 0);
	on(CROW_EVENT_EARLIER, 0, 250);
	assert_true(crow_attempt_hides_restarts(&attempt));
	assert_action(crow_attempt_on(&attempt, restarted, 300 * MS), CROW_DO_CONTINUE, 0, 0, 0);
	assert_action(on(CROW_EVENT_INTERRUPTED, 0, 300), CROW_DO_RETURN, EINTR, 0, 0);
	start(3, false, 900 * MS);
	on(CROW_EVENT_EARLIER, 0, 250);
	assert_false(crow_attempt_hides_restarts(&attempt));
}

static void test_a_socket_that_bars_the_family_blames_nobody(void **state)
{
	(void)state;
	start(3, false, 0);
	assert_action(on(CROW_EVENT_BARRED, ENETUNREACH, 1), CROW_DO_RETURN, ENETUNREACH, 0, 0);
	start(3, true, 0);
	assert_action(on(CROW_EVENT_BARRED, ENETUNREACH, 1), CROW_DO_RETURN, ENETUNREACH, 0, 0);
}

/* The others are asked for when the first has failed, and may be gone by then. */
static void test_fewer_instances_than_was_thought(void **state)
{
	(void)state;
	start(3, false, 0);
	crow_attempt_shrink(&attempt, 1);
	assert_action(on(CROW_EVENT_EXPIRED, 0, 250), CROW_DO_CONTINUE, 0, 0, 0);
	start(3, false, 0);
	crow_attempt_shrink(&attempt, 1);
	assert_action(on(CROW_EVENT_FAILED, ECONNREFUSED, 1), CROW_DO_RETURN, ECONNREFUSED, 0,
		      ECONNREFUSED);
	begin(3);
	crow_attempt_shrink(&attempt, 1);
	assert_action(on(CROW_EVENT_QUIET, 0, 250), CROW_DO_WAIT, 0, 0, 0);
	assert_action(on(CROW_EVENT_HUNG_UP, 0, 300), CROW_DO_SETTLE, 0, 0, 0);
	start(3, false, 0);
	crow_attempt_shrink(&attempt, 2);
	assert_action(on(CROW_EVENT_EXPIRED, 0, 250), CROW_DO_NEXT, 0, WHOLE - 250 * MS, ETIMEDOUT);
}

static void test_the_limit_follows_a_slow_link(void **state)
{
	(void)state;
	assert_int_equal(crow_attempt_limit_ns(EACH, 0), EACH);
	assert_int_equal(crow_attempt_limit_ns(EACH, 80 * MS), EACH);
	assert_int_equal(crow_attempt_limit_ns(EACH, 200 * MS), 600 * MS);
	assert_int_equal(crow_attempt_limit_ns(EACH, 2000 * MS), 3000 * MS);
	assert_int_equal(crow_attempt_limit_ns(5000 * MS, 2000 * MS), 5000 * MS);
	assert_int_equal(crow_attempt_limit_ns(0, 200 * MS), 0);
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
		cmocka_unit_test(
			test_refused_goes_to_the_next_and_the_last_has_what_is_left_of_the_whole),
		cmocka_unit_test(test_the_first_error_is_reported_when_all_fail),
		cmocka_unit_test(test_local_errors_end_it),
		cmocka_unit_test(test_our_limit_moves_on_the_applications_ends_it),
		cmocka_unit_test(test_a_shorter_time_out_of_the_application_is_the_limit),
		cmocka_unit_test(test_signals),
		cmocka_unit_test(test_non_blocking_errors_of_connect),
		cmocka_unit_test(test_a_socket_that_proves_to_be_non_blocking),
		cmocka_unit_test(test_a_single_instance_is_not_looked_at),
		cmocka_unit_test(test_connected_before_connect_returns),
		cmocka_unit_test(test_refused_before_connect_returns),
		cmocka_unit_test(test_any_error_that_came_by_packet_moves_on),
		cmocka_unit_test(test_the_limit_of_a_pending_attempt),
		cmocka_unit_test(test_the_last_failure_stays_on_the_socket_and_the_first_is_told),
		cmocka_unit_test(test_all_refused_before_connect_returns),
		cmocka_unit_test(test_a_program_that_gave_up_is_left_alone),
		cmocka_unit_test(test_nothing_can_be_returned_once_the_program_was_told),
		cmocka_unit_test(test_no_limit_where_the_service_has_none),
		cmocka_unit_test(test_a_socket_that_cannot_be_reset),
		cmocka_unit_test(test_the_whole_is_bounded_where_others_are_silent),
		cmocka_unit_test(test_an_earlier_connect_is_waited_for_and_not_moved),
		cmocka_unit_test(
			test_the_wait_for_an_earlier_connect_is_restarted_as_that_would_be),
		cmocka_unit_test(test_a_socket_that_bars_the_family_blames_nobody),
		cmocka_unit_test(test_fewer_instances_than_was_thought),
		cmocka_unit_test(test_the_limit_follows_a_slow_link),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
