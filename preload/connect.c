/*
 * connect(): to an address of a service it goes to an instance that is up, and from one that fails
 * to another, before the program hears of it. To every other address it is libc's connect() after
 * a look into the image, without a system call.
 *
 * No reader of the image, no lock and no descriptor of ours is held across a real connect(), which
 * may block, be cancelled, or run a signal handler that connects.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/single_threaded.h>
#include <sys/socket.h>

#include "preload/current.h"
#include "preload/fd.h"
#include "preload/names.h"
#include "preload/pending.h"
#include "preload/real.h"
#include "resolver/pick.h"

/* again: by the point of the decision that is there. */
static bool decide_by(enum crow_current_age age, const struct crow_target *asked, bool again,
		      struct crow_decision *out)
{
	struct crow_current view;
	uint64_t point;

	if (!crow_current_enter(&view, age))
		return false;
	point = again ? out->point
		      : crow_pick_point(crow_current_next_seq(&view, CROW_CURRENT_CONNECTS));
	crow_decide(view.image, asked, crow_names_recent(), point, out);
	crow_current_leave(&view);
	return out->count > 0;
}

/* An address that only looks like ours is known by the image of this second: no other is looked
 * for. For one that is, the look-up that it came from looked for a new file as a rule. */
static bool decide(const struct crow_target *asked, struct crow_decision *out)
{
	if (!decide_by(CROW_CURRENT_SECOND, asked, false, out))
		return false;
	return crow_current_is(CROW_CURRENT_TICK) || decide_by(CROW_CURRENT_TICK, asked, true, out);
}

/* Leaves a connection that is under way to the table; what connect() is to say. */
static int leave(struct crow_course *course, int slot, struct crow_action action)
{
	if (slot >= 0)
		crow_pending_release(slot, course, action);
	return action.kind == CROW_DO_RETURN ? action.error : EINPROGRESS;
}

/* While the connection is under way it may be in the table of pending ones, for whoever waits in
 * another thread: with a single instance there is nothing that others could help with. The calls
 * do not block, so that cancellation can wait: cut off here, the slot would stay held. */
static int connect_nonblocking(struct crow_course *course)
{
	int cancel, slot, error;

	pthread_testcancel();
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	slot = course->decision.count > 1 ? crow_pending_claim(course->fd) : -1;
	if (slot < 0)
		course->decision.count = 1;
	error = leave(course, slot, crow_course_run(course, crow_course_start(course, true)));
	pthread_setcancelstate(cancel, NULL);
	return error;
}

/* What the socket of the last connect() to us was. Any thread writes; relaxed, a hint. */
static _Atomic int last_mode = CROW_FD_NONE;

/* On a socket that was wrongly guessed to be a blocking one, nobody else waits: no other thread is
 * there, so that the table is in time after the call. */
static int connect_blocking(struct crow_course *course)
{
	struct crow_action action = crow_course_run(course, crow_course_start(course, false));

	if (!course->attempt.nonblocking)
		return action.error;
	atomic_store_explicit(&last_mode, CROW_FD_NONBLOCKING, memory_order_relaxed);
	return leave(course, course->decision.count > 1 ? crow_pending_claim(course->fd) : -1,
		     action);
}

/* Whether the socket waits. A system call is saved where it is guessed that the process goes on as it
 * did: a blocking connect() that succeeds is the same whatever the socket is. (And one is lost where
 * the guess is wrong.) False: there is no such descriptor. */
static bool find_mode(struct crow_course *course, bool *nonblocking)
{
	enum crow_fd_mode mode;

	*nonblocking = false;
	course->is_guess =
		__libc_single_threaded &&
		atomic_load_explicit(&last_mode, memory_order_relaxed) == CROW_FD_BLOCKING;
	if (course->is_guess)
		return true;
	mode = crow_fd_mode(course->fd);
	atomic_store_explicit(&last_mode, mode, memory_order_relaxed);
	*nonblocking = mode == CROW_FD_NONBLOCKING;
	return mode != CROW_FD_NONE;
}

/* To the address that the program asked for it may go with any protocol. */
static bool may_go_there(struct crow_course *course)
{
	const struct crow_target *first = &course->decision.targets[0];

	if (first->port == course->asked.port &&
	    crow_addr_compare(&first->addr, &course->asked.addr) == 0)
		return true;
	course->is_tcp = crow_fd_is_tcp(course->fd);
	return course->is_tcp;
}

/* Where IPv6 instances are few, IPv4 ones will do for a socket that takes both. */
static void widen(struct crow_course *course)
{
	struct crow_decision *decision = &course->decision;

	if (decision->mapped > 0 && !crow_fd_is_dual_stack(course->fd))
		decision->mapped = 0;
	decision->count += decision->mapped;
}

/* Apart from connect(), so that the way of all other addresses has no large frame. */
static __attribute__((noinline)) int connect_ours(int fd, const struct sockaddr *addr,
						  socklen_t len, const struct crow_target *asked)
{
	struct crow_course course = {
		.fd = fd,
		.addr = addr,
		.len = len,
		.family = addr->sa_family,
		.asked = *asked,
	};
	int saved = errno;
	bool nonblocking;
	int error;

	if (!decide(asked, &course.decision) || crow_fd_is_fast_open(fd) ||
	    !find_mode(&course, &nonblocking) || !may_go_there(&course)) {
		errno = saved;
		return crow_real_connect(fd, addr, len);
	}
	widen(&course);
	if (nonblocking)
		error = connect_nonblocking(&course);
	else
		error = connect_blocking(&course);
	errno = error != 0 ? error : saved;
	return error != 0 ? -1 : 0;
}

/* A connect() of a socket that connects already, by an earlier one. */
static __attribute__((noinline)) bool is_again(int fd, const struct sockaddr *addr, socklen_t len,
					       int *result)
{
	int error;

	if (len < (socklen_t)sizeof(addr->sa_family) ||
	    !crow_pending_connect(fd, addr, len, &error))
		return false;
	*result = error == 0 ? 0 : -1;
	if (error != 0)
		errno = error;
	return true;
}

/* Addresses that no program can have: the first page, and the kernel's half. They are the kernel's to
 * refuse (EFAULT). To know it of all others would take a system call. */
static inline bool is_pointer(const void *pointer)
{
	return sizeof(pointer) < 8 || (intptr_t)pointer > 4095;
}

static int connect_any(int fd, const struct sockaddr *addr, socklen_t len)
{
	struct crow_target asked;
	int result;

	if (__builtin_expect(!is_pointer(addr), 0))
		return crow_real_connect(fd, addr, len);
	if (__builtin_expect(crow_pending_may_have(crow_pending_activity()), 0) &&
	    is_again(fd, addr, len, &result))
		return result;
	if (!crow_addr_from_sockaddr(addr, len, &asked.addr, &asked.port))
		return crow_real_connect(fd, addr, len);
	if (__builtin_expect(crow_current_may_have(&asked.addr), 0))
		return connect_ours(fd, addr, len, &asked);
	return crow_real_connect(fd, addr, len);
}

CROW_EXPORT int connect(int fd, __CONST_SOCKADDR_ARG addr, socklen_t len)
{
	return connect_any(fd, addr.__sockaddr__, len);
}

/* The name by which some libraries call it past interposers of `connect`. */
CROW_EXPORT int __connect(int fd, const struct sockaddr *addr, socklen_t len);

CROW_EXPORT int __connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	return connect_any(fd, addr, len);
}
