/*
 * The publisher: swaps a new image in for the threads of the daemon and writes it to
 * <runtime-dir>/snapshot for all other processes.
 *
 * Threads read through a crow_reader each, a hazard pointer (Michael, IEEE TPDS 15(6), 2004): a
 * reader announces which image it uses before it uses it, and the main thread, the only writer,
 * frees an old image once nobody announces it. docs/threading.md holds the argument.
 */
#ifndef CROW_PUBLISHER_H
#define CROW_PUBLISHER_H

#include <stdatomic.h>

#include "daemon/loop.h"
#include "daemon/publish.h"

struct crow_publisher;

/* One for each reading thread, registered before that thread starts. `held` is written by that
 * thread alone and read by the main thread. */
struct crow_reader {
	struct crow_publisher *publisher;
	_Atomic(const struct crow_published *) held;
	struct crow_reader *next;
};

/* on_published (may be NULL) is called on the main thread after each swap. The runtime directory
 * (NULL: none, for tests) is borrowed. */
struct crow_publisher *crow_publisher_new(struct crow_loop *loop, const struct crow_table *table,
					  const char *runtime_dir,
					  void (*on_published)(void *context), void *context);
void crow_publisher_free(struct crow_publisher *publisher); /* after all readers are gone */

/* A new image is due: 10 ms after the last one, or 20 times what that took to build if that is
 * longer; at the next turn of the loop if that has passed. Calls until then are one image. */
void crow_publisher_schedule(struct crow_publisher *publisher);
/* At once: at start, after the state files were read. */
void crow_publisher_flush(struct crow_publisher *publisher);
/* Writes the file again if it is not the one that was written last (somebody wiped the directory).
 * Called once per poll. */
void crow_publisher_check_file(struct crow_publisher *publisher);

/* Brings what DNS gave since the last time into the ledger; and the ledger. */
void crow_publisher_sweep(struct crow_publisher *publisher, int64_t now_ns);
struct crow_given *crow_publisher_given(const struct crow_publisher *publisher);

/* The current image of the main thread: valid until the next turn of the loop. */
const struct crow_image *crow_publisher_image(const struct crow_publisher *publisher);

void crow_reader_init(struct crow_reader *reader, struct crow_publisher *publisher);
/* The current image, valid until release. Never NULL. Wait-free but for a swap in between. */
const struct crow_image *crow_reader_acquire(struct crow_reader *reader);
/* Between acquire and release: where to mark which instances of that image were given. */
struct crow_given_mark *crow_reader_given(const struct crow_reader *reader);
void crow_reader_release(struct crow_reader *reader);

#endif
