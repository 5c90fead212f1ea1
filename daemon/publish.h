/*
 * Building an image (snapshot.h): the only code that writes the format.
 */
#ifndef CROW_PUBLISH_H
#define CROW_PUBLISH_H

#include "daemon/given.h"
#include "daemon/table.h"
#include "resolver/image.h"

struct crow_published {
	struct crow_image image;
	struct crow_published *older;  /* the publisher's: images that wait for their last reader */
	struct crow_given_mark *given; /* behind the bytes: one for each instance of the image */
	_Alignas(8) uint8_t bytes[];
};

/* Builds the image of a table: the same table, times and generation give the same bytes in one
 * process. NULL: no memory, or larger than CROW_SNAP_MAX_SIZE. Freed with free(). */
struct crow_published *crow_publish_build(const struct crow_table *table, uint64_t generation,
					  int64_t now_ns, int64_t wall_s);

#endif
