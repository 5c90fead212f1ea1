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
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "preload/attempt.h"
#include "preload/current.h"
#include "preload/fd.h"
#include "preload/names.h"
#include "preload/real.h"
#include "preload/trace.h"
#include "resolver/pick.h"
#include "resolver/report.h"

/* A connect() under way, as the application asked for it and as the kernel does it. */
struct course {
	int fd;
	const struct sockaddr *addr;
	socklen_t len;
	struct crow_target asked;
	struct crow_decision decision;
	struct crow_attempt attempt;
	int64_t own_timeout_ns; /* the application's SO_SNDTIMEO, 0 = none */
	int64_t set_timeout_ns; /* what the socket has now */
	struct crow_options options;
};

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static bool is_ours(const struct crow_target *asked)
{
	struct crow_owner owner;
	struct crow_current view;
	bool ours;

	if (!crow_current_enter(&view, CROW_CURRENT_SECOND))
		return false;
	ours = crow_image_owners(view.image, &asked->addr, asked->port, &owner, 1) > 0;
	crow_current_leave(&view);
	return ours;
}

static bool decide(const struct crow_target *asked, struct crow_decision *out)
{
	uint64_t recent[CROW_RECENT_MAX];
	struct crow_hints hints = {recent, CROW_RECENT_MAX};
	struct crow_current view;

	if (!crow_current_enter(&view, CROW_CURRENT_NOW))
		return false;
	crow_names_recent(recent);
	crow_decide(view.image, asked, &hints, crow_pick_point(crow_current_next_seq(&view)), out);
	crow_current_leave(&view);
	return out->count > 0;
}

static const struct crow_target *current_target(const struct course *course)
{
	return &course->decision.targets[course->attempt.index];
}

/* The instance's address in the family that the program used. Where it is the one asked for, the
 * program's own bytes: they may hold a scope and a flow label. */
static int connect_target(const struct course *course)
{
	const struct crow_target *target = current_target(course);
	struct sockaddr_storage storage;
	socklen_t len;

	if (target->port == course->asked.port &&
	    crow_addr_compare(&target->addr, &course->asked.addr) == 0)
		return crow_real_connect(course->fd, course->addr, course->len);
	len = crow_addr_to_sockaddr(&target->addr, target->port, course->addr->sa_family, &storage);
	return crow_real_connect(course->fd, (const struct sockaddr *)&storage, len);
}

static void set_timeout(struct course *course, int64_t timeout_ns)
{
	if (timeout_ns != course->set_timeout_ns &&
	    crow_fd_set_send_timeout_ns(course->fd, timeout_ns))
		course->set_timeout_ns = timeout_ns;
}

static struct crow_event event_of(const struct course *course, int error)
{
	if (error == 0)
		return (struct crow_event){.kind = CROW_EVENT_CONNECTED};
	if (course->attempt.nonblocking && error == EINPROGRESS)
		return (struct crow_event){.kind = CROW_EVENT_PENDING};
	/* SO_SNDTIMEO ran out: EINPROGRESS, or EALREADY when waiting on after a signal. */
	if (!course->attempt.nonblocking && (error == EINPROGRESS || error == EALREADY))
		return (struct crow_event){.kind = CROW_EVENT_EXPIRED};
	if (error == EINTR)
		return (struct crow_event){.kind = CROW_EVENT_INTERRUPTED,
					   .restarts =
						   crow_attempt_hides_restarts(&course->attempt) &&
						   crow_fd_signals_restart()};
	return (struct crow_event){.kind = CROW_EVENT_FAILED, .error = error};
}

static struct crow_event perform(struct course *course, const struct crow_action *action)
{
	if (action->kind == CROW_DO_NEXT && course->attempt.nonblocking)
		crow_fd_save_options(course->fd, &course->options);
	if (action->kind == CROW_DO_NEXT && !crow_fd_reset(course->fd, &course->options))
		return (struct crow_event){.kind = CROW_EVENT_STUCK};
	if (!course->attempt.nonblocking)
		set_timeout(course, action->limit_ns);
	return event_of(course, connect_target(course) == 0 ? 0 : errno);
}

static void report_failure(const struct course *course, const struct crow_target *target, int error,
			   int64_t elapsed_ns)
{
	struct crow_report report = {
		.kind = CROW_REPORT_FAILED,
		.addr = target->addr,
		.port = target->port,
		.error = (uint32_t)error,
		.elapsed_us = (uint32_t)(elapsed_ns / 1000),
		.name_length = strlen(course->decision.service),
	};
	int cancel;

	memcpy(report.name, course->decision.service, report.name_length);
	/* A thread that is cancelled in sendto() would leave the socket open. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	crow_report_send(&report, crow_current_dir());
	pthread_setcancelstate(cancel, NULL);
}

/* One event through the state machine; what it blames on an instance is reported. */
static struct crow_action advance(struct course *course, struct crow_event event)
{
	struct crow_target target = *current_target(course);
	int64_t started_ns = course->attempt.started_ns;
	int64_t now = now_ns();
	struct crow_action action = crow_attempt_on(&course->attempt, event, now);
	const struct crow_target *next = current_target(course);

	if (action.blame != 0)
		report_failure(course, &target, action.blame, now - started_ns);
	if (action.kind == CROW_DO_NEXT)
		crow_trace_redirect(course->decision.service,
				    (struct crow_trace_place){&target.addr, target.port},
				    action.blame,
				    (struct crow_trace_place){&next->addr, next->port});
	return action;
}

static struct crow_action start(struct course *course, const struct crow_socket *facts)
{
	int64_t each_ns = (int64_t)course->decision.attempt_timeout_ms * 1000000;

	/* With one instance there is nothing to save time or options for; a non-blocking socket
	 * has its options still when it fails. */
	if (course->decision.count > 1 && !facts->nonblocking) {
		crow_fd_save_options(course->fd, &course->options);
		course->own_timeout_ns = crow_fd_send_timeout_ns(course->fd);
		course->set_timeout_ns = course->own_timeout_ns;
	}
	return crow_attempt_start(&course->attempt, course->decision.count, facts->nonblocking,
				  each_ns, course->own_timeout_ns, now_ns());
}

static int run(struct course *course, const struct crow_socket *facts)
{
	struct crow_action action = start(course, facts);

	while (action.kind != CROW_DO_RETURN)
		action = advance(course, perform(course, &action));
	if (!facts->nonblocking)
		set_timeout(course, course->own_timeout_ns);
	return action.error;
}

/* Apart from connect(), so that the way of all other addresses has no large frame. */
static __attribute__((noinline)) int connect_ours(int fd, const struct sockaddr *addr,
						  socklen_t len, const struct crow_target *asked)
{
	struct course course = {.fd = fd, .addr = addr, .len = len, .asked = *asked};
	struct crow_socket facts;
	int saved = errno;
	int error;

	if (!crow_fd_ask(fd, &facts) || !crow_decide_socket(&facts) ||
	    !decide(asked, &course.decision)) {
		errno = saved;
		return crow_real_connect(fd, addr, len);
	}
	error = run(&course, &facts);
	errno = error != 0 ? error : saved;
	return error != 0 ? -1 : 0;
}

static int connect_any(int fd, const struct sockaddr *addr, socklen_t len)
{
	struct crow_target asked;

	if (!crow_addr_from_sockaddr(addr, len, &asked.addr, &asked.port))
		return crow_real_connect(fd, addr, len);
	if (__builtin_expect(crow_current_may_have(&asked.addr), 0) && is_ours(&asked))
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
