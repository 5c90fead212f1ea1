#include "daemon/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "daemon/log.h"

/* Events taken from the kernel in one turn; more wait for the next turn. */
#define BATCH 64

/*
 * `batch` holds the events being delivered and lives in the loop, so that crow_loop_remove() can
 * strike out those of a watch that goes away: whoever is struck out is never looked at again.
 */
struct crow_loop {
	int epoll_fd;
	struct crow_watch alarm; /* the timerfd */
	int64_t alarm_ns;        /* what the timerfd is set to; 0 = disarmed */
	struct crow_timers timers;
	struct crow_timers firing; /* were due when the turn began, not called yet */
	struct epoll_event batch[BATCH];
	int batch_count;
	bool stopped;
};

int64_t crow_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now); /* cannot fail with a clock the kernel has */
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* The timers are looked at after every batch, so the alarm only has to end the wait. */
static void on_alarm(struct crow_watch *watch, uint32_t events)
{
	uint64_t expirations;

	(void)events;
	if (read(watch->fd, &expirations, sizeof(expirations)) < 0 && errno != EAGAIN)
		crow_log(CROW_LOG_ERROR, "cannot read the timer of the event loop: %m");
}

struct crow_loop *crow_loop_new(void)
{
	struct crow_loop *loop = calloc(1, sizeof(*loop));

	if (!loop)
		return NULL;
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	loop->alarm.fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	loop->alarm.on_ready = on_alarm;
	if (loop->epoll_fd < 0 || loop->alarm.fd < 0 ||
	    crow_loop_add(loop, &loop->alarm, EPOLLIN) < 0) {
		int saved_errno = errno;

		crow_loop_free(loop);
		errno = saved_errno;
		return NULL;
	}
	return loop;
}

void crow_loop_free(struct crow_loop *loop)
{
	if (!loop)
		return;
	if (loop->alarm.fd >= 0)
		close(loop->alarm.fd);
	if (loop->epoll_fd >= 0)
		close(loop->epoll_fd);
	free(loop);
}

static int control(struct crow_loop *loop, int operation, struct crow_watch *watch, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = watch};

	return epoll_ctl(loop->epoll_fd, operation, watch->fd, &event);
}

int crow_loop_add(struct crow_loop *loop, struct crow_watch *watch, uint32_t events)
{
	return control(loop, EPOLL_CTL_ADD, watch, events);
}

int crow_loop_modify(struct crow_loop *loop, struct crow_watch *watch, uint32_t events)
{
	return control(loop, EPOLL_CTL_MOD, watch, events);
}

void crow_loop_remove(struct crow_loop *loop, struct crow_watch *watch)
{
	control(loop, EPOLL_CTL_DEL, watch, 0);
	for (int i = 0; i < loop->batch_count; i++)
		if (loop->batch[i].data.ptr == watch)
			loop->batch[i].data.ptr = NULL;
}

void crow_timer_clear(struct crow_loop *loop, struct crow_timer *timer)
{
	(void)loop;
	if (!timer->armed)
		return;
	crow_timers_remove(timer);
	timer->armed = false;
}

void crow_timer_set(struct crow_loop *loop, struct crow_timer *timer, int64_t due_ns)
{
	crow_timer_clear(loop, timer);
	timer->due_ns = due_ns;
	timer->armed = true;
	crow_timers_add(&loop->timers, timer);
}

/* Sets the timerfd to the first timer. An absolute time that has passed wakes at once; 0 would
 * disarm it (timerfd_settime(2)), hence at least 1. */
static void set_alarm(struct crow_loop *loop)
{
	int64_t due_ns = 0;
	struct itimerspec when = {0};

	if (loop->timers.first)
		due_ns = loop->timers.first->due_ns > 1 ? loop->timers.first->due_ns : 1;
	if (due_ns == loop->alarm_ns)
		return;
	when.it_value.tv_sec = due_ns / 1000000000;
	when.it_value.tv_nsec = due_ns % 1000000000;
	if (timerfd_settime(loop->alarm.fd, TFD_TIMER_ABSTIME, &when, NULL) < 0) {
		crow_log(CROW_LOG_ERROR, "cannot set the timer of the event loop: %m");
		return;
	}
	loop->alarm_ns = due_ns;
}

/* Takes the timers that are due out before it calls any: one that is set again for now, by
 * its own callback or another's, waits for the next turn, and descriptors get theirs in between. */
static void fire(struct crow_loop *loop, int64_t now_ns)
{
	struct crow_timer *timer;

	crow_timers_take_due(&loop->timers, now_ns, &loop->firing);
	if (loop->firing.first && loop->alarm_ns <= now_ns)
		loop->alarm_ns = 0; /* it has gone off */
	while ((timer = loop->firing.first)) {
		crow_timer_clear(loop, timer);
		timer->on_due(timer, now_ns);
	}
}

static void deliver(struct crow_loop *loop)
{
	for (int i = 0; i < loop->batch_count; i++) {
		struct crow_watch *watch = loop->batch[i].data.ptr;

		if (watch)
			watch->on_ready(watch, loop->batch[i].events);
	}
	loop->batch_count = 0;
}

void crow_loop_run(struct crow_loop *loop)
{
	loop->stopped = false;
	while (!loop->stopped) {
		set_alarm(loop);
		int n = epoll_wait(loop->epoll_fd, loop->batch, BATCH, -1);

		if (n < 0 && errno != EINTR) {
			crow_log(CROW_LOG_ERROR, "the event loop cannot wait: %m");
			return;
		}
		loop->batch_count = n > 0 ? n : 0;
		deliver(loop);
		fire(loop, crow_now_ns());
	}
}

void crow_loop_stop(struct crow_loop *loop)
{
	loop->stopped = true;
}
