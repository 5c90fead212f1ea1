/*
 * A private copy of the published snapshot. The file is opened read-only, read whole and closed
 * at once: no mapping of it and no descriptor is kept (snapshot.h says why).
 *
 * A copy has one user at a time; its memory comes from mmap(MAP_ANONYMOUS), never from malloc, so
 * that it may be loaded inside a signal handler and under any allocator. errno is clobbered.
 */
#ifndef CROW_ATTACH_H
#define CROW_ATTACH_H

#include <sys/stat.h>

#include "resolver/image.h"

struct crow_copy {
	void *memory;
	size_t capacity;
	struct stat identity; /* of the file it came from; st_ino 0 = none */
	struct crow_image image;
};

enum crow_attach {
	CROW_ATTACH_OK,
	CROW_ATTACH_ABSENT,    /* no such file */
	CROW_ATTACH_UNTRUSTED, /* not a regular file, another owner, or writable by others */
	CROW_ATTACH_INVALID,   /* crow_image_init() refused it; copy->image is empty */
	CROW_ATTACH_SYSTEM,    /* no descriptor or memory, or a read failed: see errno */
};

/* All zero is an initialised copy. */
void crow_copy_fini(struct crow_copy *copy);

/* Reads <dir>/snapshot into copy, replacing what it held. Trusted are regular files that are not
 * writable by group or others, of root, of the caller, or of the owner of dir if dir is neither
 * writable by group nor others. If error is not NULL, why an image was refused goes there. */
enum crow_attach crow_copy_load(struct crow_copy *copy, const char *dir,
				enum crow_image_error *error);

/* Makes copy, which held nothing, hold the image of another one. False without memory. */
bool crow_copy_clone(struct crow_copy *copy, const struct crow_copy *other);

/* True if <dir>/snapshot is there and is not the file that identity describes. One stat(). */
bool crow_copy_is_outdated(const struct stat *identity, const char *dir);

const char *crow_attach_strerror(enum crow_attach result);

#endif
