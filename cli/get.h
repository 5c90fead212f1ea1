/*
 * One page of the daemon, by HTTP/1.0.
 */
#ifndef CROW_GET_H
#define CROW_GET_H

#include "cli/face.h"

/* What comes of it. */
struct crow_got {
	int error; /* errno of the connection: ETIMEDOUT after CROW_GET_TIMEOUT_S, EPROTO if what
		    * came is not HTTP; 0: there is an answer */
	unsigned status;
	char *body; /* NUL-terminated, freed with free(); NULL after an error */
};

/* For one send or receive. The daemon's main thread, which renders pages, may be busy with the
 * lists of a hundred thousand instances. */
#define CROW_GET_TIMEOUT_S 3

void crow_get_page(const struct crow_face *face, const char *path, struct crow_got *out);

/* The body of a 200; NULL for everything else. */
char *crow_get(const struct crow_face *face, const char *path);

#endif
