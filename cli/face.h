/*
 * Where the daemon of a snapshot listens: its DNS responder and its HTTP pages.
 */
#ifndef CROW_FACE_H
#define CROW_FACE_H

#include "resolver/image.h"

#define CROW_FACES_MAX                                                                             \
	16 /* more addresses than any host names for one daemon; the rest is left out */

struct crow_face {
	struct crow_addr addr;
	uint16_t port;
};

/* The addresses of one kind ("dns", "http"), at most CROW_FACES_MAX; returns how many. A wildcard
 * stands as the loopback address of its family, by which it is reached. */
size_t crow_face_get(const struct crow_image *img, const char *kind,
		     struct crow_face out[CROW_FACES_MAX]);

#endif
