/*
 * poll(), ppoll() and what fortified programs call instead. The kernel keeps no state from one
 * call to the next: where a result is in doubt, it is asked again.
 */
#include <poll.h>

#include "preload/path.h"
#include "preload/real.h"
#include "preload/vigil.h"

enum form { POLL, POLL_CHK, PPOLL, PPOLL_CHK };

struct call {
	enum form form;
	struct pollfd *fds;
	nfds_t count;
	const sigset_t *mask;
	size_t size;
};

static CROW_INLINE int real_ms(const struct call *call, int timeout_ms)
{
	if (call->form == POLL)
		return crow_real_poll(call->fds, call->count, timeout_ms);
	return crow_real_poll_chk(call->fds, call->count, timeout_ms, call->size);
}

static CROW_INLINE int real_timespec(const struct call *call, const struct timespec *timeout)
{
	if (call->form == PPOLL)
		return crow_real_ppoll(call->fds, call->count, timeout, call->mask);
	return crow_real_ppoll_chk(call->fds, call->count, timeout, call->mask, call->size);
}

static int wait_for(const struct call *call, int64_t ns)
{
	struct timespec ts;

	if (call->form == POLL || call->form == POLL_CHK)
		return real_ms(call, crow_vigil_ms(ns));
	return real_timespec(call, crow_vigil_timespec(ns, &ts));
}

static bool shows_failure(const struct call *call, int ready)
{
	for (nfds_t i = 0; ready > 0 && i < call->count; i++)
		if ((call->fds[i].revents & (POLLHUP | POLLERR)) != 0)
			return true;
	return false;
}

static int go_on(const struct call *call, struct crow_vigil *vigil, int ready)
{
	while (crow_vigil_judge(vigil, ready, shows_failure(call, ready)) != CROW_VIGIL_OVER)
		ready = wait_for(call, crow_vigil_left_ns(vigil));
	return ready;
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

static CROW_INLINE int poll_ms(struct call call, int timeout_ms)
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

static CROW_INLINE int poll_timespec(struct call call, const struct timespec *timeout)
{
	uint64_t activity = crow_pending_activity();
	int64_t started_ns;
	int ready;

	if (__builtin_expect(crow_pending_is_any(activity), 0) && crow_vigil_is_valid(timeout))
		return watch(call, activity, crow_vigil_ns_of(timeout));
	if (crow_vigil_is_alone())
		return real_timespec(&call, timeout);
	started_ns = timeout != NULL ? crow_vigil_start_ns() : 0;
	ready = real_timespec(&call, timeout);
	if (__builtin_expect(ready <= 0 || crow_pending_activity() == activity, 1))
		return ready;
	return doubt(call, activity, started_ns, crow_vigil_ns_of(timeout), ready);
}

CROW_EXPORT int poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
	return poll_ms((struct call){.form = POLL, .fds = fds, .count = count}, timeout_ms);
}

CROW_EXPORT int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
		      const sigset_t *mask)
{
	return poll_timespec((struct call){.form = PPOLL, .fds = fds, .count = count, .mask = mask},
			     timeout);
}

/* bits/poll2.h declares those for fortified sources alone. */
CROW_EXPORT int __poll_chk(struct pollfd *fds, nfds_t count, int timeout_ms, size_t size);
CROW_EXPORT int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
			    const sigset_t *mask, size_t size);

CROW_EXPORT int __poll_chk(struct pollfd *fds, nfds_t count, int timeout_ms, size_t size)
{
	return poll_ms((struct call){.form = POLL_CHK, .fds = fds, .count = count, .size = size},
		       timeout_ms);
}

CROW_EXPORT int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
			    const sigset_t *mask, size_t size)
{
	return poll_timespec(
		(struct call){
			.form = PPOLL_CHK, .fds = fds, .count = count, .mask = mask, .size = size},
		timeout);
}
