/*
 * The table of connects in progress, on sockets of this machine, with a clock that can be moved.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/single_threaded.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "preload/current.h"
#include "preload/interest.h"
#include "preload/pending.h"
#include "preload/vigil.h"

#define SECOND INT64_C(1000000000)
#define EACH   (3600 * SECOND) /* no limit runs out but where the clock is moved */

static char no_dir[] = "/nonexistent";
static _Atomic int64_t ahead_ns;

/* The clock of this program, libcrowfly-preload.a included. */
int clock_gettime(clockid_t clock, struct timespec *ts)
{
	int64_t ns;

	if (syscall(SYS_clock_gettime, clock, ts) < 0)
		return -1;
	ns = ts->tv_nsec + ahead_ns;
	ts->tv_sec += ns / SECOND;
	ts->tv_nsec = ns % SECOND;
	return 0;
}

static struct crow_target target_of(int fd)
{
	struct sockaddr_in own;
	socklen_t len = sizeof(own);
	struct crow_target target;

	assert_int_equal(getsockname(fd, (struct sockaddr *)&own, &len), 0);
	assert_true(
		crow_addr_from_sockaddr((struct sockaddr *)&own, len, &target.addr, &target.port));
	return target;
}

static int bound_socket(void)
{
	struct sockaddr_in own = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&own, sizeof(own)), 0);
	return fd;
}

static int nonblocking_socket(void)
{
	return socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* Answers, refuses, and answers no SYN: its queue of one is full. */
static int answering, refusing, silent;

static void connect_plain(int fd, int server)
{
	struct sockaddr_in to;
	socklen_t len = sizeof(to);

	assert_int_equal(getsockname(server, (struct sockaddr *)&to, &len), 0);
	connect(fd, (struct sockaddr *)&to, len);
}

static int open_servers(void **state)
{
	struct rlimit files;

	(void)state;
	/* A full table is more than many systems let a process open by default. */
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
	files.rlim_cur = files.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
	answering = bound_socket();
	refusing = bound_socket();
	silent = bound_socket();
	assert_int_equal(listen(answering, 4096), 0);
	assert_int_equal(listen(silent, 0), 0);
	connect_plain(nonblocking_socket(), silent);
	return crow_current_open(no_dir) && crow_pending_open() ? 0 : -1;
}

/* connect() as preload/connect.c does it; the action that it ended with. */
static struct crow_action begin(int fd, int first, int second)
{
	struct crow_course course = {.fd = fd, .family = AF_INET};
	struct crow_action action;
	int slot = crow_pending_claim(fd);

	course.decision = (struct crow_decision){
		.count = 2,
		.drawn = 2,
		.targets = {target_of(first), target_of(second)},
		.attempt_timeout_ms = EACH / 1000000,
	};
	course.asked = course.decision.targets[0];
	if (slot < 0)
		return (struct crow_action){.kind = CROW_DO_RETURN, .error = ENOBUFS};
	action = crow_course_connect(&course, true);
	crow_pending_release(slot, &course, action);
	return action;
}

static bool is_any(void)
{
	return crow_pending_is_any(crow_pending_activity());
}

static short look(int fd)
{
	struct pollfd ready = {.fd = fd, .events = POLLOUT};

	assert_true(poll(&ready, 1, 0) >= 0);
	return ready.revents;
}

static void test_connected_at_once_leaves_nothing(void **state)
{
	int fd = nonblocking_socket();

	(void)state;
	assert_int_equal(begin(fd, answering, silent).kind, CROW_DO_RETURN);
	assert_false(crow_pending_may_have(crow_pending_activity()));
	close(fd);
}

static void test_refused_at_once_moves_on(void **state)
{
	int fd = nonblocking_socket();

	(void)state;
	assert_int_equal(begin(fd, refusing, answering).error, EINPROGRESS);
	assert_int_equal(look(fd), POLLOUT);
	assert_false(is_any());
	close(fd);
}

static void test_a_pending_one_moves_on_at_its_limit(void **state)
{
	int fd = nonblocking_socket();

	(void)state;
	assert_int_equal(begin(fd, silent, answering).kind, CROW_DO_WAIT);
	assert_true(is_any());
	assert_true(crow_pending_deadline() > crow_course_now_ns());
	assert_false(crow_pending_serve().moved);
	ahead_ns += EACH;
	assert_true(crow_pending_serve().moved);
	assert_int_equal(look(fd), POLLOUT);
	assert_false(is_any());
	assert_int_equal(crow_pending_deadline(), 0);
	close(fd);
}

static void test_the_first_error_is_told_once(void **state)
{
	int fd = nonblocking_socket();
	int error = -1;

	(void)state;
	begin(fd, silent, refusing);
	ahead_ns += EACH;
	crow_pending_serve();
	assert_false(is_any());
	assert_int_equal(look(fd), POLLOUT | POLLERR | POLLHUP);
	assert_true(crow_pending_error(fd, &error));
	assert_int_equal(error, ETIMEDOUT);
	assert_false(crow_pending_error(fd, &error));
	assert_false(crow_pending_may_have(crow_pending_activity()));
	close(fd);
}

static void test_connect_again(void **state)
{
	struct sockaddr_in to = {.sin_family = AF_INET};
	int fd = nonblocking_socket();
	int error = -1;

	(void)state;
	begin(fd, silent, answering);
	assert_true(crow_pending_connect(fd, (struct sockaddr *)&to, sizeof(to), &error));
	assert_int_equal(error, EALREADY);
	ahead_ns += EACH;
	assert_true(crow_pending_connect(fd, (struct sockaddr *)&to, sizeof(to), &error));
	assert_int_equal(error, 0);
	assert_false(crow_pending_connect(fd, (struct sockaddr *)&to, sizeof(to), &error));
	close(fd);
}

static void test_the_programs_own_reset_ends_it(void **state)
{
	const struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
	int fd = nonblocking_socket();
	int error = -1;

	(void)state;
	begin(fd, silent, answering);
	assert_false(crow_pending_connect(fd, &nowhere, sizeof(nowhere), &error));
	assert_false(is_any());
	close(fd);
}

static void test_another_socket_at_the_number_is_let_alone(void **state)
{
	int fd = nonblocking_socket(), other = nonblocking_socket();

	(void)state;
	begin(fd, silent, answering);
	connect_plain(other, silent);
	assert_int_equal(dup2(other, fd), fd);
	ahead_ns += EACH;
	assert_false(crow_pending_serve().moved);
	assert_false(is_any());
	assert_int_equal(look(other), 0);
	close(fd);
	close(other);
}

static void test_a_socket_that_blocks_by_now_is_the_kernels(void **state)
{
	int fd = nonblocking_socket();

	(void)state;
	begin(fd, silent, answering);
	assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
	ahead_ns += EACH;
	assert_false(crow_pending_serve().moved);
	assert_int_equal(look(fd), 0);
	close(fd);
}

static void test_a_forked_child_starts_with_none(void **state)
{
	int fd = nonblocking_socket();
	int status;
	pid_t child;

	(void)state;
	begin(fd, silent, answering);
	child = fork();
	if (child == 0)
		_exit(crow_pending_may_have(crow_pending_activity()));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_true(is_any());
	close(fd);
	ahead_ns += EACH;
	crow_pending_serve();
	assert_false(is_any());
}

/* A signal handler, in a process without other threads, would wait for itself. */
static void test_who_may_have_interrupted_the_holder_does_not_wait_for_it(void **state)
{
	struct crow_course course = {.fd = -1};
	struct crow_action over = {.kind = CROW_DO_RETURN};
	char was = __libc_single_threaded;
	int slot = crow_pending_claim(1000);

	(void)state;
	__libc_single_threaded = 0;
	assert_true(crow_pending_serve().busy);
	__libc_single_threaded = 1;
	assert_false(crow_pending_serve().busy);
	__libc_single_threaded = was;
	crow_pending_release(slot, &course, over);
}

/* What it saw may be of the time between a reset and the next connect(), which nobody is to know. */
static void test_who_waits_from_before_a_slot_is_let_go_doubts_what_it_saw(void **state)
{
	struct crow_course course = {.fd = -1};
	struct crow_action over = {.kind = CROW_DO_RETURN};
	int slot = crow_pending_claim(1000);
	int fds[CROW_PENDING_MAX];
	struct crow_vigil vigil;

	(void)state;
	crow_vigil_open(&vigil, crow_pending_activity(), crow_course_now_ns(), CROW_FOREVER);
	crow_pending_release(slot, &course, over);
	assert_int_equal(crow_vigil_judge(&vigil, 1, true), CROW_VIGIL_DOUBTS);
	assert_int_equal(crow_pending_touched(vigil.since, fds), 1);
	assert_int_equal(fds[0], 1000);
	/* The next wait began when nobody held it. */
	assert_int_equal(crow_vigil_judge(&vigil, 1, true), CROW_VIGIL_OVER);
	assert_int_equal(crow_pending_touched(vigil.since, fds), 0);
}

static void test_a_holder_that_never_comes_back_loses_its_slot(void **state)
{
	struct crow_course course = {.fd = -1};
	struct crow_action over = {.kind = CROW_DO_RETURN};
	int slot = crow_pending_claim(1000);

	(void)state;
	assert_true(is_any());
	ahead_ns += 11 * SECOND;
	crow_pending_serve();
	assert_false(is_any());
	/* ... and does no harm when it does come back. */
	crow_pending_release(slot, &course, over);
	assert_false(crow_pending_may_have(crow_pending_activity()));
}

static void test_a_full_table_is_swept(void **state)
{
	int fds[CROW_PENDING_MAX + 1];
	int count = 0;

	(void)state;
	do
		fds[count] = nonblocking_socket();
	while (begin(fds[count], silent, answering).kind == CROW_DO_WAIT &&
	       ++count < CROW_PENDING_MAX);
	/* The test before gave one up. */
	assert_int_equal(count, CROW_PENDING_MAX - 1);
	close(fds[0]);
	assert_int_equal(begin(fds[count], silent, answering).kind, CROW_DO_WAIT);
	for (int i = 1; i <= count; i++)
		close(fds[i]);
	ahead_ns += EACH;
	crow_pending_serve();
	assert_false(is_any());
}

/* Each socket is moved once, by whoever comes first. */

#define SOCKETS 16

static void *serve_all(void *moved)
{
	while (is_any())
		*(int *)moved += crow_pending_serve().moved;
	return NULL;
}

static void test_threads_serve_together(void **state)
{
	pthread_t threads[3];
	int moved[3] = {0}, fds[SOCKETS];

	(void)state;
	for (int i = 0; i < SOCKETS; i++) {
		fds[i] = nonblocking_socket();
		assert_int_equal(begin(fds[i], silent, answering).kind, CROW_DO_WAIT);
	}
	ahead_ns += EACH;
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, serve_all, &moved[i]), 0);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	assert_true(moved[0] + moved[1] + moved[2] > 0);
	for (int i = 0; i < SOCKETS; i++) {
		assert_int_equal(look(fds[i]), POLLOUT);
		close(fds[i]);
	}
}

/* Registrations with epoll. */

static void test_what_was_registered_is_recalled(void **state)
{
	struct crow_interest found;

	(void)state;
	crow_interest_record(5, EPOLL_CTL_ADD, 7, EPOLLIN, 70);
	assert_true(crow_interest_recall(5, 7, &found));
	assert_int_equal(found.events, EPOLLIN);
	assert_int_equal(found.data, 70);
	crow_interest_record(5, EPOLL_CTL_MOD, 7, EPOLLOUT, 71);
	assert_true(crow_interest_recall(5, 7, &found));
	assert_int_equal(found.data, 71);
	assert_false(crow_interest_recall(7, 5, &found));
	/* One that takes the same entry: the first is lost, never mixed up. */
	crow_interest_record(5, EPOLL_CTL_ADD, 7 + 1024, EPOLLIN, 72);
	assert_false(crow_interest_recall(5, 7, &found));
	crow_interest_record(5, EPOLL_CTL_DEL, 7, 0, 0);
	assert_true(crow_interest_recall(5, 7 + 1024, &found));
	crow_interest_record(5, EPOLL_CTL_DEL, 7 + 1024, 0, 0);
	assert_false(crow_interest_recall(5, 7 + 1024, &found));
}

static void test_the_kernel_knows_the_rest(void **state)
{
	uint64_t data = 0xfedcba9876543210;
	struct epoll_event event = {.events = EPOLLOUT | EPOLLET, .data.u64 = data};
	int epfd = epoll_create1(EPOLL_CLOEXEC), fd = nonblocking_socket();
	int others[200], duplicate = dup(fd);
	struct crow_interest found;

	(void)state;
	for (int i = 0; i < 200; i++) {
		others[i] = dup(answering);
		syscall(SYS_epoll_ctl, epfd, EPOLL_CTL_ADD, others[i], &event);
	}
	assert_false(crow_interest_look_up(epfd, fd, data, &found));
	assert_int_equal(syscall(SYS_epoll_ctl, epfd, EPOLL_CTL_ADD, duplicate, &event), 0);
	assert_true(crow_interest_look_up(epfd, fd, data, &found));
	assert_int_equal(found.fd, duplicate);
	assert_int_equal(found.events & EPOLLET, EPOLLET);
	assert_false(crow_interest_look_up(epfd, fd, data + 1, &found));
	assert_false(crow_interest_look_up(fd, fd, data, &found));
	assert_false(crow_interest_look_up(epfd, epfd, data, &found));
	assert_false(crow_interest_look_up(-1, fd, data, &found));
	for (int i = 0; i < 200; i++)
		close(others[i]);
	close(duplicate);
	close(fd);
	close(epfd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connected_at_once_leaves_nothing),
		cmocka_unit_test(test_refused_at_once_moves_on),
		cmocka_unit_test(test_a_pending_one_moves_on_at_its_limit),
		cmocka_unit_test(test_the_first_error_is_told_once),
		cmocka_unit_test(test_connect_again),
		cmocka_unit_test(test_the_programs_own_reset_ends_it),
		cmocka_unit_test(test_another_socket_at_the_number_is_let_alone),
		cmocka_unit_test(test_a_socket_that_blocks_by_now_is_the_kernels),
		cmocka_unit_test(test_a_forked_child_starts_with_none),
		cmocka_unit_test(test_who_may_have_interrupted_the_holder_does_not_wait_for_it),
		cmocka_unit_test(test_who_waits_from_before_a_slot_is_let_go_doubts_what_it_saw),
		cmocka_unit_test(test_a_holder_that_never_comes_back_loses_its_slot),
		cmocka_unit_test(test_a_full_table_is_swept),
		cmocka_unit_test(test_threads_serve_together),
		cmocka_unit_test(test_what_was_registered_is_recalled),
		cmocka_unit_test(test_the_kernel_knows_the_rest),
	};

	return cmocka_run_group_tests(tests, open_servers, NULL);
}
