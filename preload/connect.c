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
#include "preload/memo.h"
#include "preload/names.h"
#include "preload/path.h"
#include "preload/pending.h"
#include "preload/real.h"

static bool decide_by(enum crow_current_age age, const struct crow_target *asked,
		      struct crow_decision *out)
{
	struct crow_current view;

	if (!crow_current_enter(&view, age))
		return false;
	crow_decide(view.image, asked, crow_names_recent(), out);
	if (out->count > 0 && out->drawn == 0 && age == CROW_CURRENT_TICK)
		crow_decide_first(view.image, asked,
				  crow_current_next_point(&view, CROW_CURRENT_FIRSTS), out);
	crow_current_leave(&view);
	return out->count > 0;
}

/* version: of the current image, 0 = it is older than this tick, or just changes. An address that only
 * looks like ours is known by that one, too: no other is looked for. For one that is, the look-up that
 * it came from looked for a new file as a rule. */
static __attribute__((noinline)) bool decide_anew(uint64_t version, const struct crow_target *asked,
						  struct crow_decision *out)
{
	if (version == 0) {
		if (!decide_by(CROW_CURRENT_ANY, asked, out))
			return false;
		/* Before the look into the image: one that comes between has another version. */
		version = crow_current_version(CROW_CURRENT_ANY);
	}
	if (!decide_by(CROW_CURRENT_TICK, asked, out))
		return false;
	crow_memo_put(version, asked, out);
	return true;
}

static CROW_INLINE bool decide(const struct crow_target *asked, struct crow_decision *out)
{
	uint64_t version = crow_current_version(CROW_CURRENT_TICK);

	return crow_memo_get(version, asked, out) || decide_anew(version, asked, out);
}

/* While the connection is under way it may be in the table of pending ones, for whoever waits in
 * another thread: with a single instance there is nothing that others could help with. The calls
 * do not block, so that cancellation can wait: cut off here, the slot would stay held. */
static __attribute__((noinline)) int hold(struct crow_course *course, int *cancel)
{
	int slot;

	pthread_testcancel();
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, cancel);
	slot = course->decision.count > 1 ? crow_pending_claim(course->fd) : -1;
	if (slot < 0)
		course->decision.count = 1;
	return slot;
}

/* Leaves a connection that is under way to the table; what connect() is to say. */
static __attribute__((noinline)) int leave(const struct crow_course *course, int slot,
					   struct crow_action action)
{
	if (slot >= 0)
		crow_pending_release(slot, course, action);
	return action.kind == CROW_DO_RETURN ? action.error : EINPROGRESS;
}

/* What the socket of the last connect() to us was. Any thread writes; relaxed, a hint. */
static _Atomic int last_mode = CROW_FD_NONE;

static enum crow_fd_mode mode_of(const struct crow_course *course)
{
	return course->attempt.nonblocking ? CROW_FD_NONBLOCKING : CROW_FD_BLOCKING;
}

/* A system call is saved where it is guessed that the process goes on as it did: a blocking connect()
 * that succeeds is the same whatever the socket is. (And one is lost where the guess is wrong.) */
static enum crow_fd_mode find_mode(struct crow_course *course)
{
	course->is_guess =
		__libc_single_threaded &&
		atomic_load_explicit(&last_mode, memory_order_relaxed) == CROW_FD_BLOCKING;
	return course->is_guess ? CROW_FD_BLOCKING : crow_fd_mode(course->fd);
}

/* Returns an errno, 0 = it is connected. Where no other thread is there that could wait meanwhile, or
 * the socket waits itself, the table is in time after the calls, for the few that go on then. */
static CROW_INLINE int connect_in_mode(struct crow_course *course, enum crow_fd_mode mode)
{
	bool is_held = mode == CROW_FD_NONBLOCKING && !__libc_single_threaded;
	struct crow_action action;
	int cancel, slot = -1;

	if (is_held)
		slot = hold(course, &cancel);
	action = crow_course_connect(course, mode == CROW_FD_NONBLOCKING);
	atomic_store_explicit(&last_mode, mode_of(course), memory_order_relaxed);
	if (!is_held && action.kind == CROW_DO_RETURN)
		return action.error;
	if (!is_held)
		return leave(course, crow_pending_claim(course->fd), action);
	action.error = leave(course, slot, action);
	pthread_setcancelstate(cancel, NULL);
	return action.error;
}

/* To the address that the program asked for it may go with any protocol. */
static CROW_INLINE bool may_go_there(struct crow_course *course)
{
	if (course->decision.is_asked)
		return true;
	course->is_tcp = crow_fd_is_tcp(course->fd);
	return course->is_tcp;
}

/* Where IPv6 instances are few, IPv4 ones will do for a socket that takes both. */
static CROW_APART void widen(struct crow_course *course)
{
	struct crow_decision *decision = &course->decision;

	if (!crow_fd_is_dual_stack(course->fd))
		decision->mapped = 0;
	decision->count += decision->mapped;
}

/* Apart from connect(), so that the way of all other addresses has no large frame. */
static __attribute__((noinline)) CROW_HOT int connect_ours(int fd, const struct sockaddr *addr,
							   socklen_t len)
{
	struct crow_course course;
	enum crow_fd_mode mode;
	int saved = errno;
	int error;

	crow_course_init(&course, fd, addr, len);
	if (!decide(&course.asked, &course.decision) || crow_fd_is_fast_open(fd) ||
	    (mode = find_mode(&course)) == CROW_FD_NONE || !may_go_there(&course)) {
		errno = saved;
		return crow_real_connect(fd, addr, len);
	}
	if (course.decision.mapped > 0)
		widen(&course);
	error = connect_in_mode(&course, mode);
	errno = error != 0 ? error : saved;
	return error != 0 ? -1 : 0;
}

/* A connect() of a socket that connects already, by an earlier one. */
static CROW_APART bool is_again(int fd, const struct sockaddr *addr, socklen_t len, int *result)
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

static CROW_HOT int connect_any(int fd, const struct sockaddr *addr, socklen_t len)
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
		return connect_ours(fd, addr, len);
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
