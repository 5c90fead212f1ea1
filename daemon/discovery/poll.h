/*
 * The rules of polling, pure: no clock, no randomness, no input or output of their own.
 *
 * A round asks for one list: path after path of the source's templates, until one answers with a
 * list or none is left that is worth asking. The path that answered is remembered twice: by the
 * source, so that a service asked for the first time goes straight to the API that this platform
 * has; and by the service, whose own memory comes first, because a platform may know some services
 * under the old API alone, and each poll of those would else cost two requests for ever.
 */
#ifndef CROW_POLL_H
#define CROW_POLL_H

#include "daemon/table.h"

/* Further path templates of a source are not asked: `tried` is a set of bits. */
#define CROW_POLL_PATHS_MAX 32u

/* A list's decoded bytes. 100,000 instances, pretty-printed, are 13.7 MB. */
#define CROW_POLL_BODY_MAX (32u << 20)

/* Retry-After is honoured up to this. */
#define CROW_POLL_RETRY_MAX_S 60

#define CROW_POLL_NO_PATH (-1)

/* What the polls of a source, or of a service, have learnt. */
struct crow_poll_memory {
	int answered; /* the path that last answered with a good list, or CROW_POLL_NO_PATH */
};

struct crow_poll {
	struct crow_poll_memory memory; /* the service's own */
	bool thorough; /* every status, not just those of a missing path, has the others asked */
	/* Of the round under way: */
	int64_t started_ns;
	uint32_t tried;
	int path;
	enum crow_poll_outcome outcome; /* the one that tells most so far */
	uint32_t retry_after_s;
};

/* What came of asking one path. */
struct crow_poll_answer {
	enum crow_poll_outcome outcome;
	int status;             /* of HTTP; 0 if there was none */
	uint32_t retry_after_s; /* 0: not said */
};

void crow_poll_init(struct crow_poll *poll, bool thorough);

/* Starts a round; returns the path to ask. paths > 0. */
int crow_poll_begin(struct crow_poll *poll, const struct crow_poll_memory *source, size_t paths,
		    int64_t now_ns);
/* The answer of poll->path: returns the path to ask now, or CROW_POLL_NO_PATH when the round is
 * over with poll->outcome. *tells_most (if not NULL): poll->outcome is this answer's. */
int crow_poll_answered(struct crow_poll *poll, struct crow_poll_memory *source, size_t paths,
		       const struct crow_poll_answer *answer, bool *tells_most);

/* When the first poll of each of `services` services is due: at once, but spread. */
int64_t crow_poll_first_ns(size_t services, int64_t now_ns, uint64_t random);
/* When the next poll is due after a round: 1 to 2 intervals after that one began. */
int64_t crow_poll_next_ns(const struct crow_poll *poll, uint32_t interval_ms, int64_t now_ns,
			  uint64_t random);
/* A poll was due at due_ns. Returns now_ns, or when to begin instead if it is so late that the
 * machine must have been suspended: all services are due then, and on many machines at once. */
int64_t crow_poll_wake_ns(int64_t due_ns, uint32_t interval_ms, int64_t now_ns, uint64_t random);

/* The template with each {service} replaced, behind endpoint. With an endpoint it is a URL, and
 * the name is percent-encoded as one segment of a path (RFC 3986 3.3); without (NULL) it is the
 * path of a file, and the name stands as it is. Freed with free(); NULL: no memory. */
char *crow_poll_locate(const char *endpoint, const char *template, const char *service);

#endif
