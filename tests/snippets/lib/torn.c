/* A library that shows the first hang-up of which epoll tells as an error alone. The kernel does so,
 * once in very many, where the socket fails or is reset while it looks. */
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MASK_BYTES = 8 }; /* the kernel's sigset_t */

static int torn(struct epoll_event *events, long ready)
{
	static int done;

	for (long i = 0; i < ready && !done; i++)
		if ((events[i].events & EPOLLHUP) != 0) {
			events[i].events = EPOLLERR;
			done = 1;
		}
	return (int)ready;
}

int epoll_pwait(int epfd, struct epoll_event *events, int max, int timeout_ms, const sigset_t *mask)
{
	return torn(events,
		    syscall(SYS_epoll_pwait, epfd, events, max, timeout_ms, mask, MASK_BYTES));
}

int epoll_wait(int epfd, struct epoll_event *events, int max, int timeout_ms)
{
	return torn(events,
		    syscall(SYS_epoll_pwait, epfd, events, max, timeout_ms, NULL, MASK_BYTES));
}

int epoll_pwait2(int epfd, struct epoll_event *events, int max, const struct timespec *timeout,
		 const sigset_t *mask)
{
	return torn(events,
		    syscall(SYS_epoll_pwait2, epfd, events, max, timeout, mask, MASK_BYTES));
}
