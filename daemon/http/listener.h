/*
 * A listening TCP socket in the loop. When descriptors run out it rests for a second instead of
 * being ready without end; when its owner has no room it is quiet, and clients wait in its backlog.
 */
#ifndef CROW_HTTP_LISTENER_H
#define CROW_HTTP_LISTENER_H

#include "daemon/inherit.h"
#include "daemon/loop.h"

struct crow_listener {
	struct crow_watch watch; /* fd -1: closed */
	struct crow_timer rest;
	struct crow_loop *loop; /* NULL: not started */
	bool quiet;
	/* Takes the connection over (non-blocking, close-on-exec). Returns whether there is room for
	 * one more; after false, crow_listener_wake() is awaited. */
	bool (*on_accept)(struct crow_listener *listener, int fd);
};

/* Binds and listens, or takes the inherited socket: clients that come before the start wait in the backlog. False: *complaint
 * names the address and the remedy. */
bool crow_listener_open(struct crow_listener *listener, const struct crow_listen *listen_on,
			struct crow_inherited *inherited, char *complaint, size_t complaint_size);
/* 0, or -1 with errno. */
int crow_listener_start(struct crow_listener *listener, struct crow_loop *loop,
			bool (*on_accept)(struct crow_listener *listener, int fd));
void crow_listener_wake(struct crow_listener *listener);
void crow_listener_close(struct crow_listener *listener);

#endif
