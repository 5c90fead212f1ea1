/*
 * Sockets that a service manager opened for us and hands over, as sd_listen_fds(3) has it: they are
 * descriptors 3 and up, as many as $LISTEN_FDS says, if $LISTEN_PID is ours. Main thread, at start.
 */
#ifndef CROW_INHERIT_H
#define CROW_INHERIT_H

#include "daemon/config.h"

struct crow_inherited; /* NULL: none were handed over */

/* Takes the descriptors over, non-blocking and close-on-exec, and removes the variables from the
 * environment, which our children would misread. Before anything else opens a descriptor. */
struct crow_inherited *crow_inherited_take(void);
/* A duplicate, the caller's to close, of the socket of that type (SOCK_STREAM: listening) that is
 * bound to exactly that address and port; -1: there is none. Several workers each get one. */
int crow_inherited_dup(struct crow_inherited *inherited, const struct crow_listen *at, int type);
/* Closes them, and warns of each that nobody asked for: who opened it expects an answer there. */
void crow_inherited_close(struct crow_inherited *inherited);

#endif
