/* IP PORT: threads that wait for one connect at the same time, each by another call. */
#include <pthread.h>

#include "waits.h"

enum { WAITERS = 4 };

static int fd;
static uint32_t seen[WAITERS];

static void *by_poll(void *events)
{
	struct pollfd ready = {.fd = fd, .events = POLLIN | POLLOUT};

	MUST(poll(&ready, 1, 10000) == 1);
	*(uint32_t *)events = (uint32_t)ready.revents;
	return NULL;
}

static void *by_ppoll(void *events)
{
	struct pollfd ready = {.fd = fd, .events = POLLOUT | POLLRDHUP};

	MUST(ppoll(&ready, 1, NULL, NULL) == 1);
	*(uint32_t *)events = (uint32_t)ready.revents;
	return NULL;
}

static void *by_select(void *events)
{
	struct timeval timeout = {.tv_sec = 10};
	fd_set in, out;

	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_SET(fd, &in);
	FD_SET(fd, &out);
	MUST(select(fd + 1, &in, &out, NULL, &timeout) > 0);
	*(uint32_t *)events =
		(FD_ISSET(fd, &in) ? EPOLLIN : 0) | (FD_ISSET(fd, &out) ? EPOLLOUT : 0);
	return NULL;
}

static void *by_epoll(void *events)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET};
	int epfd = epoll_create1(EPOLL_CLOEXEC);

	MUST(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event) == 0);
	MUST(epoll_wait(epfd, &event, 1, 10000) == 1);
	*(uint32_t *)events = event.events;
	return NULL;
}

int main(int argc, char **argv)
{
	static void *(*const ways[WAITERS])(void *) = {by_poll, by_ppoll, by_select, by_epoll};
	static const char *const names[WAITERS] = {"poll", "ppoll", "select", "epoll"};
	struct sockaddr_in addr = address_of(argv[1], argv[2]);
	pthread_t threads[WAITERS];

	(void)argc;
	fd = nonblocking_socket();
	begin_connect(fd, &addr);
	for (int i = 0; i < WAITERS; i++)
		MUST(pthread_create(&threads[i], NULL, ways[i], &seen[i]) == 0);
	for (int i = 0; i < WAITERS; i++)
		MUST(pthread_join(threads[i], NULL) == 0);
	for (int i = 0; i < WAITERS; i++)
		print_events(names[i], seen[i]);
	print_end(fd);
	return 0;
}
