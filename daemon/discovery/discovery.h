/*
 * Discovery: polls every service of the table at its source's rhythm and hands what comes to
 * crow_table_take() or crow_table_fail(). One slow service never delays another: each has a timer
 * and a transfer of its own. Main thread.
 *
 * Files: poll.* when and which path (pure), round.* one service asked once, fetch.* by HTTP (the one
 * door to libcurl) or file.* from a file, demand.* names asked on demand, discovery.c the services of
 * the table; what an answer means is daemon/list.h.
 */
#ifndef CROW_DISCOVERY_H
#define CROW_DISCOVERY_H

#include "daemon/loop.h"
#include "daemon/table.h"
#include "daemon/upstream/hosts.h"

struct crow_discovery;

/* Begins to poll. loop, hosts and table are borrowed. on_poll (may be NULL) is called after each poll, whatever its outcome. NULL: see
 * the log. */
struct crow_discovery *crow_discovery_new(struct crow_loop *loop, struct crow_hosts *hosts,
					  struct crow_table *table, void (*on_poll)(void *context),
					  void *context);
void crow_discovery_free(struct crow_discovery *discovery);

/* After crow_table_configure(): forgets what left, starts what is new. Call
 * crow_discovery_pause() before it, so that no transfer holds a service that is dropped. Every
 * service is polled anew. */
void crow_discovery_pause(struct crow_discovery *discovery);
void crow_discovery_resume(struct crow_discovery *discovery);

/* A reader wants this name, which no image has. If an on-demand zone covers it, its service is
 * asked for once (the name as it is, then with `-` as `_`); the result is a new service in the
 * table or a denial, and so in the next image. Asking again meanwhile does nothing. */
void crow_discovery_demand(struct crow_discovery *discovery, const char *name);

#endif
