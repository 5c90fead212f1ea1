/* HOW IP PORT: a connect is under way; its descriptor becomes another socket's, by close_range,
 * dup2 (over it), close (as a raw system call), or vfork (a child that replaces it, in its own
 * table); or the program goes on by exec. Then the program waits for longer than an attempt may
 * take: the other socket, which is connected, has to stay as it is. With leave, there is a child of
 * vfork first, which ends while a connect of its own is under way. */
#include <fcntl.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "waits.h"

static void connected_pair(int pair[2])
{
	struct sockaddr_in own = address_of("127.0.0.1", "0");
	socklen_t len = sizeof(own);
	int listener = stream_socket();

	MUST(bind(listener, (struct sockaddr *)&own, len) == 0 && listen(listener, 1) == 0);
	MUST(getsockname(listener, (struct sockaddr *)&own, &len) == 0);
	pair[0] = stream_socket();
	MUST(connect_to(pair[0], &own) == 0);
	pair[1] = accept(listener, NULL, NULL);
	MUST(pair[1] >= 0);
	close(listener);
	MUST(fcntl(pair[0], F_SETFL, O_NONBLOCK) == 0);
}

/* Until it is not writable: what it looks like is a connect that takes long. */
static long fill(int fd)
{
	static const char bytes[65536];
	ssize_t sent;
	long sum = 0;

	while ((sent = send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL)) > 0)
		sum += sent;
	MUST(errno == EAGAIN);
	return sum;
}

static void drain(int fd, long left)
{
	static char bytes[65536];
	ssize_t got;

	for (; left > 0; left -= got) {
		got = recv(fd, bytes, sizeof(bytes), 0);
		MUST(got > 0);
	}
}

static void vfork_child(int fd, int other)
{
	int status;
	pid_t child = vfork();

	if (child == 0) {
		struct pollfd nothing = {.fd = -1};

		dup2(other, fd);
		poll(&nothing, 1, 400);
		_exit(0);
	}
	MUST(child > 0 && waitpid(child, &status, 0) == child && status == 0);
}

static void child_that_leaves(const struct sockaddr_in *addr)
{
	int status;
	pid_t child = vfork();

	if (child == 0) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

		_exit(connect_to(fd, addr) < 0 && errno == EINPROGRESS ? 0 : 1);
	}
	MUST(child > 0 && waitpid(child, &status, 0) == child && status == 0);
}

static void check_pair(int one, int other)
{
	char byte = 'x';

	MUST(write(one, &byte, 1) == 1 && read(other, &byte, 1) == 1);
	MUST(fcntl(one, F_SETFL, 0) == 0);
	MUST(write(other, &byte, 1) == 1 && read(one, &byte, 1) == 1);
	printf("pair works\n");
	printf("TCP_USER_TIMEOUT %d\n", int_option(one, IPPROTO_TCP, TCP_USER_TIMEOUT));
}

static int wait_for_it(int fd)
{
	struct pollfd ready = {.fd = fd, .events = POLLOUT};

	MUST(poll(&ready, 1, 10000) == 1);
	print_events("events", (uint32_t)ready.revents);
	print_end(fd);
	return 0;
}

int main(int argc, char **argv)
{
	struct sockaddr_in addr = address_of(argv[2], argv[3]);
	struct pollfd nothing = {.fd = -1};
	char number[12];
	int pair[2], fd;
	long filled;

	if (argc == 5)
		return wait_for_it(atoi(argv[4]));
	connected_pair(pair);
	if (strcmp(argv[1], "leave") == 0)
		child_that_leaves(&addr);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	begin_connect(fd, &addr);
	if (strcmp(argv[1], "exec") == 0) {
		fflush(stdout);
		snprintf(number, sizeof(number), "%d", fd);
		execl("/proc/self/exe", argv[0], argv[1], argv[2], argv[3], number, NULL);
		MUST(0);
	}
	if (strcmp(argv[1], "leave") == 0)
		return wait_for_it(fd);
	if (strcmp(argv[1], "vfork") == 0) {
		vfork_child(fd, pair[0]);
		check_pair(pair[0], pair[1]);
		return wait_for_it(fd);
	}
	if (strcmp(argv[1], "close_range") == 0)
		MUST(close_range((unsigned)fd, (unsigned)fd, 0) == 0);
	else if (strcmp(argv[1], "close") == 0)
		MUST(syscall(SYS_close, fd) == 0);
	MUST(dup2(pair[0], fd) == fd);
	filled = fill(fd);
	poll(&nothing, 1, 400);
	drain(pair[1], filled);
	check_pair(fd, pair[1]);
	return 0;
}
