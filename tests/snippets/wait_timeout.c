/* IP PORT MS: time-outs of the program's own, shorter than the connect takes: each wait ends with
 * nothing, no earlier than it should, and a wait without time ends at once. */
#include <stdbool.h>

#include "waits.h"

static struct timespec start;

static void check(const char *call, int result, long least_ms)
{
	printf("%s %s%s\n", call, result == 0 ? "nothing" : outcome(result),
	       elapsed_ms(&start) < least_ms ? ", early" : "");
}

int main(int argc, char **argv)
{
	struct sockaddr_in addr = address_of(argv[1], argv[2]);
	int ms = atoi(argv[3]);
	struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
	int epfd = epoll_create1(EPOLL_CLOEXEC), fd = nonblocking_socket();
	struct pollfd ready = {.fd = fd, .events = POLLOUT};
	struct epoll_event event = {.events = EPOLLOUT};
	fd_set set;

	(void)argc;
	begin_connect(fd, &addr);
	MUST(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event) == 0);
	clock_gettime(CLOCK_MONOTONIC, &start);
	check("poll at once", poll(&ready, 1, 0), 0);
	check("epoll at once", epoll_wait(epfd, &event, 1, 0), 0);
	check("poll", poll(&ready, 1, ms), ms);
	check("ppoll", ppoll(&ready, 1, &ts, NULL), 2L * ms);
	check("epoll", epoll_wait(epfd, &event, 1, ms), 3L * ms);
	check("epoll_pwait2", epoll_pwait2(epfd, &event, 1, &ts, NULL), 4L * ms);
	FD_ZERO(&set);
	FD_SET(fd, &set);
	check("select", select(fd + 1, NULL, &set, NULL, &tv), 5L * ms);
	printf("left %ld %ld\n", (long)tv.tv_sec, (long)tv.tv_usec);
	FD_SET(fd, &set);
	check("pselect", pselect(fd + 1, NULL, &set, NULL, &ts, NULL), 6L * ms);
	/* What the kernel refuses, it refuses still. */
	ts.tv_nsec = -1;
	check("bad ppoll", ppoll(&ready, 1, &ts, NULL), 0);
	check("bad pselect", pselect(fd + 1, NULL, &set, NULL, &ts, NULL), 0);
	check("bad epoll_pwait2", epoll_pwait2(epfd, &event, 1, &ts, NULL), 0);
	tv.tv_sec = -1;
	check("bad select", select(fd + 1, NULL, &set, NULL, &tv), 0);
	check("bad epoll", epoll_wait(epfd, &event, 0, 0), 0);
	check("no epoll", epoll_wait(fd, &event, 1, 0), 0);
	return 0;
}
