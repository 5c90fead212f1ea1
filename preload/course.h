/*
 * One connect() under way: what the program asked for, where it may go, and the system calls that
 * the state machine of attempt.h orders. A value of whoever runs it: connect() has it on its stack,
 * and keeps it as pending (pending.h) if it is not over by then.
 */
#ifndef CROW_COURSE_H
#define CROW_COURSE_H

#include "preload/attempt.h"
#include "preload/decide.h"
#include "preload/fd.h"
#include "preload/options.h"

struct crow_course {
	int fd;
	const struct sockaddr *addr; /* the program's own; NULL once its connect() has returned */
	socklen_t len;
	sa_family_t family;
	struct crow_target asked;
	struct crow_decision decision;
	struct crow_attempt attempt;
	bool is_tcp;                /* it is known to be; asked for when it matters */
	bool is_alien;              /* it is known not to be */
	bool is_guess;              /* that the socket is a blocking one */
	struct timeval own_timeout; /* the application's SO_SNDTIMEO, zero = none */
	int64_t own_timeout_ns;
	int64_t set_timeout_ns; /* what the socket has now */
	bool has_user_timeout;  /* TCP_USER_TIMEOUT is ours, and was 0 */
	bool has_options;       /* some were asked for */
	struct crow_options options;
};

/* For the program's connect(fd, addr, len), to an address that crow_addr_from_sockaddr() takes; the
 * decision is the caller's to make. */
void crow_course_init(struct crow_course *course, int fd, const struct sockaddr *addr,
		      socklen_t len);

/* CLOCK_MONOTONIC, the clock of all attempts. */
int64_t crow_course_now_ns(void);

/* Connects to the first target, and to others if it fails, up to an action that the caller has to do:
 * CROW_DO_RETURN, CROW_DO_WAIT or CROW_DO_SETTLE. Clobbers errno. On a non-blocking socket no call
 * blocks. Where it is a guess that the socket is a blocking one, and the first connect() does not
 * succeed, the kernel is asked: course->attempt.nonblocking tells afterwards. */
struct crow_action crow_course_connect(struct crow_course *course, bool nonblocking);

/* The same for one that waits: carries out the action and those that follow from it. course->fd may
 * be another descriptor of the same socket for the time. */
struct crow_action crow_course_run(struct crow_course *course, struct crow_action action);

/* Tells the daemon that the instance being tried failed. */
void crow_course_blame(const struct crow_course *course, int error);

/* Takes back what was set on the socket for the attempt's time. */
void crow_course_restore(struct crow_course *course);

#endif
