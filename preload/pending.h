/*
 * The table of connects in progress: those of non-blocking sockets whose connect() has returned
 * EINPROGRESS while another instance is left to try, and those that have failed for good and whose
 * first error is yet to be told.
 *
 * A slot is held by one thread at a time, which compares-and-swaps its state to BUSY, and nobody
 * waits for it: who finds it held goes on. A holder makes system calls that never block, with
 * cancellation off. A holder that never comes back (siglongjmp out of a handler) loses its slot for
 * good after 10 s. A slot is its socket's by number and SO_COOKIE: closed, replaced or inherited
 * under another number, the socket that is there now is never touched.
 *
 * The table lies in pages that a forked child finds zero: free. A child that shares its parent's
 * memory (vfork) has another pid than the table, and leaves it alone.
 */
#ifndef CROW_PENDING_H
#define CROW_PENDING_H

#include <stdatomic.h>

#include "preload/course.h"

/* What a crawler or a proxy under load has in flight; 600 KiB of pages that are touched on use. A
 * connect() that finds the table full is left to the kernel. */
#define CROW_PENDING_MAX 1024

/* What the wait functions load: bits 0-15 count slots that are pending or held, 16-31 those that
 * are settled, 32-63 how often a slot was taken hold of or let go. */
extern _Atomic uint64_t *crow_pending_word;

static inline uint64_t crow_pending_activity(void)
{
	return atomic_load_explicit(crow_pending_word, memory_order_acquire);
}

static inline bool crow_pending_is_any(uint64_t activity)
{
	return (activity & 0xffff) != 0;
}

/* Pending, held or settled: a look at the table may find a descriptor. */
static inline bool crow_pending_may_have(uint64_t activity)
{
	return (activity & 0xffffffff) != 0;
}

static inline uint32_t crow_pending_changes(uint64_t activity)
{
	return (uint32_t)(activity >> 32);
}

/* By the constructor. False: no memory; then connects are not failed over once they are pending. */
bool crow_pending_open(void);

/* A slot for a connect() that is about to be made, held; -1 if there is none. In its place until
 * the caller says what became of it: an action of crow_course_connect(). */
int crow_pending_claim(int fd);
void crow_pending_release(int slot, const struct crow_course *course, struct crow_action action);

/* When the first limit of a pending attempt runs out; 0 = none does. */
int64_t crow_pending_deadline(void);

/* After a wait: moves every slot on as its socket tells. */
struct crow_served {
	uint32_t changes; /* those that this call counted */
	bool moved;       /* a socket was reset and connects to another instance */
	bool busy;        /* another thread holds a slot */
};
struct crow_served crow_pending_serve(void);

/* Descriptors whose slots are held, or were at any time since the activity; how many. */
size_t crow_pending_touched(uint64_t since, int fds[CROW_PENDING_MAX]);

/* A wait saw a hang-up or an error on such a descriptor. Returns what there is to see of it by now, of
 * the events wanted; 0 if that is over, or what the program must not see. */
short crow_pending_hangup(int fd, short wanted);

/* getsockopt(SO_ERROR) and connect() of a descriptor that may be in the table. False: it is not,
 * ask the kernel. Else *error is what the program is to be told. */
bool crow_pending_error(int fd, int *error);
bool crow_pending_connect(int fd, const struct sockaddr *addr, socklen_t len, int *error);

#endif
