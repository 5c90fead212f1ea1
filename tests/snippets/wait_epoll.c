/* CALL HOW IP PORT: a non-blocking connect in an epoll loop. CALL is wait, pwait or pwait2; HOW is
 * any of the words level, edge, oneshot, early (registered before connect), duplicate (registered
 * by another number), one (room for one event, and another descriptor that has many), nothing (no
 * event is asked for), joined by commas. Prints each event of the socket until the connect has ended. */
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>

#include "waits.h"

static const char *how;

static int is(const char *word)
{
	return strstr(how, word) != NULL;
}

static int wait_by(const char *call, int epfd, struct epoll_event *events, int max)
{
	const struct timespec timeout = {.tv_sec = 10};
	sigset_t none;

	sigemptyset(&none);
	if (strcmp(call, "wait") == 0)
		return epoll_wait(epfd, events, max, 10000);
	if (strcmp(call, "pwait") == 0)
		return epoll_pwait(epfd, events, max, -1, &none);
	return epoll_pwait2(epfd, events, max, &timeout, NULL);
}

static void add(int epfd, int fd, uint64_t data)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP, .data.u64 = data};

	if (is("nothing"))
		event.events = 0;
	if (is("edge"))
		event.events |= EPOLLET;
	if (is("oneshot"))
		event.events |= EPOLLONESHOT;
	MUST(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event) == 0);
}

/* Another descriptor whose events the program must get, all of them. */
static int add_busy(int epfd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = 7};
	int fd = eventfd(0, EFD_SEMAPHORE | EFD_NONBLOCK);
	uint64_t five = 5;

	MUST(fd >= 0 && epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event) == 0);
	MUST(write(fd, &five, sizeof(five)) == sizeof(five));
	return fd;
}

int main(int argc, char **argv)
{
	struct sockaddr_in addr = address_of(argv[3], argv[4]);
	int epfd = epoll_create1(EPOLL_CLOEXEC);
	int fd = nonblocking_socket();
	struct epoll_event events[4];
	int busy = -1, drained = 0;
	uint64_t one;

	(void)argc;
	how = argv[2];
	if (is("one"))
		busy = add_busy(epfd);
	if (is("early"))
		add(epfd, is("duplicate") ? dup(fd) : fd, 0xfeedfacecafe);
	begin_connect(fd, &addr);
	if (!is("early"))
		add(epfd, is("duplicate") ? dup(fd) : fd, 0xfeedfacecafe);
	for (;;) {
		int ready = wait_by(argv[1], epfd, events, is("one") ? 1 : 4);

		MUST(ready > 0);
		if (events[0].data.u64 == 7) {
			drained += read(busy, &one, sizeof(one)) == sizeof(one);
			continue;
		}
		print_events("events", events[0].events);
		printf("data %llx, ready %d\n", (unsigned long long)events[0].data.u64, ready);
		break;
	}
	while (busy >= 0 && read(busy, &one, sizeof(one)) == sizeof(one))
		drained++;
	printf("drained %d\n", drained);
	print_end(fd);
	return 0;
}
