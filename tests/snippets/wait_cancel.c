/* IP PORT: threads that are cancelled in each wait for a connect that takes long; then the connect
 * ends as ever. */
#include <pthread.h>

#include "waits.h"

static int fd, epfd;

static void *wait_by(void *argument)
{
	struct pollfd ready = {.fd = fd, .events = POLLOUT};
	struct epoll_event event;
	fd_set set;

	FD_ZERO(&set);
	FD_SET(fd, &set);
	switch (*(const char *)argument) {
	case 'p':
		poll(&ready, 1, -1);
		break;
	case 's':
		select(fd + 1, NULL, &set, NULL, NULL);
		break;
	default:
		epoll_wait(epfd, &event, 1, -1);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	struct sockaddr_in addr = address_of(argv[1], argv[2]);
	struct epoll_event event = {.events = EPOLLOUT};
	struct pollfd ready = {.events = POLLOUT};
	static char calls[] = "pse";

	(void)argc;
	fd = ready.fd = nonblocking_socket();
	epfd = epoll_create1(EPOLL_CLOEXEC);
	begin_connect(fd, &addr);
	MUST(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event) == 0);
	for (char *call = calls; *call != '\0'; call++) {
		pthread_t thread;
		void *result;

		MUST(pthread_create(&thread, NULL, wait_by, call) == 0);
		MUST(pthread_cancel(thread) == 0 && pthread_join(thread, &result) == 0);
		printf("%c %s\n", *call, result == PTHREAD_CANCELED ? "cancelled" : "returned");
	}
	MUST(poll(&ready, 1, 10000) == 1);
	print_events("events", (uint32_t)ready.revents);
	print_end(fd);
	return 0;
}
