/*
 * One page of the daemon, by HTTP/1.0.
 */
#ifndef CROW_GET_H
#define CROW_GET_H

#include "cli/face.h"

/* The body of a 200, NUL-terminated and freed with free(); NULL for everything else. Takes a few
 * seconds at most where nobody answers. */
char *crow_get(const struct crow_face *face, const char *path);

#endif
