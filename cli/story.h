/*
 * What a running daemon tells beyond its snapshot: the last poll of a service, how often an
 * instance was given, since when and why it is in its state. The one door to json-c, for reading.
 */
#ifndef CROW_STORY_H
#define CROW_STORY_H

#include "resolver/image.h"

struct crow_story;

struct crow_story_service {
	const char *outcome; /* of the last poll: "ok", "status"...; "" if unknown */
	const char *detail;  /* a sentence about it, "" if it was good */
	int64_t polled_s;    /* seconds since it ended; -1: never, or unknown */
};

struct crow_story_instance {
	int64_t given;      /* picks by DNS in the last minute; -1: unknown */
	int64_t given_of;   /* of so many of its service */
	const char *health; /* "suspect", "ejected" or "kept"; "" where all is well, or unknown */
	int64_t since_s;    /* how long; -1: unknown */
	const char *why;    /* "" if there is nothing to say */
};

/* Asks the daemon of that snapshot for one service (its name in discovery), or for all (NULL). NULL
 * if there is no answer: it does not run, or serves no pages. */
struct crow_story *crow_story_load(const struct crow_image *img, const char *service);
void crow_story_free(struct crow_story *story); /* NULL is fine */

/* Which image the daemon has: its process, and that one's count of images. False: it does not say. */
bool crow_story_image(const struct crow_story *story, int64_t *pid, int64_t *generation);

/* Strings are borrowed from the story, which may be NULL: then nothing is known. */
void crow_story_service(struct crow_story *story, const char *name, struct crow_story_service *out);
void crow_story_instance(struct crow_story *story, const char *service,
			 const struct crow_addr *addr, uint16_t port,
			 struct crow_story_instance *out);

#endif
