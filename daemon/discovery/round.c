#include "daemon/discovery/round.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/discovery/file.h"

#define MS_NS INT64_C(1000000)

/* A file from here on is given back to the system at once when it has been read. */
#define LARGE_FILE (1u << 20)

static void ask(struct crow_round *round, int path);
static void run(struct crow_round *round);

/* ---- places ---- */

void crow_origin_init(struct crow_origin *origin, const struct crow_source_config *config,
		      struct crow_fetcher *fetcher)
{
	memset(origin, 0, sizeof(*origin));
	origin->config = config;
	origin->fetcher = fetcher;
	origin->memory.answered = CROW_POLL_NO_PATH;
}

static void enqueue(struct crow_origin *origin, struct crow_round *round)
{
	round->state = CROW_ROUND_WAITING;
	round->next = NULL;
	if (origin->last)
		origin->last->next = round;
	else
		origin->first = round;
	origin->last = round;
}

static void dequeue(struct crow_origin *origin, struct crow_round *round)
{
	struct crow_round **link = &origin->first;
	struct crow_round *before = NULL;

	while (*link != round) {
		before = *link;
		link = &before->next;
	}
	*link = round->next;
	if (origin->last == round)
		origin->last = before;
	round->next = NULL;
	round->state = CROW_ROUND_IDLE;
}

/* Gives free places to those that wait. A round may end while it is being started, and comes back
 * here: then the loop that started it goes on instead of one more within it. */
static void fill_places(struct crow_origin *origin)
{
	if (origin->filling)
		return;
	origin->filling = true;
	while (origin->first && origin->under_way < CROW_ROUNDS_MAX) {
		struct crow_round *round = origin->first;

		dequeue(origin, round);
		run(round);
	}
	origin->filling = false;
}

static void leave(struct crow_round *round)
{
	round->state = CROW_ROUND_IDLE;
	if (!round->on_demand)
		round->origin->under_way--;
}

/* ---- answers ---- */

/* "where: cause" in one line; if it is too long, where is cut, because cause says more. */
static void say(struct crow_round *round, const char *cause)
{
	size_t size = sizeof(round->detail), rest = strlen(cause) + sizeof("...: ");
	const char *where = round->where ? round->where : round->service;

	if (strlen(where) + rest <= size)
		snprintf(round->detail, size, "%s: %s", where, cause);
	else
		snprintf(round->detail, size, "%.*s...: %s", rest < size ? (int)(size - rest) : 0,
			 where, cause);
}

static void hear(struct crow_round *round, const struct crow_poll_answer *answer, const char *cause)
{
	struct crow_origin *origin = round->origin;
	bool tells_most;
	int next = crow_poll_answered(&round->poll, &origin->memory, origin->config->paths.count,
				      answer, &tells_most);

	if (tells_most && answer->outcome == CROW_POLL_OK)
		round->detail[0] = '\0';
	else if (tells_most)
		say(round, cause);
	if (next != CROW_POLL_NO_PATH) {
		ask(round, next);
		return;
	}
	leave(round);
	if (!round->on_demand)
		fill_places(origin);
	round->done(round);
}

static void hear_no_memory(struct crow_round *round)
{
	struct crow_poll_answer answer = {.outcome = CROW_POLL_NO_MEMORY};

	hear(round, &answer, "not enough memory to ask");
}

static enum crow_poll_outcome outcome_of(enum crow_list_verdict verdict)
{
	switch (verdict) {
	case CROW_LIST_OK:
		return CROW_POLL_OK;
	case CROW_LIST_EMPTY:
	case CROW_LIST_DRAINED:
		return CROW_POLL_EMPTY;
	case CROW_LIST_REFUSED:
		return CROW_POLL_REFUSED;
	case CROW_LIST_OVERSIZE:
		return CROW_POLL_OVERSIZE;
	case CROW_LIST_NO_MEMORY:
		return CROW_POLL_NO_MEMORY;
	case CROW_LIST_MALFORMED:
		break;
	}
	return CROW_POLL_MALFORMED;
}

/* What a body that is no list is instead. */
static void name_malformed(const char *body, size_t size, const char *example, char *out,
			   size_t room)
{
	size_t at = 0;

	while (at < size && strchr(" \t\r\n", body[at]) && body[at])
		at++;
	if (at == size)
		snprintf(out, room, "is empty");
	else if (body[at] == '<')
		snprintf(out, room, "is HTML or XML, not a list");
	else
		snprintf(out, room, "is not a list%s%s", example[0] ? ": " : "", example);
}

static void name_verdict(enum crow_list_verdict verdict, const char *body, size_t size,
			 const struct crow_list_tally *tally, const char *source, char *out,
			 size_t room)
{
	char reason[CROW_LIST_REASON];

	switch (verdict) {
	case CROW_LIST_OK:
		break;
	case CROW_LIST_EMPTY:
		snprintf(out, room, "lists no instance");
		break;
	case CROW_LIST_DRAINED:
		snprintf(out, room, "lists only instances of weight 0");
		break;
	case CROW_LIST_REFUSED:
		crow_list_explain(tally, source, reason);
		snprintf(out, room, "has %zu bad of %zu items: %s", tally->dropped + tally->outside,
			 tally->seen, reason);
		break;
	case CROW_LIST_OVERSIZE:
		snprintf(out, room, "lists more than %u instances", CROW_LIST_MAX);
		break;
	case CROW_LIST_NO_MEMORY:
		snprintf(out, room, "is more than there is memory for");
		break;
	case CROW_LIST_MALFORMED:
		name_malformed(body, size, tally->example, out, room);
		break;
	}
}

/* The body of a 200, or of a file. subject begins the sentence if it is not a good list. */
static void read_body(struct crow_round *round, const char *body, size_t size, int status,
		      const char *subject)
{
	struct crow_list_tally tally;
	struct crow_poll_answer answer = {.status = status};
	enum crow_list_verdict verdict;
	char fault[CROW_LIST_REASON + 64] = "", cause[sizeof(fault) + 32];

	crow_list_fini(&round->list);
	crow_list_init(&round->list);
	verdict = crow_list_read_json(&round->list, body, size, &round->origin->config->accept,
				      &tally);
	answer.outcome = outcome_of(verdict);
	if (verdict != CROW_LIST_OK)
		crow_list_fini(&round->list);
	if (verdict == CROW_LIST_OK || verdict == CROW_LIST_EMPTY || verdict == CROW_LIST_DRAINED ||
	    verdict == CROW_LIST_REFUSED) {
		round->tally = tally;
		round->has_tally = true;
	}
	name_verdict(verdict, body, size, &tally, round->origin->config->name, fault,
		     sizeof(fault));
	snprintf(cause, sizeof(cause), "%s %s", subject, fault);
	hear(round, &answer, cause);
}

static enum crow_poll_outcome outcome_of_status(int status)
{
	return status == 404 ? CROW_POLL_UNKNOWN : CROW_POLL_STATUS;
}

static void on_fetched(void *context, const struct crow_fetch_answer *fetched)
{
	struct crow_round *round = context;
	struct crow_poll_answer answer = {.status = fetched->status};

	round->fetch = NULL;
	switch (fetched->end) {
	case CROW_FETCH_ANSWERED:
		if (fetched->status == 200) {
			read_body(round, fetched->body, fetched->size, 200,
				  "answered 200, but the body");
			return;
		}
		answer.outcome = outcome_of_status(fetched->status);
		break;
	case CROW_FETCH_TIMEOUT:
		answer.outcome = CROW_POLL_TIMEOUT;
		break;
	case CROW_FETCH_CONNECT:
		answer.outcome = CROW_POLL_CONNECT;
		break;
	case CROW_FETCH_GARBLED:
		answer.outcome = CROW_POLL_MALFORMED;
		break;
	case CROW_FETCH_OVERSIZE:
		answer.outcome = CROW_POLL_OVERSIZE;
		break;
	case CROW_FETCH_NO_MEMORY:
		answer.outcome = CROW_POLL_NO_MEMORY;
		break;
	}
	/* RFC 6585 4 and RFC 9110 15.6.4: with these two it says when to come back. */
	if (fetched->status == 429 || fetched->status == 503)
		answer.retry_after_s = fetched->retry_after_s;
	hear(round, &answer, fetched->cause);
}

/* ---- questions ---- */

static void hear_file_error(struct crow_round *round, int error)
{
	struct crow_poll_answer answer = {.outcome = CROW_POLL_CONNECT};
	char cause[160];

	snprintf(cause, sizeof(cause), "cannot be read: %s", strerror(error));
	if (error == ENOENT || error == ENOTDIR) {
		answer.outcome = CROW_POLL_UNKNOWN;
		snprintf(cause, sizeof(cause), "there is no such file");
	} else if (error == EFBIG) {
		answer.outcome = CROW_POLL_OVERSIZE;
		snprintf(cause, sizeof(cause), "is larger than %u MiB", CROW_POLL_BODY_MAX >> 20);
	} else if (error == EINVAL) {
		snprintf(cause, sizeof(cause), "is not a regular file");
	} else if (error == ENOMEM) {
		answer.outcome = CROW_POLL_NO_MEMORY;
	}
	hear(round, &answer, cause);
}

static void ask_file(struct crow_round *round)
{
	char *bytes;
	size_t size;
	int error = crow_file_read(round->where, CROW_POLL_BODY_MAX, &bytes, &size);

	if (error != 0) {
		hear_file_error(round, error);
		return;
	}
	read_body(round, bytes, size, 0, "the file");
	free(bytes); /* round may be gone by now */
	if (size >= LARGE_FILE)
		malloc_trim(0);
}

/* How long the request may take; 0: the round's deadline has passed. */
static uint32_t time_left_ms(const struct crow_round *round)
{
	uint32_t timeout_ms = round->origin->config->timeout_ms;
	int64_t left_ms = (round->deadline_ns - crow_now_ns()) / MS_NS;

	if (round->deadline_ns == 0)
		return timeout_ms;
	if (left_ms <= 0)
		return 0;
	return left_ms < timeout_ms ? (uint32_t)left_ms : timeout_ms;
}

static void ask_http(struct crow_round *round)
{
	uint32_t timeout_ms = time_left_ms(round);

	if (timeout_ms == 0) {
		struct crow_poll_answer answer = {.outcome = CROW_POLL_TIMEOUT};

		hear(round, &answer, "no time was left to ask");
		return;
	}
	round->fetch = crow_fetch_start(round->origin->fetcher, round->where, timeout_ms,
					CROW_POLL_BODY_MAX, on_fetched, round);
	if (!round->fetch)
		hear_no_memory(round);
}

static void ask(struct crow_round *round, int path)
{
	const struct crow_source_config *config = round->origin->config;
	bool is_file = config->type == CROW_SOURCE_FILE;

	free(round->where);
	round->where = crow_poll_locate(is_file ? NULL : config->endpoint,
					config->paths.items[path], round->service);
	if (!round->where)
		hear_no_memory(round);
	else if (is_file)
		ask_file(round);
	else
		ask_http(round);
}

/* ---- the round ---- */

static void run(struct crow_round *round)
{
	struct crow_origin *origin = round->origin;

	round->state = CROW_ROUND_ASKING;
	round->has_tally = false;
	round->detail[0] = '\0';
	if (!round->on_demand)
		origin->under_way++;
	ask(round, crow_poll_begin(&round->poll, &origin->memory, origin->config->paths.count,
				   crow_now_ns()));
}

void crow_round_init(struct crow_round *round, struct crow_origin *origin, const char *service,
		     bool on_demand, void (*done)(struct crow_round *round))
{
	memset(round, 0, sizeof(*round));
	round->origin = origin;
	round->service = service;
	round->on_demand = on_demand;
	round->done = done;
	crow_poll_init(&round->poll, on_demand);
	crow_list_init(&round->list);
}

void crow_round_fini(struct crow_round *round)
{
	if (round->state == CROW_ROUND_WAITING)
		dequeue(round->origin, round);
	if (round->fetch)
		crow_fetch_cancel(round->fetch);
	if (round->state == CROW_ROUND_ASKING)
		leave(round);
	round->fetch = NULL;
	free(round->where);
	round->where = NULL;
	crow_list_fini(&round->list);
}

void crow_round_start(struct crow_round *round)
{
	struct crow_origin *origin = round->origin;

	if (!round->on_demand && origin->under_way >= CROW_ROUNDS_MAX)
		enqueue(origin, round);
	else
		run(round);
}
