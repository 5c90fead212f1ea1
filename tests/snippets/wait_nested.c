/* IP PORT: a non-blocking connect in an epoll set that is in another one, which is polled. */
#include "waits.h"

static int set_with(int fd)
{
	struct epoll_event event = {.events = EPOLLOUT | EPOLLIN, .data.fd = fd};
	int epfd = epoll_create1(EPOLL_CLOEXEC);

	MUST(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event) == 0);
	return epfd;
}

int main(int argc, char **argv)
{
	struct sockaddr_in addr = address_of(argv[1], argv[2]);
	int fd = nonblocking_socket();
	int inner, outer;
	struct epoll_event event;
	struct pollfd ready;

	(void)argc;
	begin_connect(fd, &addr);
	inner = set_with(fd);
	outer = set_with(inner);
	ready = (struct pollfd){.fd = outer, .events = POLLIN};
	do {
		MUST(poll(&ready, 1, 10000) == 1);
		MUST(epoll_wait(outer, &event, 1, 10000) == 1);
		MUST(event.data.fd == inner);
		/* Readiness of a set is a hint: what made it ready may be over. */
	} while (epoll_wait(inner, &event, 1, 0) == 0);
	MUST(event.data.fd == fd);
	print_events("events", event.events);
	print_end(fd);
	return 0;
}
