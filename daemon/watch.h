/*
 * Notices that files change (inotify). What is watched is the directory of each file, so that a
 * rename over the file and the swap of a symbolic link in it (a ConfigMap of Kubernetes: the file
 * leads through `..data`) are seen. It is an addition to polling, never in its place: what it
 * misses, and all it cannot see (network file systems, no inotify left), the next poll finds.
 */
#ifndef CROW_WATCH_H
#define CROW_WATCH_H

#include "daemon/loop.h"

struct crow_watcher;
struct crow_file_watch;

/* NULL: no inotify instance, which the log has said. */
struct crow_watcher *crow_watcher_new(struct crow_loop *loop);
void crow_watcher_free(struct crow_watcher *watcher); /* after all its watches */

/* on_change is called from the loop, at least once after each change. NULL: no memory. */
struct crow_file_watch *crow_file_watch_new(struct crow_watcher *watcher, const char *path,
					    void (*on_change)(void *context), void *context);
void crow_file_watch_free(struct crow_file_watch *watch);

/* Once per poll: watches the directory that is at this path now, should it have come into being or
 * been replaced. */
void crow_file_watch_renew(struct crow_file_watch *watch);

#endif
