/*
 * One call of a wait function (poll, select, epoll_wait and their kin) while connects are pending:
 * the real wait is cut at the nearest limit of an attempt, then the attempts are moved on, and
 * where all that there was is something that the program must not see, it waits again with what is
 * left of its own time-out.
 *
 * The look comes after the wait. One before it would only mend what is old: whoever is inside
 * already, in another thread, has to look when it comes out.
 */
#ifndef CROW_VIGIL_H
#define CROW_VIGIL_H

#include <sys/single_threaded.h>
#include <time.h>

#include "preload/pending.h"

#define CROW_FOREVER INT64_MAX

struct crow_vigil {
	uint64_t since;    /* the activity before the last real wait */
	uint64_t activity; /* after it, and after our look */
	int64_t ends_at;   /* CROW_FOREVER = never */
	unsigned rounds;   /* results that were in doubt */
};

enum crow_verdict {
	CROW_VIGIL_OVER,   /* the result is the program's */
	CROW_VIGIL_AGAIN,  /* there is none yet, and time is left */
	CROW_VIGIL_DOUBTS, /* what looks like failure may be over by now */
};

/* Nobody else can connect during a wait: there are no other threads, and a signal handler ends it
 * with EINTR. Then what libc returns is returned as it is; one more return after a system call is
 * 10 to 40 ns, for a processor that forgets its return addresses there. */
static inline bool crow_vigil_is_alone(void)
{
	return __libc_single_threaded;
}

/* When a wait begins that nothing seems to be of interest to, and that may turn out to be of some:
 * at most 10 ms later than now, and never earlier. 5 ns, where the exact clock takes 25. */
static inline int64_t crow_vigil_start_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts); /* behind by one tick: 10 ms at 100 Hz */
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec + 10000000;
}

/* activity: as of before the first real wait, which started at started_ns. */
void crow_vigil_open(struct crow_vigil *vigil, uint64_t activity, int64_t started_ns,
		     int64_t timeout_ns);

/* For the next real wait: CROW_FOREVER, or 0 and more. */
int64_t crow_vigil_left_ns(const struct crow_vigil *vigil);

/* After a real wait; failure: its result may be that of a failed connect. errno is kept. */
enum crow_verdict crow_vigil_judge(struct crow_vigil *vigil, int ready, bool failure);

/* Time-outs; what is negative or absent is CROW_FOREVER, and so is more than 30 years. */
int64_t crow_vigil_ns_of_ms(int ms);
int64_t crow_vigil_ns_of(const struct timespec *ts);

/* False: the kernel refuses it. */
bool crow_vigil_is_valid(const struct timespec *ts);

/* Rounded up: never early. */
int crow_vigil_ms(int64_t ns);
const struct timespec *crow_vigil_timespec(int64_t ns, struct timespec *out);

#endif
