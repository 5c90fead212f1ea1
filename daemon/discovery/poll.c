#include "daemon/discovery/poll.h"

#include <stdlib.h>
#include <string.h>

#define MS_NS INT64_C(1000000)
#define S_NS  (1000 * MS_NS)

/* Hosts that start or wake together are spread over this at least ... */
#define SPREAD_LEAST_NS (10 * MS_NS)
/* ... plus this for each further service, which makes 1000 new requests a second at most, ... */
#define SPREAD_EACH_NS MS_NS
/* ... and this at most, because somebody waits for the first list. */
#define SPREAD_MOST_NS S_NS

void crow_poll_init(struct crow_poll *poll, bool thorough)
{
	memset(poll, 0, sizeof(*poll));
	poll->memory.answered = CROW_POLL_NO_PATH;
	poll->path = CROW_POLL_NO_PATH;
	poll->thorough = thorough;
}

static size_t askable(size_t paths)
{
	return paths < CROW_POLL_PATHS_MAX ? paths : CROW_POLL_PATHS_MAX;
}

static int ask(struct crow_poll *poll, int path)
{
	poll->tried |= UINT32_C(1) << path;
	poll->path = path;
	return path;
}

int crow_poll_begin(struct crow_poll *poll, const struct crow_poll_memory *source, size_t paths,
		    int64_t now_ns)
{
	int path = poll->memory.answered;

	poll->started_ns = now_ns;
	poll->tried = 0;
	poll->outcome = CROW_POLL_NEVER;
	poll->retry_after_s = 0;
	if (path == CROW_POLL_NO_PATH)
		path = source->answered;
	if (path == CROW_POLL_NO_PATH || (size_t)path >= askable(paths))
		path = 0;
	return ask(poll, path);
}

/* How much an outcome says about the service. A path that is not there says nothing; a page that
 * is no list may be any server's; a status is at least a refusal; the rest is about the list, or
 * about the host, which all paths share. */
static int weight_of(enum crow_poll_outcome outcome)
{
	switch (outcome) {
	case CROW_POLL_NEVER:
		return 0;
	case CROW_POLL_UNKNOWN:
		return 1;
	case CROW_POLL_MALFORMED:
		return 2;
	case CROW_POLL_STATUS:
		return 3;
	case CROW_POLL_OK:
		return 5;
	default:
		return 4;
	}
}

/* Not Found, Method Not Allowed, Gone, Not Implemented; or a 200 that is no list. */
static bool is_wrong_path(const struct crow_poll_answer *answer)
{
	return answer->outcome == CROW_POLL_UNKNOWN || answer->outcome == CROW_POLL_MALFORMED ||
	       answer->status == 405 || answer->status == 410 || answer->status == 501;
}

static bool asks_on(const struct crow_poll *poll, const struct crow_poll_memory *source,
		    const struct crow_poll_answer *answer)
{
	if (answer->outcome == CROW_POLL_OK)
		return false;
	/* The other paths are on the same host: they would cost the same time-out again. */
	if (answer->outcome == CROW_POLL_TIMEOUT || answer->outcome == CROW_POLL_CONNECT ||
	    answer->outcome == CROW_POLL_NO_MEMORY)
		return false;
	if (poll->thorough ||
	    (poll->memory.answered == CROW_POLL_NO_PATH && source->answered == CROW_POLL_NO_PATH))
		return true;
	return is_wrong_path(answer);
}

static int untried(const struct crow_poll *poll, size_t paths)
{
	for (size_t path = 0; path < askable(paths); path++)
		if (!(poll->tried & (UINT32_C(1) << path)))
			return (int)path;
	return CROW_POLL_NO_PATH;
}

int crow_poll_answered(struct crow_poll *poll, struct crow_poll_memory *source, size_t paths,
		       const struct crow_poll_answer *answer, bool *tells_most)
{
	bool most = weight_of(answer->outcome) > weight_of(poll->outcome);
	int next;

	if (most)
		poll->outcome = answer->outcome;
	if (tells_most)
		*tells_most = most;
	if (answer->retry_after_s > poll->retry_after_s)
		poll->retry_after_s = answer->retry_after_s;
	if (answer->outcome == CROW_POLL_OK) {
		poll->memory.answered = poll->path;
		source->answered = poll->path;
		poll->retry_after_s = 0;
	}
	if (!asks_on(poll, source, answer))
		return CROW_POLL_NO_PATH;
	next = untried(poll, paths);
	return next == CROW_POLL_NO_PATH ? next : ask(poll, next);
}

/* Uniform in [0, most]. The bias of the remainder is below 2^-20 for spans below an hour. */
static int64_t draw(uint64_t random, int64_t most)
{
	return (int64_t)(random % ((uint64_t)most + 1));
}

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

int64_t crow_poll_first_ns(size_t services, int64_t now_ns, uint64_t random)
{
	int64_t spread = SPREAD_MOST_NS;

	if (services < (size_t)(SPREAD_MOST_NS / SPREAD_EACH_NS))
		spread = later(SPREAD_LEAST_NS, (int64_t)services * SPREAD_EACH_NS);
	return now_ns + draw(random, spread);
}

int64_t crow_poll_next_ns(const struct crow_poll *poll, uint32_t interval_ms, int64_t now_ns,
			  uint64_t random)
{
	int64_t interval = interval_ms * MS_NS;
	int64_t jitter = draw(random, interval);
	int64_t due = poll->started_ns + interval + jitter;
	uint32_t retry_s = poll->retry_after_s;

	if (retry_s > CROW_POLL_RETRY_MAX_S)
		retry_s = CROW_POLL_RETRY_MAX_S;
	/* Everybody was told the same number of seconds: the jitter keeps them apart after it. */
	if (retry_s > 0)
		due = later(due, now_ns + retry_s * S_NS + jitter);
	return later(due, now_ns);
}

int64_t crow_poll_wake_ns(int64_t due_ns, uint32_t interval_ms, int64_t now_ns, uint64_t random)
{
	int64_t interval = interval_ms * MS_NS;

	if (now_ns - due_ns <= interval)
		return now_ns;
	return now_ns + draw(random, interval < SPREAD_MOST_NS ? interval : SPREAD_MOST_NS);
}

/* RFC 3986 2.3: the characters that never need encoding. */
static bool is_unreserved(unsigned char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '.' || c == '_' || c == '~';
}

static char *put_name(char *at, const char *name, bool encode)
{
	static const char hex[] = "0123456789ABCDEF";

	for (const char *c = name; *c; c++) {
		unsigned char byte = (unsigned char)*c;

		if (!encode || is_unreserved(byte)) {
			*at++ = *c;
			continue;
		}
		*at++ = '%';
		*at++ = hex[byte >> 4];
		*at++ = hex[byte & 15];
	}
	return at;
}

char *crow_poll_locate(const char *endpoint, const char *template, const char *service)
{
	static const char slot[] = "{service}";
	const char *front = endpoint ? endpoint : "";
	size_t room = strlen(front) + strlen(template) + 1;
	char *text, *at;

	for (const char *c = strstr(template, slot); c; c = strstr(c + 1, slot))
		room += 3 * strlen(service);
	text = malloc(room);
	if (!text)
		return NULL;
	at = stpcpy(text, front);
	for (const char *c; (c = strstr(template, slot)); template = c + strlen(slot)) {
		at = mempcpy(at, template, (size_t)(c - template));
		at = put_name(at, service, endpoint != NULL);
	}
	strcpy(at, template);
	return text;
}
