/*
 * Which upstreams there are: those of the configuration, or those of a file that is followed. Main
 * thread alone; each change is told as a list that never changes.
 *
 * systemd-resolved, NetworkManager and dhclient replace such files, and a network that comes up late
 * has none for a while: a file that is missing, or names nobody, changes nothing.
 */
#ifndef CROW_FOLLOW_H
#define CROW_FOLLOW_H

#include "daemon/loop.h"
#include "daemon/upstream/upstreams.h"

struct crow_follow;

/* own (borrowed): where we listen; workers: how many ask. on_change gets the list from now on,
 * borrowed for the call, or NULL where no upstream is configured. NULL: no memory. */
struct crow_follow *
crow_follow_new(struct crow_loop *loop, const struct crow_listens *own, size_t workers,
		void (*on_change)(void *context, struct crow_upstreams *upstreams), void *context);
void crow_follow_free(struct crow_follow *follow);

/* Takes what the configuration says, which outlives it or the next call, and tells it. False: no
 * memory, and all is as before. */
bool crow_follow_configure(struct crow_follow *follow, const struct crow_config *config);

/* The list told last; NULL where none is configured. Borrowed. */
struct crow_upstreams *crow_follow_get(const struct crow_follow *follow);

#endif
