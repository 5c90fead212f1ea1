/*
 * One connect() in progress: which of its instances is being tried, until when, and what the
 * program is to be told. A pure state machine, (state, event, now) -> (state, action): the caller
 * makes the system calls and keeps the time.
 *
 *   TRYING, on a blocking socket
 *     CONNECTED -----------------------------------------------> return 0
 *     FAILED, remote's fault, an instance is left -------------> next
 *     FAILED otherwise ----------------------------------------> return the first error
 *     EXPIRED, our limit --------------------------------------> next
 *     EXPIRED, our limit for the whole ------------------------> abandon, return the first error
 *     EXPIRED, the application's own time-out -----------------> return EINPROGRESS
 *     EARLIER: an earlier connect() was under way -------------> wait, for that one alone
 *     INTERRUPTED, all handlers SA_RESTART --------------------> connect on
 *     INTERRUPTED otherwise -----------------------------------> return EINTR
 *
 *   TRYING, or PENDING, on a non-blocking socket
 *     CONNECTED, FAILED as above
 *     BEGUN (EINPROGRESS), there is another instance ----------> look (poll, without waiting)
 *     WRITABLE: connected -------------------------------------> return EINPROGRESS
 *     QUIET, our limit is not over ----------------------------> PENDING: wait, until the limit
 *     QUIET, our limit is over --------------------------------> next
 *     HUNG_UP, an instance is left ----------------------------> ask for the error -> ERROR -> next
 *     HUNG_UP, it was the last --------------------------------> SETTLED
 *
 *   SETTLED: all failed; the last one's failure is on the socket, for the program to see, and
 *     DELIVERED, the program asks what it was -----------------> return the first error
 *
 * What begins as TRYING and is PENDING goes on outside of the program's connect(), which returned
 * EINPROGRESS; from then on "return" tells nobody anything, and a failure is SETTLED instead.
 * The last instance has no limit but the application's own, and on a blocking socket, after others
 * have failed, one for the whole; the only one is left to the kernel.
 */
#ifndef CROW_ATTEMPT_H
#define CROW_ATTEMPT_H

#include <stdbool.h>
#include <stdint.h>

enum crow_attempt_state {
	CROW_ATTEMPT_TRYING,
	CROW_ATTEMPT_PENDING, /* non-blocking alone: the program knows that it is in progress */
	CROW_ATTEMPT_SETTLED,
	CROW_ATTEMPT_DONE,
};

enum crow_event_kind {
	CROW_EVENT_CONNECTED,
	CROW_EVENT_FAILED,      /* error: connect()'s errno */
	CROW_EVENT_EXPIRED,     /* the limit that the action gave ran out, still connecting */
	CROW_EVENT_INTERRUPTED, /* by a signal; restarts: no handler is without SA_RESTART */
	CROW_EVENT_EARLIER,     /* what is under way is not of this connect(); it still is */
	CROW_EVENT_BARRED,      /* error: of the socket itself, whatever the instance */
	CROW_EVENT_STUCK, /* the socket could not be reset for the next instance, or was abandoned */
	CROW_EVENT_BEGUN,     /* a non-blocking socket has begun to connect */
	CROW_EVENT_QUIET,     /* it still does */
	CROW_EVENT_WRITABLE,  /* it is connected */
	CROW_EVENT_HUNG_UP,   /* it is not and will not be; why has not been asked */
	CROW_EVENT_ERROR,     /* error: SO_ERROR; 0 = none, the program itself gave up */
	CROW_EVENT_DELIVERED, /* the program asks how it ended */
};

struct crow_event {
	enum crow_event_kind kind;
	int error;
	bool restarts;
};

enum crow_action_kind {
	CROW_DO_CONNECT, /* to targets[index], with the limit */
	CROW_DO_NEXT,    /* the same, after the socket was reset */
	CROW_DO_CONTINUE, /* wait on for the connection under way, with the limit; if it is an earlier
			   * one, without beginning another */
	CROW_DO_LOOK,     /* what has become of it so far */
	CROW_DO_ASK,      /* SO_ERROR, which takes the error off the socket */
	CROW_DO_WAIT,     /* until the program waits, or the limit is over */
	CROW_DO_SETTLE,   /* leave the socket as it is */
	CROW_DO_ABANDON, /* reset the socket, and stop */
	CROW_DO_RETURN,  /* error; 0 = connected */
};

struct crow_action {
	enum crow_action_kind kind;
	int error;
	int64_t limit_ns; /* 0 = none */
	int blame;        /* errno to report of the instance that was tried; 0 = nothing */
};

struct crow_attempt {
	uint8_t state; /* enum crow_attempt_state */
	uint8_t index; /* of the instance being tried */
	uint8_t count; /* of instances to try, at least 1 */
	bool nonblocking;
	bool told;    /* the program's connect() has returned EINPROGRESS */
	bool earlier; /* what is waited for was begun by an earlier connect() */
	int first_error;
	int64_t each_ns;    /* what an instance gets that is not the last; 0 = no limit */
	int64_t started_ns; /* of this instance's attempt */
	int64_t whole_at;   /* when the whole ends, if others have failed by then */
	int64_t limit_at;   /* when our limit runs out, 0 = the attempt has none */
	int64_t own_at;     /* when the application's own time-out runs out, 0 = it has none */
};

/* How long an instance gets that is not the last: what is configured, or three times what the last
 * good connect to the service took if that is more, which no good instance exceeds by far; but no
 * more than 3 s, or what is configured. 0 = no limit. */
int64_t crow_attempt_limit_ns(int64_t configured_ns, int64_t last_good_ns);

/* own_ns: the application's SO_SNDTIMEO, 0 = none. All times of one monotonic clock, > 0. */
struct crow_action crow_attempt_start(struct crow_attempt *attempt, uint8_t count, bool nonblocking,
				      int64_t each_ns, int64_t own_ns, int64_t now_ns);
struct crow_action crow_attempt_on(struct crow_attempt *attempt, struct crow_event event,
				   int64_t now_ns);

/* The socket is a non-blocking one after all, which the first connect() of the attempt has shown: as
 * if it had started so. */
void crow_attempt_unblock(struct crow_attempt *attempt);

/* There are so many instances after all, at least the one being tried. */
void crow_attempt_shrink(struct crow_attempt *attempt, uint8_t count);

/* True while a limit of ours, or a wait by other means, makes the kernel say EINTR where it would have
 * restarted connect(). Without those it has restarted whatever is to be; with the application's own
 * limit it never does (signal(7)). */
bool crow_attempt_hides_restarts(const struct crow_attempt *attempt);

/* Whether an errno of connect() tells about the remote, so that another instance may do better;
 * those that would fail anywhere (EACCES, EADDRNOTAVAIL, EMFILE...) do not. */
bool crow_attempt_is_remote(int error, bool nonblocking);

#endif
