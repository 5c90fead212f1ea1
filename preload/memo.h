/*
 * What was decided of addresses that were connected to before: a program goes to the same few again
 * and again, and between two images the decision is the same. A look into the image is eight places
 * of memory in a row, each told by the one before; this is one.
 *
 * 64 entries by hash, of the last address each. Any thread writes, and in a signal handler: an entry
 * that another one is writing is passed over.
 */
#ifndef CROW_MEMO_H
#define CROW_MEMO_H

#include "preload/decide.h"

/* version: of the image (crow_current_version()). False: nothing is known. */
bool crow_memo_get(uint64_t version, const struct crow_target *asked, struct crow_decision *out);

/* Keeps it if it is to be the same next time: no pick, and no other service in question. */
void crow_memo_put(uint64_t version, const struct crow_target *asked,
		   const struct crow_decision *decision);

#endif
