/*
 * select() and pselect(). What they are asked is overwritten by the answer, so it is kept for
 * asking again.
 */
#include <string.h>
#include <sys/select.h>
#include <sys/time.h>

#include "preload/real.h"
#include "preload/vigil.h"

/* Programs make larger sets than FD_SETSIZE by hand. 16384 descriptors: 2 KiB for each set on the
 * stack; a call with more is the kernel's alone. */
#define COUNT_MAX 16384

struct call {
	bool masked; /* pselect */
	int count;
	fd_set *sets[3];
	const sigset_t *mask;
};

struct question {
	size_t bytes;
	uint8_t sets[3][COUNT_MAX / 8];
};

/* The kernel reads and writes whole words. */
static void keep(struct question *question, const struct call *call)
{
	size_t word_bits = 8 * sizeof(long);

	question->bytes = ((size_t)call->count + word_bits - 1) / word_bits * sizeof(long);
	for (int i = 0; i < 3; i++)
		if (call->sets[i] != NULL)
			memcpy(question->sets[i], call->sets[i], question->bytes);
}

static void ask_again(const struct question *question, const struct call *call)
{
	for (int i = 0; i < 3; i++)
		if (call->sets[i] != NULL)
			memcpy(call->sets[i], question->sets[i], question->bytes);
}

static int wait_for(const struct call *call, int64_t ns)
{
	struct timespec ts;
	struct timeval tv;

	if (call->masked)
		return crow_real_pselect(call->count, call->sets[0], call->sets[1], call->sets[2],
					 crow_vigil_timespec(ns, &ts), call->mask);
	if (ns == CROW_FOREVER)
		return crow_real_select(call->count, call->sets[0], call->sets[1], call->sets[2],
					NULL);
	ns += 999; /* never early */
	tv = (struct timeval){.tv_sec = ns / 1000000000, .tv_usec = ns % 1000000000 / 1000};
	return crow_real_select(call->count, call->sets[0], call->sets[1], call->sets[2], &tv);
}

static int go_on(const struct call *call, const struct question *question, struct crow_vigil *vigil,
		 int ready)
{
	/* A failure looks like any other event: readable and writable. */
	while (crow_vigil_judge(vigil, ready, ready > 0) != CROW_VIGIL_OVER) {
		ask_again(question, call);
		ready = wait_for(call, crow_vigil_left_ns(vigil));
	}
	return ready;
}

static bool can_watch(const struct call *call)
{
	return call->count >= 0 && call->count <= COUNT_MAX;
}

static int64_t ns_of(const struct timeval *tv)
{
	struct timespec ts;

	if (tv == NULL)
		return CROW_FOREVER;
	ts = (struct timespec){.tv_sec = tv->tv_sec, .tv_nsec = tv->tv_usec * 1000};
	return crow_vigil_ns_of(&ts);
}

/* What is left of the time-out, as Linux tells it. */
static void set_left(struct timeval *timeout, const struct crow_vigil *vigil)
{
	int64_t left_us = (vigil->ends_at - crow_course_now_ns()) / 1000;

	if (timeout == NULL || vigil->ends_at == CROW_FOREVER)
		return;
	left_us = left_us > 0 ? left_us : 0;
	*timeout = (struct timeval){.tv_sec = left_us / 1000000, .tv_usec = left_us % 1000000};
}

static __attribute__((noinline)) int select_watched(const struct call *call,
						    struct timeval *timeout)
{
	uint64_t activity = crow_pending_activity();
	struct question question;
	struct crow_vigil vigil;
	bool any = crow_pending_is_any(activity);
	int ready = 0;

	keep(&question, call);
	if (!any) {
		ready = crow_real_select(call->count, call->sets[0], call->sets[1], call->sets[2],
					 timeout);
		if (ready <= 0 || crow_pending_activity() == activity)
			return ready;
	}
	crow_vigil_open(&vigil, activity, crow_course_now_ns(), ns_of(timeout));
	if (any)
		ready = wait_for(call, crow_vigil_left_ns(&vigil));
	ready = go_on(call, &question, &vigil, ready);
	set_left(timeout, &vigil);
	return ready;
}

static __attribute__((noinline)) int pselect_watched(const struct call *call,
						     const struct timespec *timeout)
{
	uint64_t activity = crow_pending_activity();
	struct question question;
	struct crow_vigil vigil;
	bool any = crow_pending_is_any(activity);
	int64_t started_ns = any ? crow_course_now_ns() : crow_vigil_start_ns();
	int ready;

	keep(&question, call);
	crow_vigil_open(&vigil, activity, started_ns, crow_vigil_ns_of(timeout));
	if (any) {
		ready = wait_for(call, crow_vigil_left_ns(&vigil));
	} else {
		ready = crow_real_pselect(call->count, call->sets[0], call->sets[1], call->sets[2],
					  timeout, call->mask);
		if (ready <= 0 || crow_pending_activity() == activity)
			return ready;
	}
	return go_on(call, &question, &vigil, ready);
}

CROW_EXPORT int select(int count, fd_set *readable, fd_set *writable, fd_set *exceptional,
		       struct timeval *timeout)
{
	const struct call call = {.count = count, .sets = {readable, writable, exceptional}};

	if (crow_vigil_is_alone() && !crow_pending_is_any(crow_pending_activity()))
		return crow_real_select(count, readable, writable, exceptional, timeout);
	if (!can_watch(&call) || (timeout != NULL && (timeout->tv_sec < 0 || timeout->tv_usec < 0)))
		return crow_real_select(count, readable, writable, exceptional, timeout);
	return select_watched(&call, timeout);
}

CROW_EXPORT int pselect(int count, fd_set *readable, fd_set *writable, fd_set *exceptional,
			const struct timespec *timeout, const sigset_t *mask)
{
	const struct call call = {
		.masked = true,
		.count = count,
		.sets = {readable, writable, exceptional},
		.mask = mask,
	};

	if (crow_vigil_is_alone() && !crow_pending_is_any(crow_pending_activity()))
		return crow_real_pselect(count, readable, writable, exceptional, timeout, mask);
	if (!can_watch(&call) || !crow_vigil_is_valid(timeout))
		return crow_real_pselect(count, readable, writable, exceptional, timeout, mask);
	return pselect_watched(&call, timeout);
}
