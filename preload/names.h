/*
 * Which service a host name means to this process: its own aliases first (CROWFLY_MAP), then the
 * names of the image. And which services it resolved last.
 */
#ifndef CROW_NAMES_H
#define CROW_NAMES_H

#include "preload/recent.h"
#include "resolver/image.h"
#include "resolver/name.h"

enum crow_host_kind {
	CROW_HOST_FOREIGN, /* libc's to answer */
	CROW_HOST_SERVICE,
	CROW_HOST_WANTED, /* below a zone whose names may be asked for on demand */
};

struct crow_host {
	enum crow_host_kind kind;
	uint32_t service;    /* of the image, if kind is CROW_HOST_SERVICE */
	uint32_t timeout_ms; /* how long to wait for it, if kind is CROW_HOST_WANTED */
	size_t length;
	char name[CROW_NAME_MAX + 1]; /* folded, as the image has it or would have it */
};

/* "host=service, host=service": borrowed for ever; NULL if there are none. The constructor's. A
 * service is its name in discovery, or any of its names in the snapshot. */
void crow_names_open(const char *map);

void crow_names_find(const struct crow_image *img, const char *host, struct crow_host *out);

/* The services that this process resolved last. */
struct crow_recent *crow_names_recent(void);

#endif
