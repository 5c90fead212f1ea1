/* Sockets handed over by a service manager: descriptors 3 and up, which are free in a test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/inherit.h"

#define FIRST 3
#define LAST  8

/* The harness may have some open: those are put aside, out of the way. */
static int clear_descriptors(void **state)
{
	(void)state;
	for (int fd = FIRST; fd <= LAST; fd++) {
		fcntl(fd, F_DUPFD_CLOEXEC, 100);
		close(fd);
	}
	return 0;
}

static void hand_over(unsigned pid, unsigned count)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", pid);
	setenv("LISTEN_PID", text, 1);
	snprintf(text, sizeof(text), "%u", count);
	setenv("LISTEN_FDS", text, 1);
	setenv("LISTEN_FDNAMES", "crowfly.socket", 1);
}

static struct crow_listen bind_at(int fd, int type, uint32_t address)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(address)};
	socklen_t size = sizeof(sa);
	struct crow_listen at;

	assert_int_equal(socket(AF_INET, type, 0), fd);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, size), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &size), 0);
	assert_true(crow_addr_from_sockaddr((struct sockaddr *)&sa, size, &at.addr, &at.port));
	return at;
}

static void expect_dup(struct crow_inherited *inherited, const struct crow_listen *at, int type,
		       bool expected)
{
	int fd = crow_inherited_dup(inherited, at, type);

	assert_int_equal(fd >= 0, expected);
	if (fd < 0)
		return;
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(close(fd), 0);
}

static void test_each_is_found_by_address_and_type(void **state)
{
	struct crow_listen udp = bind_at(3, SOCK_DGRAM, INADDR_LOOPBACK);
	struct crow_listen tcp = bind_at(4, SOCK_STREAM, INADDR_LOOPBACK);
	struct crow_listen mute = bind_at(5, SOCK_STREAM, INADDR_LOOPBACK);
	struct crow_listen other = udp;
	struct crow_inherited *inherited;

	(void)state;
	assert_int_equal(listen(4, 1), 0);
	assert_int_equal(socket(AF_UNIX, SOCK_DGRAM, 0), 6);
	hand_over((unsigned)getpid(), 4);
	inherited = crow_inherited_take();
	assert_non_null(inherited);
	assert_null(getenv("LISTEN_PID"));
	assert_null(getenv("LISTEN_FDS"));
	assert_null(getenv("LISTEN_FDNAMES"));
	expect_dup(inherited, &udp, SOCK_DGRAM, true);
	expect_dup(inherited, &udp, SOCK_DGRAM, true); /* of a second worker */
	expect_dup(inherited, &tcp, SOCK_STREAM, true);
	expect_dup(inherited, &tcp, SOCK_DGRAM, udp.port == tcp.port);
	expect_dup(inherited, &mute, SOCK_STREAM, false);
	other.port++;
	expect_dup(inherited, &other, SOCK_DGRAM, false);
	other = udp;
	other.addr.bytes[15]++;
	expect_dup(inherited, &other, SOCK_DGRAM, false);
	crow_inherited_close(inherited);
	for (int fd = 3; fd <= 6; fd++)
		assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void test_those_of_another_process_are_left_alone(void **state)
{
	struct crow_listen udp = bind_at(3, SOCK_DGRAM, INADDR_LOOPBACK);

	(void)state;
	hand_over((unsigned)getppid(), 1);
	assert_null(crow_inherited_take());
	assert_null(getenv("LISTEN_FDS"));
	assert_int_equal(crow_inherited_dup(NULL, &udp, SOCK_DGRAM), -1);
	crow_inherited_close(NULL);
	assert_int_equal(close(3), 0);
}

static void test_more_are_announced_than_are_there(void **state)
{
	struct crow_listen udp = bind_at(3, SOCK_DGRAM, INADDR_LOOPBACK);
	struct crow_inherited *inherited;

	(void)state;
	hand_over((unsigned)getpid(), 4000000000);
	inherited = crow_inherited_take();
	expect_dup(inherited, &udp, SOCK_DGRAM, true);
	crow_inherited_close(inherited);
}

static void test_none(void **state)
{
	static const char *const bad[] = {"", "0", "-1", "x", "1x"};

	(void)state;
	assert_null(crow_inherited_take());
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		hand_over((unsigned)getpid(), 0);
		setenv("LISTEN_FDS", bad[i], 1);
		assert_null(crow_inherited_take());
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_is_found_by_address_and_type),
		cmocka_unit_test(test_those_of_another_process_are_left_alone),
		cmocka_unit_test(test_more_are_announced_than_are_there),
		cmocka_unit_test(test_none),
	};

	return cmocka_run_group_tests(tests, clear_descriptors, NULL);
}
