/*
 * The saver: brings lists that changed to the state directory. Saving one waits for the disk twice,
 * and a thousand services may get their first list within a second: so it is done one list a turn
 * of the loop, with pauses, and what failed is tried again. Main thread.
 */
#ifndef CROW_SAVER_H
#define CROW_SAVER_H

#include "daemon/loop.h"
#include "daemon/table.h"

struct crow_saver {
	struct crow_loop *loop;
	struct crow_table *table;
	const char *dir;
	struct crow_timer timer;
	size_t next; /* of the table's services, the one to look at next; 0: a round begins */
	bool again;  /* something changed during the round under way */
	bool failing;
	int64_t warned_ns;
};

/* dir is borrowed. */
void crow_saver_init(struct crow_saver *saver, struct crow_loop *loop, struct crow_table *table,
		     const char *dir);

/* A service of the table is marked `unsaved`: begins soon. */
void crow_saver_schedule(struct crow_saver *saver);

/* Saves at once all that is unsaved: before the end. Also stops the timer. */
void crow_saver_flush(struct crow_saver *saver);

#endif
