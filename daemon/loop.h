/*
 * An event loop: epoll for descriptors, one timerfd on CLOCK_BOOTTIME for all timers, so that a
 * timer that came due during a suspend fires at once on waking. A loop belongs to one thread.
 */
#ifndef CROW_LOOP_H
#define CROW_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/timers.h"

/* The object in which a watch or a timer is embedded. */
#define crow_container(pointer, type, member)                                                      \
	((type *)(void *)((char *)(pointer)-offsetof(type, member)))

struct crow_loop;

/* Embed it in the object that owns the descriptor. */
struct crow_watch {
	int fd;
	void (*on_ready)(struct crow_watch *watch, uint32_t events); /* EPOLLIN, ... */
};

/* CLOCK_BOOTTIME in nanoseconds: the only clock that decides anything in the daemon. */
int64_t crow_now_ns(void);

struct crow_loop *crow_loop_new(void); /* NULL: see errno */
void crow_loop_free(struct crow_loop *loop);

/* 0, or -1 with errno of epoll_ctl(2). on_ready and fd are set by the caller. */
int crow_loop_add(struct crow_loop *loop, struct crow_watch *watch, uint32_t events);
int crow_loop_modify(struct crow_loop *loop, struct crow_watch *watch, uint32_t events);
/* Before the descriptor is closed. No callback follows, not even from the batch under way: the
 * memory of the watch may be freed at once, in its own callback too. */
void crow_loop_remove(struct crow_loop *loop, struct crow_watch *watch);

/* Arms (or moves) a timer. Timers due at once fire at the next turn, in order of due_ns, those due
 * at the same time in the order they were set. A timer is disarmed when its callback is called,
 * which may set it again or free it. */
void crow_timer_set(struct crow_loop *loop, struct crow_timer *timer, int64_t due_ns);
void crow_timer_clear(struct crow_loop *loop, struct crow_timer *timer);

/* Runs until crow_loop_stop(), which a callback calls. */
void crow_loop_run(struct crow_loop *loop);
void crow_loop_stop(struct crow_loop *loop);

#endif
