#include "preload/course.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/single_threaded.h>
#include <time.h>

#include "preload/current.h"
#include "preload/real.h"
#include "preload/trace.h"
#include "resolver/report.h"

/* The kernel looks at TCP_USER_TIMEOUT when it would send the second SYN, 1 s after the first: any
 * lower value acts then, and this one does the least harm to a connection that keeps it because
 * nobody waited for it by a call that we see. */
#define USER_TIMEOUT_MIN_MS 900

#define TIMEOUT_MAX_S INT64_C(1000000000)

int64_t crow_course_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static const struct crow_target *current_target(const struct crow_course *course)
{
	return &course->decision.targets[course->attempt.index];
}

/* The instance's address in the family that the program used. Where it is the one asked for, the
 * program's own bytes: they may hold a scope and a flow label. */
static int connect_target(const struct crow_course *course)
{
	const struct crow_target *target = current_target(course);
	struct sockaddr_storage storage;
	socklen_t len;

	if (course->addr != NULL && target->port == course->asked.port &&
	    crow_addr_compare(&target->addr, &course->asked.addr) == 0)
		return crow_real_connect(course->fd, course->addr, course->len);
	len = crow_addr_to_sockaddr(&target->addr, target->port, course->family, &storage);
	return crow_real_connect(course->fd, (const struct sockaddr *)&storage, len);
}

/* Programs write "never" in many ways, and not each of them fits: 30 years are as good. */
static int64_t to_ns(struct timeval time)
{
	if (time.tv_sec >= TIMEOUT_MAX_S)
		return TIMEOUT_MAX_S * 1000000000;
	return (int64_t)time.tv_sec * 1000000000 + (int64_t)time.tv_usec * 1000;
}

static void set_timeout(struct crow_course *course, int64_t timeout_ns)
{
	int64_t us = (timeout_ns + 999) / 1000; /* up: 0 would be no time-out */
	struct timeval timeout = {.tv_sec = us / 1000000, .tv_usec = us % 1000000};

	/* The application's own is set as it was, whatever became of it in nanoseconds. */
	if (timeout_ns == course->own_timeout_ns)
		timeout = course->own_timeout;
	if (timeout_ns != course->set_timeout_ns && crow_fd_set_send_timeout(course->fd, timeout))
		course->set_timeout_ns = timeout_ns;
}

static struct crow_event event_of(const struct crow_course *course, int error)
{
	if (error == 0)
		return (struct crow_event){.kind = CROW_EVENT_CONNECTED};
	if (course->attempt.nonblocking && error == EINPROGRESS)
		return (struct crow_event){.kind = CROW_EVENT_BEGUN};
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

static struct crow_event try_target(struct crow_course *course, const struct crow_action *action)
{
	if (action->kind == CROW_DO_NEXT && course->attempt.nonblocking)
		crow_fd_save_options(course->fd, &course->options);
	if (action->kind == CROW_DO_NEXT && !crow_fd_reset(course->fd, &course->options))
		return (struct crow_event){.kind = CROW_EVENT_STUCK};
	if (!course->attempt.nonblocking)
		set_timeout(course, action->limit_ns);
	return event_of(course, connect_target(course) == 0 ? 0 : errno);
}

static struct crow_event look(const struct crow_course *course)
{
	short events = crow_fd_look(course->fd);

	if ((events & (POLLERR | POLLHUP | POLLNVAL)) != 0)
		return (struct crow_event){.kind = CROW_EVENT_HUNG_UP};
	if ((events & POLLOUT) != 0)
		return (struct crow_event){.kind = CROW_EVENT_WRITABLE};
	return (struct crow_event){.kind = CROW_EVENT_QUIET};
}

static struct crow_event perform(struct crow_course *course, const struct crow_action *action)
{
	switch (action->kind) {
	case CROW_DO_LOOK:
		return look(course);
	case CROW_DO_ASK:
		return (struct crow_event){.kind = CROW_EVENT_ERROR,
					   .error = crow_fd_take_error(course->fd)};
	default:
		return try_target(course, action);
	}
}

/* An instance that fails each connect of a busy program is reported ten times a second: a report
 * costs 3 us, and the daemon learns nothing from the others. */
#define REPORT_NS INT64_C(100000000)

static bool is_news(const struct crow_target *target, int64_t now_ns)
{
	/* Hash and time of the last report of an instance; relaxed, a hint. */
	static _Atomic uint64_t last[16];
	uint64_t hash = crow_addr_hash(&target->addr) ^ target->port;
	uint64_t mark = hash ^ (uint64_t)(now_ns / REPORT_NS) << 20;
	_Atomic uint64_t *entry = &last[hash % 16];

	if (atomic_load_explicit(entry, memory_order_relaxed) == mark)
		return false;
	atomic_store_explicit(entry, mark, memory_order_relaxed);
	return true;
}

static void report_failure(const struct crow_course *course, const struct crow_target *target,
			   int error, int64_t now_ns, int64_t started_ns)
{
	struct crow_report report = {
		.kind = CROW_REPORT_FAILED,
		.addr = target->addr,
		.port = target->port,
		.error = (uint32_t)error,
		.elapsed_us = (uint32_t)((now_ns - started_ns) / 1000),
		.name_length = strlen(course->decision.service),
	};
	int cancel;

	if (!is_news(target, now_ns))
		return;
	memcpy(report.name, course->decision.service, report.name_length);
	/* A thread that is cancelled in sendto() would leave the socket open. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	crow_report_send(&report, crow_current_dir());
	pthread_setcancelstate(cancel, NULL);
}

void crow_course_blame(const struct crow_course *course, int error)
{
	report_failure(course, current_target(course), error, crow_course_now_ns(),
		       course->attempt.started_ns);
}

/* One event through the state machine; what it blames on an instance is reported. */
static struct crow_action advance(struct crow_course *course, struct crow_event event)
{
	struct crow_target target = *current_target(course);
	int64_t started_ns = course->attempt.started_ns;
	int64_t now = crow_course_now_ns();
	struct crow_action action = crow_attempt_on(&course->attempt, event, now);
	const struct crow_target *next = current_target(course);

	if (action.blame != 0)
		report_failure(course, &target, action.blame, now, started_ns);
	if (action.kind == CROW_DO_NEXT)
		crow_trace_redirect(course->decision.service,
				    (struct crow_trace_place){&target.addr, target.port},
				    action.blame, now - started_ns,
				    (struct crow_trace_place){&next->addr, next->port});
	return action;
}

/* A thread that is inside of a wait function already knows no deadline of ours, so that the kernel
 * has to wake it. Where there is no other thread, there is none inside. */
static void guard(struct crow_course *course, int64_t limit_ns)
{
	bool wanted = limit_ns > 0 && !__libc_single_threaded;
	int64_t ms = limit_ns / 1000000;
	int own;

	if (wanted == course->has_user_timeout)
		return;
	if (!wanted) {
		crow_fd_set_user_timeout_ms(course->fd, 0);
		course->has_user_timeout = false;
		return;
	}
	own = crow_fd_user_timeout_ms(course->fd);
	if (own != 0)
		return;
	ms = ms > USER_TIMEOUT_MIN_MS ? ms : USER_TIMEOUT_MIN_MS;
	course->has_user_timeout =
		crow_fd_set_user_timeout_ms(course->fd, ms < INT32_MAX ? (int)ms : INT32_MAX);
}

void crow_course_restore(struct crow_course *course)
{
	guard(course, 0);
	if (!course->attempt.nonblocking)
		set_timeout(course, course->own_timeout_ns);
}

struct crow_action crow_course_start(struct crow_course *course, const struct crow_socket *facts)
{
	int64_t each_ns = (int64_t)course->decision.attempt_timeout_ms * 1000000;

	/* With one instance there is nothing to save time or options for; a non-blocking socket
	 * has its options still when it fails. */
	if (course->decision.count > 1 && !facts->nonblocking) {
		crow_fd_save_options(course->fd, &course->options);
		course->own_timeout = crow_fd_send_timeout(course->fd);
		course->own_timeout_ns = to_ns(course->own_timeout);
		course->set_timeout_ns = course->own_timeout_ns;
	}
	return crow_attempt_start(&course->attempt, course->decision.count, facts->nonblocking,
				  each_ns, course->own_timeout_ns, crow_course_now_ns());
}

static bool is_callers(enum crow_action_kind kind)
{
	return kind == CROW_DO_RETURN || kind == CROW_DO_WAIT || kind == CROW_DO_SETTLE;
}

struct crow_action crow_course_run(struct crow_course *course, struct crow_action action)
{
	while (!is_callers(action.kind))
		action = advance(course, perform(course, &action));
	if (action.kind == CROW_DO_WAIT)
		guard(course, action.limit_ns);
	else
		crow_course_restore(course);
	return action;
}
