#include "preload/attempt.h"

#include <errno.h>

#include "preload/path.h"

#define SECOND_NS INT64_C(1000000000)

#define LIMIT_MAX_NS (3 * SECOND_NS)

/* What a blocking connect() gets in all once an instance has failed. Linux sends the last one's SYN
 * at 0, 1, 2, 3, 4, 5 and 7 s: who is there answers one of seven. */
#define WHOLE_NS (10 * SECOND_NS)

bool crow_attempt_is_remote(int error, bool nonblocking)
{
	switch (error) {
	case EHOSTUNREACH:
	case ENETUNREACH:
	case EHOSTDOWN:
	case ENETDOWN:
		return true;
	case ECONNREFUSED:
	case ETIMEDOUT:
	case ECONNRESET:
		/* Those come by packet, which connect() on a non-blocking socket does not wait
		 * for: there they are what became of an earlier connect(), to an instance that
		 * only that call knew. */
		return !nonblocking;
	default:
		return false;
	}
}

static struct crow_action finish(struct crow_attempt *attempt, int error, int blame)
{
	attempt->state = CROW_ATTEMPT_DONE;
	return (struct crow_action){.kind = CROW_DO_RETURN, .error = error, .blame = blame};
}

static bool is_last(const struct crow_attempt *attempt)
{
	return attempt->index + 1 == attempt->count;
}

/* The nearer of our limit and the application's own; SO_SNDTIMEO of 0 would mean none. */
static int64_t limit_left(const struct crow_attempt *attempt, int64_t now_ns)
{
	int64_t at = attempt->limit_at != 0 ? attempt->limit_at : attempt->own_at;

	if (at == 0)
		return 0;
	return at > now_ns ? at - now_ns : 1;
}

static CROW_HOT struct crow_action
try_instance(struct crow_attempt *attempt, enum crow_action_kind kind, int blame, int64_t now_ns)
{
	attempt->started_ns = now_ns;
	attempt->limit_at = 0;
	if (!is_last(attempt) && attempt->each_ns > 0)
		attempt->limit_at = now_ns + attempt->each_ns;
	else if (attempt->index > 0 && !attempt->nonblocking)
		attempt->limit_at = attempt->whole_at;
	/* The application's own time-out ends the whole, not a single attempt of it. */
	if (attempt->own_at != 0 && attempt->limit_at >= attempt->own_at)
		attempt->limit_at = 0;
	return (struct crow_action){
		.kind = kind, .limit_ns = limit_left(attempt, now_ns), .blame = blame};
}

/* No instance is left, or none can be tried. Once the program was told that the connection is in
 * progress, the socket has to tell it the rest. */
static struct crow_action give_up(struct crow_attempt *attempt, int error, int blame)
{
	if (attempt->first_error == 0)
		attempt->first_error = error;
	if (!attempt->told)
		return finish(attempt, attempt->first_error, blame);
	attempt->state = CROW_ATTEMPT_SETTLED;
	return (struct crow_action){.kind = CROW_DO_SETTLE, .blame = blame};
}

static struct crow_action next_instance(struct crow_attempt *attempt, int error, int64_t now_ns)
{
	if (is_last(attempt))
		return give_up(attempt, error, error);
	if (attempt->first_error == 0)
		attempt->first_error = error;
	attempt->index++;
	return try_instance(attempt, CROW_DO_NEXT, error, now_ns);
}

static struct crow_action on_failed(struct crow_attempt *attempt, int error, int64_t now_ns)
{
	/* Whom an earlier connect() went to is not known. */
	if (!attempt->earlier && crow_attempt_is_remote(error, attempt->nonblocking))
		return next_instance(attempt, error, now_ns);
	return give_up(attempt, error, 0);
}

static struct crow_action on_interrupted(struct crow_attempt *attempt, bool restarts,
					 int64_t now_ns)
{
	if (!restarts || !crow_attempt_hides_restarts(attempt))
		return finish(attempt, EINTR, 0);
	return (struct crow_action){.kind = CROW_DO_CONTINUE,
				    .limit_ns = limit_left(attempt, now_ns)};
}

void crow_attempt_shrink(struct crow_attempt *attempt, uint8_t count)
{
	attempt->count = count;
	if (is_last(attempt))
		attempt->limit_at = 0;
}

void crow_attempt_unblock(struct crow_attempt *attempt)
{
	attempt->nonblocking = true;
	attempt->own_at = 0;
	try_instance(attempt, CROW_DO_CONNECT, 0, attempt->started_ns);
}

/* SO_SNDTIMEO has run out: ours, or the application's own. */
static struct crow_action on_expired(struct crow_attempt *attempt, int64_t now_ns)
{
	if (attempt->limit_at == 0 && (attempt->own_at == 0 || now_ns < attempt->own_at))
		return (struct crow_action){.kind = CROW_DO_CONTINUE,
					    .limit_ns = limit_left(attempt, now_ns)};
	if (attempt->limit_at == 0)
		return finish(attempt, attempt->earlier ? EALREADY : EINPROGRESS, 0);
	if (!is_last(attempt))
		return next_instance(attempt, ETIMEDOUT, now_ns);
	return (struct crow_action){.kind = CROW_DO_ABANDON, .blame = ETIMEDOUT};
}

/* A blocking connect() on a socket that connects already waits for that, wherever it goes to; and
 * it is not ours to move. */
static struct crow_action on_earlier(struct crow_attempt *attempt, int64_t now_ns)
{
	attempt->earlier = true;
	crow_attempt_shrink(attempt, 1);
	return on_expired(attempt, now_ns);
}

/* With a single instance there is nothing that we could do better than the kernel. */
static struct crow_action on_begun(struct crow_attempt *attempt)
{
	if (attempt->count == 1)
		return finish(attempt, EINPROGRESS, 0);
	return (struct crow_action){.kind = CROW_DO_LOOK};
}

static struct crow_action on_quiet(struct crow_attempt *attempt, int64_t now_ns)
{
	if (attempt->limit_at != 0 && now_ns >= attempt->limit_at)
		return next_instance(attempt, ETIMEDOUT, now_ns);
	attempt->state = CROW_ATTEMPT_PENDING;
	attempt->told = true;
	return (struct crow_action){.kind = CROW_DO_WAIT, .limit_ns = limit_left(attempt, now_ns)};
}

/* The last instance's failure stays on the socket: SO_ERROR would take it off, and with it the
 * POLLERR that the program is to see. In connect() itself, that has just said EINPROGRESS. */
static struct crow_action on_hung_up(struct crow_attempt *attempt)
{
	if (!is_last(attempt))
		return (struct crow_action){.kind = CROW_DO_ASK};
	attempt->told = true;
	return give_up(attempt, 0, 0);
}

/* What came while the connection was under way came by packet, whatever its number: it tells
 * about the remote, or the way there. */
static struct crow_action on_error(struct crow_attempt *attempt, int error, int64_t now_ns)
{
	if (error == 0)
		return finish(attempt, EINPROGRESS, 0);
	return next_instance(attempt, error, now_ns);
}

int64_t crow_attempt_limit_ns(int64_t configured_ns, int64_t last_good_ns)
{
	int64_t limit_ns = 3 * last_good_ns;

	if (limit_ns > LIMIT_MAX_NS)
		limit_ns = LIMIT_MAX_NS;
	return configured_ns == 0 || configured_ns > limit_ns ? configured_ns : limit_ns;
}

bool crow_attempt_hides_restarts(const struct crow_attempt *attempt)
{
	return (attempt->limit_at != 0 || attempt->earlier) && attempt->own_at == 0;
}

CROW_HOT struct crow_action crow_attempt_start(struct crow_attempt *attempt, uint8_t count,
					       bool nonblocking, int64_t each_ns, int64_t own_ns,
					       int64_t now_ns)
{
	*attempt = (struct crow_attempt){
		.state = CROW_ATTEMPT_TRYING,
		.count = count,
		.nonblocking = nonblocking,
		.each_ns = each_ns,
		.whole_at = each_ns > 0 ? now_ns + WHOLE_NS : 0,
		.own_at = own_ns > 0 ? now_ns + own_ns : 0,
	};
	return try_instance(attempt, CROW_DO_CONNECT, 0, now_ns);
}

CROW_HOT struct crow_action crow_attempt_on(struct crow_attempt *attempt, struct crow_event event,
					    int64_t now_ns)
{
	if (attempt->state == CROW_ATTEMPT_DONE)
		return finish(attempt, attempt->first_error, 0);
	switch (event.kind) {
	case CROW_EVENT_CONNECTED:
		return finish(attempt, 0, 0);
	case CROW_EVENT_FAILED:
		return on_failed(attempt, event.error, now_ns);
	case CROW_EVENT_EXPIRED:
		return on_expired(attempt, now_ns);
	case CROW_EVENT_INTERRUPTED:
		return on_interrupted(attempt, event.restarts, now_ns);
	case CROW_EVENT_EARLIER:
		return on_earlier(attempt, now_ns);
	case CROW_EVENT_BARRED:
		return give_up(attempt, event.error, 0);
	case CROW_EVENT_STUCK:
		return give_up(attempt, attempt->first_error, 0);
	case CROW_EVENT_BEGUN:
		return on_begun(attempt);
	case CROW_EVENT_QUIET:
		return on_quiet(attempt, now_ns);
	case CROW_EVENT_WRITABLE:
		return finish(attempt, EINPROGRESS, 0);
	case CROW_EVENT_HUNG_UP:
		return on_hung_up(attempt);
	case CROW_EVENT_ERROR:
		return on_error(attempt, event.error, now_ns);
	case CROW_EVENT_DELIVERED:
		break;
	}
	return finish(attempt, attempt->first_error, 0);
}
