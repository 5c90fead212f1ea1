#include "preload/course.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/single_threaded.h>
#include <time.h>

#include "preload/current.h"
#include "preload/path.h"
#include "preload/real.h"
#include "preload/trace.h"
#include "resolver/report.h"

/* The kernel looks at TCP_USER_TIMEOUT when it would send the second SYN, 1 s after the first: any
 * lower value acts then, and this one does the least harm to a connection that keeps it because
 * nobody waited for it by a call that we see. */
#define USER_TIMEOUT_MIN_MS 900

#define TIMEOUT_MAX_S INT64_C(1000000000)

/* What a socket's time-out is not. */
#define UNKNOWN_NS INT64_C(-1)

/* How long another thread may take from a reset to the next connect(): it may be preempted for some
 * 10 ms. 10 ms, and what 100 naps are longer than asked for. */
#define NAPS_MAX 100
#define NAP_NS   100000

/* For events after which no attempt follows: a clock is 25 ns. */
#define NO_MATTER_WHEN 0

/* By field: most of it is what becomes of attempts that fail. */
void crow_course_init(struct crow_course *course, int fd, const struct sockaddr *addr,
		      socklen_t len)
{
	course->fd = fd;
	course->addr = addr;
	course->len = len;
	course->family = addr->sa_family;
	course->is_tcp = course->is_alien = course->is_guess = course->has_user_timeout = false;
	course->own_timeout = (struct timeval){0};
	course->own_timeout_ns = course->set_timeout_ns = 0;
	course->has_options = false;
	/* Once more, not handed on: so connect() jumps here, and leaves no frame to return to. */
	crow_addr_from_sockaddr(addr, len, &course->asked.addr, &course->asked.port);
}

static inline int64_t now_ns_of(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t crow_course_now_ns(void)
{
	return now_ns_of(CLOCK_MONOTONIC);
}

static const struct crow_target *current_target(const struct crow_course *course)
{
	return &course->decision.targets[course->attempt.index];
}

static CROW_INLINE bool is_asked(const struct crow_course *course, const struct crow_target *target)
{
	if (course->attempt.index == 0)
		return course->decision.is_asked;
	return target->port == course->asked.port &&
	       crow_addr_equal(&target->addr, &course->asked.addr);
}

/* The instance's address in the family that the program used. Where it is the one asked for, the
 * program's own bytes: they may hold a scope and a flow label. */
static CROW_INLINE int connect_target(const struct crow_course *course)
{
	const struct crow_target *target = current_target(course);
	struct sockaddr_storage storage;
	socklen_t len;

	if (course->addr != NULL && is_asked(course, target))
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

/* The application's own is set as it was, whatever became of it in nanoseconds. */
static CROW_INLINE void restore_timeout(struct crow_course *course)
{
	if (course->set_timeout_ns != course->own_timeout_ns &&
	    crow_fd_set_send_timeout(course->fd, &course->own_timeout))
		course->set_timeout_ns = course->own_timeout_ns;
}

static CROW_INLINE void set_timeout(struct crow_course *course, int64_t timeout_ns)
{
	uint64_t us = ((uint64_t)timeout_ns + 999) / 1000; /* up: 0 would be no time-out */
	struct timeval timeout = {.tv_sec = us / 1000000, .tv_usec = us % 1000000};

	if (timeout_ns == course->own_timeout_ns)
		restore_timeout(course);
	else if (timeout_ns != course->set_timeout_ns &&
		 crow_fd_set_send_timeout(course->fd, &timeout))
		course->set_timeout_ns = timeout_ns;
}

/* An IPv6 socket that is not for IPv4 says so like this, and would of all instances. */
static bool is_barred(const struct crow_course *course, int error)
{
	return error == ENETUNREACH && course->family == AF_INET6 &&
	       crow_addr_is_v4(&current_target(course)->addr) && !crow_fd_is_dual_stack(course->fd);
}

/* SO_SNDTIMEO ran out, and neither we have set it nor was it asked for: with one instance, say. So it
 * is the application's, and ends the whole. */
static bool is_unknown_timeout(const struct crow_course *course, int error)
{
	return !course->attempt.nonblocking && course->set_timeout_ns == 0 &&
	       (error == EINPROGRESS || error == EALREADY);
}

/* What an error means depends on whether the socket waits. */
static void check_guess(struct crow_course *course)
{
	course->is_guess = false;
	if (crow_fd_mode(course->fd) != CROW_FD_NONBLOCKING)
		return;
	restore_timeout(course);
	crow_attempt_unblock(&course->attempt);
}

static struct crow_event event_of(struct crow_course *course, enum crow_action_kind action,
				  int error)
{
	if (error == 0)
		return (struct crow_event){.kind = CROW_EVENT_CONNECTED};
	if (course->is_guess)
		check_guess(course);
	if (course->attempt.nonblocking && error == EINPROGRESS)
		return (struct crow_event){.kind = CROW_EVENT_BEGUN};
	if (is_barred(course, error) || is_unknown_timeout(course, error))
		return (struct crow_event){.kind = CROW_EVENT_BARRED, .error = error};
	/* The first thing that the kernel says of a connect() that it did not begin. */
	if (!course->attempt.nonblocking && error == EALREADY && action == CROW_DO_CONNECT)
		return (struct crow_event){.kind = CROW_EVENT_EARLIER};
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

static CROW_APART bool reset(struct crow_course *course)
{
	if (!crow_fd_reset(course->fd))
		return false;
	if (course->has_options)
		crow_options_restore(course->fd, &course->options);
	return true;
}

/* Returns an errno, 0 = it is connected. */
static CROW_INLINE int connect_within(struct crow_course *course, int64_t limit_ns)
{
	if (!course->attempt.nonblocking)
		set_timeout(course, limit_ns);
	return connect_target(course) == 0 ? 0 : errno;
}

static struct crow_event try_target(struct crow_course *course, const struct crow_action *action)
{
	if (action->kind == CROW_DO_NEXT && !reset(course))
		return (struct crow_event){.kind = CROW_EVENT_STUCK};
	/* A thread that waited for this connect, too, may have set its own again. */
	if (action->kind == CROW_DO_NEXT && !course->attempt.nonblocking && !__libc_single_threaded)
		course->set_timeout_ns = UNKNOWN_NS;
	return event_of(course, action->kind, connect_within(course, action->limit_ns));
}

static CROW_INLINE struct crow_event look(const struct crow_course *course)
{
	short events = crow_fd_look(course->fd);

	if ((events & (POLLERR | POLLHUP | POLLNVAL)) != 0)
		return (struct crow_event){.kind = CROW_EVENT_HUNG_UP};
	if ((events & POLLOUT) != 0)
		return (struct crow_event){.kind = CROW_EVENT_WRITABLE};
	return (struct crow_event){.kind = CROW_EVENT_QUIET};
}

/* What another protocol's connect() waits for: a second one need not wait. */
static CROW_APART struct crow_event wait_alien(struct crow_course *course)
{
	struct pollfd ready = {.fd = course->fd, .events = POLLOUT};
	int error;

	if (crow_real_poll(&ready, 1, -1) < 0)
		return event_of(course, CROW_DO_CONTINUE, errno);
	error = crow_fd_take_error(course->fd);
	if (error == 0)
		return (struct crow_event){.kind = CROW_EVENT_CONNECTED};
	return (struct crow_event){.kind = CROW_EVENT_BARRED, .error = error};
}

/* Whether a socket that has failed stays so: another thread may have reset it, to connect it anew. */
static bool stays_failed(int fd)
{
	const struct timespec nap = {.tv_nsec = NAP_NS};

	for (int naps = 0; naps < NAPS_MAX; naps++) {
		if ((crow_fd_look(fd) & (POLLHUP | POLLERR)) == 0)
			return false;
		nanosleep(&nap, NULL);
	}
	return true;
}

/* Where there are threads, an earlier connect() may be another one's, who resets the socket between two
 * instances and has its own limits in SO_SNDTIMEO. A connect() that waits here would take those away,
 * and at the wrong moment begin anew: so it is made when the socket has connected. */
static CROW_APART struct crow_event wait_earlier(struct crow_course *course, int64_t limit_ns)
{
	const struct timespec limit = {.tv_sec = limit_ns / 1000000000,
				       .tv_nsec = limit_ns % 1000000000};
	struct pollfd ready = {.fd = course->fd, .events = POLLOUT};
	int count = crow_real_ppoll(&ready, 1, limit_ns > 0 ? &limit : NULL, NULL);
	int error;

	if (count < 0)
		return event_of(course, CROW_DO_CONTINUE, errno);
	if (count > 0 && (ready.revents & (POLLHUP | POLLERR)) == 0) {
		error = connect_target(course) == 0 || errno == EISCONN ? 0 : errno;
		return event_of(course, CROW_DO_CONTINUE, error);
	}
	if (count == 0 || !stays_failed(course->fd))
		return (struct crow_event){.kind = CROW_EVENT_EXPIRED};
	/* As inet_stream_connect() leaves it: told, and unconnected. */
	error = crow_fd_take_error(course->fd);
	crow_fd_reset(course->fd);
	return (struct crow_event){.kind = CROW_EVENT_BARRED,
				   .error = error != 0 ? error : ECONNABORTED};
}

static struct crow_event wait_on(struct crow_course *course, const struct crow_action *action)
{
	if (course->is_alien)
		return wait_alien(course);
	if (course->attempt.earlier && !__libc_single_threaded)
		return wait_earlier(course, action->limit_ns);
	return try_target(course, action);
}

static struct crow_event perform(struct crow_course *course, const struct crow_action *action)
{
	switch (action->kind) {
	case CROW_DO_LOOK:
		return look(course);
	case CROW_DO_ASK:
		return (struct crow_event){.kind = CROW_EVENT_ERROR,
					   .error = crow_fd_take_error(course->fd)};
	case CROW_DO_ABANDON:
		reset(course);
		return (struct crow_event){.kind = CROW_EVENT_STUCK};
	case CROW_DO_CONTINUE:
		return wait_on(course, action);
	default:
		return try_target(course, action);
	}
}

/* How long the last good connect to a service took, where that was long: us, and above them the
 * service's index. Relaxed, a hint; one that is of another service, or an old one, means that an
 * attempt's limit is the configured one. */
#define SLOW_SERVICES 16
static _Atomic uint64_t slow[SLOW_SERVICES];

static _Atomic uint64_t *slow_of(const struct crow_decision *decision)
{
	return &slow[decision->service % SLOW_SERVICES];
}

static int64_t configured_ns(const struct crow_decision *decision)
{
	return (int64_t)decision->attempt_timeout_ms * 1000000;
}

static CROW_APART int64_t limit_by(uint64_t entry, const struct crow_decision *decision)
{
	int64_t last_good_ns =
		entry >> 32 == decision->service ? (int64_t)(uint32_t)entry * 1000 : 0;

	return crow_attempt_limit_ns(configured_ns(decision), last_good_ns);
}

static CROW_INLINE int64_t limit_of(const struct crow_decision *decision)
{
	uint64_t entry = atomic_load_explicit(slow_of(decision), memory_order_relaxed);

	return entry == 0 ? configured_ns(decision) : limit_by(entry, decision);
}

/* The round trip itself is the kernel's to know: an event loop may have been busy meanwhile. */
static CROW_APART void note_slow(const struct crow_course *course)
{
	atomic_store_explicit(slow_of(&course->decision),
			      (uint64_t)course->decision.service << 32 |
				      crow_fd_round_trip_us(course->fd),
			      memory_order_relaxed);
}

static CROW_APART void note_fast(const struct crow_course *course)
{
	if (limit_of(&course->decision) != configured_ns(&course->decision))
		atomic_store_explicit(slow_of(&course->decision), 0, memory_order_relaxed);
}

/* It matters where it took 80 ms or more: the coarse clock will do. */
static CROW_INLINE void note_good(const struct crow_course *course)
{
	int64_t configured = configured_ns(&course->decision);
	int64_t took_ns = now_ns_of(CLOCK_MONOTONIC_COARSE) - course->attempt.started_ns;

	if (crow_attempt_limit_ns(configured, took_ns) != configured)
		note_slow(course);
	else if (atomic_load_explicit(slow_of(&course->decision), memory_order_relaxed) != 0)
		note_fast(course);
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

/* "" if the service is gone by now. */
static void copy_name(const struct crow_course *course, char out[CROW_NAME_MAX + 1])
{
	struct crow_current view;

	out[0] = '\0';
	if (!crow_current_enter(&view, CROW_CURRENT_ANY))
		return;
	strncat(out, crow_decide_name(view.image, &course->asked, &course->decision),
		CROW_NAME_MAX);
	crow_current_leave(&view);
}

static CROW_APART void report_failure(const struct crow_course *course,
				      const struct crow_target *target, int error, int64_t now_ns,
				      int64_t started_ns)
{
	struct crow_report report = {
		.kind = CROW_REPORT_FAILED,
		.addr = target->addr,
		.port = target->port,
		.error = (uint32_t)error,
		.elapsed_us = (uint32_t)((now_ns - started_ns) / 1000),
	};
	int cancel;

	if (!is_news(target, now_ns))
		return;
	copy_name(course, report.name);
	report.name_length = strlen(report.name);
	if (report.name_length == 0)
		return;
	/* A thread that is cancelled in sendto() would leave the socket open. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	crow_report_send(&report, crow_current_dir());
	pthread_setcancelstate(cancel, NULL);
}

void crow_course_blame(const struct crow_course *course, int error)
{
	if (!course->is_alien)
		report_failure(course, current_target(course), error, crow_course_now_ns(),
			       course->attempt.started_ns);
}

/* Whether the event may make another instance's turn come. */
static bool may_move(const struct crow_attempt *attempt, enum crow_event_kind kind, int64_t now_ns)
{
	if (kind == CROW_EVENT_QUIET)
		return attempt->limit_at != 0 && now_ns >= attempt->limit_at;
	return kind == CROW_EVENT_FAILED || kind == CROW_EVENT_EXPIRED ||
	       kind == CROW_EVENT_HUNG_UP;
}

/* The image is asked for the other instances when the first has failed, and may have fewer by then
 * than when it was asked for the first. */
static CROW_APART void draw_others(struct crow_course *course)
{
	struct crow_decision *decision = &course->decision;
	struct crow_current view;

	if (crow_current_enter(&view, CROW_CURRENT_TICK)) {
		crow_decide_others(view.image, &course->asked,
				   crow_current_next_point(&view, CROW_CURRENT_OTHERS), decision);
		crow_current_leave(&view);
	}
	decision->count = decision->drawn;
	crow_attempt_shrink(&course->attempt, decision->count);
}

/* A connect to exactly an instance's address is the program's own, whatever the protocol: which one
 * it is, is asked for when it has failed. Others stay where they are, and nobody is blamed. */
static CROW_APART void check_protocol(struct crow_course *course, struct crow_event *event)
{
	if (!course->is_tcp && !course->is_alien) {
		course->is_tcp = crow_fd_is_tcp(course->fd);
		course->is_alien = !course->is_tcp;
	}
	if (!course->is_alien)
		return;
	crow_attempt_shrink(&course->attempt, 1);
	course->decision.count = 1;
	if (event->kind == CROW_EVENT_FAILED)
		event->kind = CROW_EVENT_BARRED;
}

static CROW_APART void trace_redirect(const struct crow_course *course,
				      const struct crow_target *from, int error, int64_t elapsed_ns)
{
	const struct crow_target *to = current_target(course);
	char name[CROW_NAME_MAX + 1];

	if (!crow_trace_is_on(CROW_TRACE_INFO))
		return;
	copy_name(course, name);
	crow_trace_redirect(name, (struct crow_trace_place){&from->addr, from->port}, error,
			    elapsed_ns, (struct crow_trace_place){&to->addr, to->port});
}

/* What may not be good is timed, reported and told. */
static CROW_APART struct crow_action advance_slowly(struct crow_course *course,
						    struct crow_event event)
{
	const struct crow_target *target = current_target(course);
	int64_t started_ns = course->attempt.started_ns;
	int64_t now = crow_course_now_ns();
	struct crow_action action;

	if (may_move(&course->attempt, event.kind, now)) {
		check_protocol(course, &event);
		if (course->decision.drawn < course->attempt.count)
			draw_others(course);
	}
	action = crow_attempt_on(&course->attempt, event, now);
	if (action.blame != 0)
		report_failure(course, target, action.blame, now, started_ns);
	if (action.kind == CROW_DO_NEXT)
		trace_redirect(course, target, action.blame, now - started_ns);
	return action;
}

/* One event through the state machine. */
static struct crow_action advance(struct crow_course *course, struct crow_event event)
{
	bool good = event.kind == CROW_EVENT_CONNECTED || event.kind == CROW_EVENT_WRITABLE;

	if (!good && event.kind != CROW_EVENT_BEGUN)
		return advance_slowly(course, event);
	if (good)
		note_good(course);
	return crow_attempt_on(&course->attempt, event, NO_MATTER_WHEN);
}

/* A thread that is inside of a wait function already knows no deadline of ours, so that the kernel
 * has to wake it. Where there is no other thread, there is none inside. */
static CROW_APART void guard(struct crow_course *course, int64_t limit_ns)
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

static CROW_INLINE void restore(struct crow_course *course)
{
	if (course->has_user_timeout)
		guard(course, 0);
	if (!course->attempt.nonblocking)
		restore_timeout(course);
}

void crow_course_restore(struct crow_course *course)
{
	restore(course);
}

static CROW_APART void save_options(struct crow_course *course, bool nonblocking)
{
	crow_options_save(course->fd, &course->options);
	course->has_options = true;
	if (nonblocking || !crow_options_may_be_set(CROW_OPTION_SEND_TIMEOUT))
		return;
	course->own_timeout = crow_fd_send_timeout(course->fd);
	course->own_timeout_ns = to_ns(course->own_timeout);
	course->set_timeout_ns = course->own_timeout_ns;
}

static CROW_INLINE struct crow_action start(struct crow_course *course, bool nonblocking)
{
	/* With one instance there is nothing to save time or options for. */
	if (course->decision.count > 1 && crow_options_any_may_be_set())
		save_options(course, nonblocking);
	return crow_attempt_start(&course->attempt, course->decision.count, nonblocking,
				  limit_of(&course->decision), course->own_timeout_ns,
				  crow_course_now_ns());
}

static bool is_callers(enum crow_action_kind kind)
{
	return kind == CROW_DO_RETURN || kind == CROW_DO_WAIT || kind == CROW_DO_SETTLE;
}

static bool is_under_way(int error)
{
	return error == EINPROGRESS || error == EALREADY || error == EINTR;
}

/* The reset of a socket that connects leaves ECONNRESET on it, until a connect() finds a way to the
 * next instance (tcp_disconnect, tcp_connect_init). Where none did, connect() itself says what was
 * wrong, and the program finds no other error behind that. */
static void wipe(const struct crow_course *course, struct crow_action action)
{
	if (course->attempt.index > 0 && action.error != 0 && !is_under_way(action.error))
		crow_fd_take_error(course->fd);
}

struct crow_action crow_course_run(struct crow_course *course, struct crow_action action)
{
	while (!is_callers(action.kind))
		action = advance(course, perform(course, &action));
	if (action.kind == CROW_DO_WAIT) {
		guard(course, action.limit_ns);
		return action;
	}
	crow_course_restore(course);
	wipe(course, action);
	return action;
}

static __attribute__((noinline)) struct crow_action go_on(struct crow_course *course, int error)
{
	struct crow_event event = event_of(course, CROW_DO_CONNECT, error);

	return crow_course_run(course, advance(course, event));
}

/* The first turn of what crow_course_run() does, by hand: as a rule it is the last, CONNECTED -> return
 * 0, and nobody looks at the attempt again. */
CROW_HOT struct crow_action crow_course_connect(struct crow_course *course, bool nonblocking)
{
	struct crow_action action = start(course, nonblocking);
	int error = connect_within(course, action.limit_ns);

	if (error != 0)
		return go_on(course, error);
	note_good(course);
	restore(course);
	return (struct crow_action){.kind = CROW_DO_RETURN};
}
