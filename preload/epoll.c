/*
 * epoll_wait(), epoll_pwait(), epoll_pwait2() and epoll_ctl(). An event that was taken from the
 * kernel does not come back where it is edge-triggered or one-shot: so nothing is asked again, but
 * the hang-ups of connects that go on are taken out of the result.
 */
#include <errno.h>
#include <pthread.h>
#include <sys/epoll.h>

#include "preload/interest.h"
#include "preload/path.h"
#include "preload/real.h"
#include "preload/vigil.h"

/* Flags that the kernel keeps when an event has disarmed a registration (EP_PRIVATE_BITS). */
#define FLAGS (EPOLLONESHOT | EPOLLET | EPOLLWAKEUP | EPOLLEXCLUSIVE)

/* What the kernel adds to what is asked for, and takes away with it. */
#define ALWAYS (EPOLLERR | EPOLLHUP)

struct call {
	enum { WAIT, PWAIT, PWAIT2 } form;
	int epfd;
	struct epoll_event *events;
	int max;
	const sigset_t *mask;
};

static CROW_INLINE int real_ms(const struct call *call, int timeout_ms)
{
	if (call->form == WAIT)
		return crow_real_epoll_wait(call->epfd, call->events, call->max, timeout_ms);
	return crow_real_epoll_pwait(call->epfd, call->events, call->max, timeout_ms, call->mask);
}

static int wait_for(const struct call *call, int64_t ns)
{
	struct timespec ts;

	if (call->form != PWAIT2)
		return real_ms(call, crow_vigil_ms(ns));
	return crow_real_epoll_pwait2(call->epfd, call->events, call->max,
				      crow_vigil_timespec(ns, &ts), call->mask);
}

/* A connect that failed is hung up. One that fails just now, or that was reset and begins anew, may
 * show its error alone: tcp_poll() reads the state first and the error last, without the socket's
 * lock, and tcp_connect_init() wipes the error when the state is SYN_SENT already. What is writable
 * beside an error has connected (MSG_ERRQUEUE). */
static bool may_be_failure(const struct epoll_event *event)
{
	return (event->events & EPOLLHUP) != 0 ||
	       (event->events & (EPOLLERR | EPOLLOUT)) == EPOLLERR;
}

static bool shows_failure(const struct call *call, int ready)
{
	for (int i = 0; i < ready; i++)
		if (may_be_failure(&call->events[i]))
			return true;
	return false;
}

/* What the program waits for. Where an event has disarmed the registration and the record lacks it,
 * that is in the event: a failed connect is readable, writable and hung up (tcp_poll); or shows its
 * error alone, and who waits for a connect waits until it is writable. The bits of poll() are the same. */
static short wanted(const struct crow_interest *interest, const struct epoll_event *event)
{
	uint32_t events = interest->events & ~(uint32_t)FLAGS;

	if (events == 0)
		events = event->events & ~(uint32_t)ALWAYS;
	if (events == 0)
		events = EPOLLOUT;
	return (short)(events & 0x7fff);
}

/* The program has not seen the event that disarmed it. */
static void rearm(int epfd, const struct crow_interest *interest, const struct epoll_event *event)
{
	struct epoll_event again = {.data = event->data};

	if ((interest->events & EPOLLONESHOT) == 0)
		return;
	again.events = (uint16_t)wanted(interest, event) | (interest->events & FLAGS);
	crow_real_epoll_ctl(epfd, EPOLL_CTL_MOD, interest->fd, &again);
}

/* The descriptor, of those touched, that an event comes from; -1 if none. The kernel's list, which
 * is long where a server has many connections, is read for those alone that the record lacks. */
static int find(int epfd, const int *fds, size_t count, const struct epoll_event *event,
		struct crow_interest *interest)
{
	uint64_t data = event->data.u64;

	for (size_t i = 0; i < count; i++)
		if (crow_interest_recall(epfd, fds[i], interest) && interest->data == data)
			return fds[i];
	for (size_t i = 0; i < count; i++)
		if (!crow_interest_recall(epfd, fds[i], interest) &&
		    crow_interest_look_up(epfd, fds[i], data, interest))
			return fds[i];
	return -1;
}

/* Returns how many events are left. */
static int take_out(const struct call *call, const struct crow_vigil *vigil, int ready)
{
	int fds[CROW_PENDING_MAX];
	size_t count = crow_pending_touched(vigil->since, fds);
	struct crow_interest interest;
	int left = 0;

	for (int i = 0; i < ready; i++) {
		struct epoll_event event = call->events[i];
		int fd = may_be_failure(&event) ? find(call->epfd, fds, count, &event, &interest)
						: -1;

		if (fd >= 0)
			event.events = (uint16_t)crow_pending_hangup(fd, wanted(&interest, &event));
		if (event.events == 0)
			rearm(call->epfd, &interest, &call->events[i]);
		else
			call->events[left++] = event;
	}
	return left;
}

static int take_out_safely(const struct call *call, const struct crow_vigil *vigil, int ready)
{
	int saved = errno;
	int cancel;

	/* open() and read() are cancellation points; the program's own wait still is one. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	ready = take_out(call, vigil, ready);
	pthread_setcancelstate(cancel, NULL);
	errno = saved;
	return ready;
}

static int go_on(const struct call *call, struct crow_vigil *vigil, int ready)
{
	for (;;) {
		enum crow_verdict verdict =
			crow_vigil_judge(vigil, ready, shows_failure(call, ready));

		if (verdict == CROW_VIGIL_DOUBTS)
			ready = take_out_safely(call, vigil, ready);
		if (verdict == CROW_VIGIL_OVER || ready > 0)
			return ready;
		ready = wait_for(call, crow_vigil_left_ns(vigil));
	}
}

/* Connects are pending. */
static __attribute__((noinline)) int watch(struct call call, uint64_t activity, int64_t timeout_ns)
{
	struct crow_vigil vigil;

	crow_vigil_open(&vigil, activity, crow_course_now_ns(), timeout_ns);
	return go_on(&call, &vigil, wait_for(&call, crow_vigil_left_ns(&vigil)));
}

/* None was, but one has been since. */
static __attribute__((noinline)) int doubt(struct call call, uint64_t activity, int64_t started_ns,
					   int64_t timeout_ns, int ready)
{
	struct crow_vigil vigil;

	crow_vigil_open(&vigil, activity, started_ns, timeout_ns);
	return go_on(&call, &vigil, ready);
}

static CROW_INLINE int wait_ms(struct call call, int timeout_ms)
{
	uint64_t activity = crow_pending_activity();
	int64_t started_ns;
	int ready;

	if (__builtin_expect(crow_pending_is_any(activity), 0))
		return watch(call, activity, crow_vigil_ns_of_ms(timeout_ms));
	if (crow_vigil_is_alone())
		return real_ms(&call, timeout_ms);
	started_ns = timeout_ms > 0 ? crow_vigil_start_ns() : 0;
	ready = real_ms(&call, timeout_ms);
	if (__builtin_expect(ready <= 0 || crow_pending_activity() == activity, 1))
		return ready;
	return doubt(call, activity, started_ns, crow_vigil_ns_of_ms(timeout_ms), ready);
}

CROW_EXPORT int epoll_wait(int epfd, struct epoll_event *events, int max, int timeout_ms)
{
	return wait_ms((struct call){.form = WAIT, .epfd = epfd, .events = events, .max = max},
		       timeout_ms);
}

CROW_EXPORT int epoll_pwait(int epfd, struct epoll_event *events, int max, int timeout_ms,
			    const sigset_t *mask)
{
	return wait_ms(
		(struct call){
			.form = PWAIT, .epfd = epfd, .events = events, .max = max, .mask = mask},
		timeout_ms);
}

/* glibc 2.35 declares it. */
CROW_EXPORT int epoll_pwait2(int epfd, struct epoll_event *events, int max,
			     const struct timespec *timeout, const sigset_t *mask)
{
	const struct call call = {
		.form = PWAIT2, .epfd = epfd, .events = events, .max = max, .mask = mask};
	uint64_t activity = crow_pending_activity();
	int64_t started_ns;
	int ready;

	if (__builtin_expect(crow_pending_is_any(activity), 0) && crow_vigil_is_valid(timeout))
		return watch(call, activity, crow_vigil_ns_of(timeout));
	if (crow_vigil_is_alone())
		return crow_real_epoll_pwait2(epfd, events, max, timeout, mask);
	started_ns = timeout != NULL ? crow_vigil_start_ns() : 0;
	ready = crow_real_epoll_pwait2(epfd, events, max, timeout, mask);
	if (__builtin_expect(ready <= 0 || crow_pending_activity() == activity, 1))
		return ready;
	return doubt(call, activity, started_ns, crow_vigil_ns_of(timeout), ready);
}

CROW_EXPORT int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
	int result = crow_real_epoll_ctl(epfd, op, fd, event);

	/* event is NULL, or the kernel's to refuse, unless it was to be read. */
	if (result == 0 && op == EPOLL_CTL_DEL)
		crow_interest_record(epfd, op, fd, 0, 0);
	else if (result == 0)
		crow_interest_record(epfd, op, fd, event->events | ALWAYS, event->data.u64);
	return result;
}
