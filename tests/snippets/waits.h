/* What the snippets about non-blocking connects share. */
#ifndef CROW_WAITS_H
#define CROW_WAITS_H

#include <sys/epoll.h>
#include <sys/select.h>
#include <time.h>

#include "snippet.h"

static inline int nonblocking_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	MUST(fd >= 0);
	return fd;
}

static inline void begin_connect(int fd, const struct sockaddr_in *addr)
{
	printf("connect %s\n", outcome(connect_to(fd, addr)));
}

/* poll's and epoll's bits are the same. */
static inline void print_events(const char *label, uint32_t events)
{
	static const struct {
		uint32_t bit;
		const char *name;
	} names[] = {{EPOLLIN, " IN"},   {EPOLLPRI, " PRI"}, {EPOLLOUT, " OUT"},
		     {EPOLLERR, " ERR"}, {EPOLLHUP, " HUP"}, {EPOLLRDHUP, " RDHUP"}};

	printf("%s", label);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if ((events & names[i].bit) != 0)
			printf("%s", names[i].name);
	printf("\n");
}

/* How the connect ended, as each of the idioms tells it. */
static inline void print_end(int fd)
{
	printf("error %s\n", strerrorname_np(int_option(fd, SOL_SOCKET, SO_ERROR)));
	printf("error again %s\n", strerrorname_np(int_option(fd, SOL_SOCKET, SO_ERROR)));
	print_peer(fd);
	printf("TCP_USER_TIMEOUT %d\n", int_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT));
}

static inline long elapsed_ms(const struct timespec *since)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - since->tv_sec) * 1000 + (now.tv_nsec - since->tv_nsec) / 1000000;
}

#endif
