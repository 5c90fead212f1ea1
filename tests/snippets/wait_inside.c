/* IP PORT: one thread is in epoll_wait() without end when another one connects. */
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>

#include "waits.h"

static int epfd;
static _Atomic int waiter;

/* A socket that nobody has connected is writable and hung up, edge-triggered: once. */
static void *wait_inside(void *unused)
{
	struct epoll_event event;

	(void)unused;
	MUST(epoll_wait(epfd, &event, 1, -1) == 1);
	print_events("before", event.events);
	waiter = (int)syscall(SYS_gettid);
	MUST(epoll_wait(epfd, &event, 1, -1) == 1);
	print_events("after", event.events);
	return NULL;
}

static void wait_asleep(void)
{
	char path[64], state = 'R';

	while (waiter == 0)
		sched_yield();
	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", waiter);
	while (state != 'S') {
		FILE *stat = fopen(path, "r");

		MUST(stat != NULL && fscanf(stat, "%*d (%*[^)]) %c", &state) == 1);
		fclose(stat);
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_in addr = address_of(argv[1], argv[2]);
	struct epoll_event wanted = {.events = EPOLLOUT | EPOLLET};
	int fd = nonblocking_socket();
	pthread_t thread;

	(void)argc;
	epfd = epoll_create1(EPOLL_CLOEXEC);
	MUST(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &wanted) == 0);
	MUST(pthread_create(&thread, NULL, wait_inside, NULL) == 0);
	wait_asleep();
	MUST(connect_to(fd, &addr) == -1 && errno == EINPROGRESS);
	MUST(pthread_join(thread, NULL) == 0);
	print_end(fd);
	return 0;
}
