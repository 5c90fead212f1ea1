/*
 * What a program pays that connects to instances; bench/run.py runs it with and without the
 * library. Times are medians, in ns. libc alone.
 *
 *   connects serve                 prints "IP PORT", accepts and closes until stdin ends
 *   connects block IP PORT COUNT   socket, connect, close
 *   connects event IP PORT COUNT   the same as event loops do it: non-blocking, registered with
 *                                  epoll before, waited for, SO_ERROR asked
 *   connects idle CALL COUNT       one poll, epoll or select that has something to return, while
 *                                  nothing connects
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/measure.h"

static void must(bool condition, const char *what)
{
	if (condition)
		return;
	perror(what);
	exit(1);
}

static void *accept_all(void *argument)
{
	int listener = *(int *)argument;

	for (;;) {
		int fd = accept(listener, NULL, NULL);

		if (fd >= 0)
			close(fd);
	}
	return NULL;
}

static int serve(void)
{
	struct sockaddr_in own = {.sin_family = AF_INET};
	socklen_t len = sizeof(own);
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	char text[INET_ADDRSTRLEN];
	pthread_t thread;

	own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	must(bind(listener, (struct sockaddr *)&own, len) == 0, "bind");
	must(listen(listener, 4096) == 0, "listen");
	must(getsockname(listener, (struct sockaddr *)&own, &len) == 0, "getsockname");
	must(pthread_create(&thread, NULL, accept_all, &listener) == 0, "pthread_create");
	printf("%s %d\n", inet_ntop(AF_INET, &own.sin_addr, text, sizeof(text)),
	       ntohs(own.sin_port));
	fflush(stdout);
	while (getchar() != EOF)
		;
	return 0;
}

/* Without the time-wait that would use up the ports. */
static void abort_connection(int fd)
{
	const struct linger now = {.l_onoff = 1};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
}

static void connect_blocking(const struct sockaddr_in *to)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	connect(fd, (const struct sockaddr *)to, sizeof(*to));
	abort_connection(fd);
}

static void connect_in_event_loop(int epfd, const struct sockaddr_in *to)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct epoll_event event = {.events = EPOLLOUT | EPOLLET, .data.fd = fd};
	int error = 0;
	socklen_t len = sizeof(error);

	epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event);
	connect(fd, (const struct sockaddr *)to, sizeof(*to));
	do
		epoll_wait(epfd, &event, 1, 5000);
	while ((event.events & (EPOLLOUT | EPOLLHUP)) == (EPOLLOUT | EPOLLHUP) &&
	       (event.events & EPOLLERR) == 0); /* before connect() */
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
	abort_connection(fd);
}

static int time_connects(bool events, const char *ip, const char *port, long count)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
	double *took = calloc((size_t)count, sizeof(*took));
	int epfd = epoll_create1(0);

	must(inet_pton(AF_INET, ip, &to.sin_addr) == 1 && took != NULL && epfd >= 0, ip);
	for (long i = 0; i < count; i++) {
		double start = seconds(CLOCK_MONOTONIC);

		if (events)
			connect_in_event_loop(epfd, &to);
		else
			connect_blocking(&to);
		took[i] = seconds(CLOCK_MONOTONIC) - start;
	}
	printf("%.1f\n", median(took, (size_t)count) * 1e9);
	free(took);
	return 0;
}

static void wait_once(char call, int fd, int epfd)
{
	struct pollfd ready = {.fd = fd, .events = POLLIN};
	struct timeval timeout = {.tv_sec = 1};
	struct epoll_event event;
	fd_set set;

	if (call == 'p') {
		poll(&ready, 1, 1000);
	} else if (call == 'e') {
		epoll_wait(epfd, &event, 1, 1000);
	} else {
		FD_ZERO(&set);
		FD_SET(fd, &set);
		select(fd + 1, &set, NULL, NULL, &timeout);
	}
}

static int time_waits(char call, long count)
{
	int fd = eventfd(1, 0);
	int epfd = epoll_create1(0);
	struct epoll_event event = {.events = EPOLLIN};
	enum { SLICES = 101 };
	double took[SLICES];

	must(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
	for (int slice = 0; slice < SLICES; slice++) {
		double start = seconds(CLOCK_MONOTONIC);

		for (long i = 0; i < count / SLICES; i++)
			wait_once(call, fd, epfd);
		took[slice] = (seconds(CLOCK_MONOTONIC) - start) / (double)(count / SLICES) * 1e9;
	}
	printf("%.2f\n", median(took, SLICES));
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "serve") == 0)
		return serve();
	if (argc == 5 && (strcmp(argv[1], "block") == 0 || strcmp(argv[1], "event") == 0))
		return time_connects(argv[1][0] == 'e', argv[2], argv[3], atol(argv[4]));
	if (argc == 4 && strcmp(argv[1], "idle") == 0)
		return time_waits(argv[2][0], atol(argv[3]));
	fputs("usage: connects serve | block IP PORT COUNT | event IP PORT COUNT |\n"
	      "       idle poll|epoll|select COUNT\n",
	      stderr);
	return 2;
}
