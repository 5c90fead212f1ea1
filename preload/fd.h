/*
 * What the kernel says of a socket, and what a reset takes from it. Each call is a system call of
 * 0.3 us: they are made on connects to our addresses alone, and no more of them than needed.
 */
#ifndef CROW_FD_H
#define CROW_FD_H

#include <sys/time.h>

#include "preload/decide.h"

/* False if it is no socket, or of another protocol. */
bool crow_fd_ask(int fd, struct crow_socket *out);

/* SO_SNDTIMEO, which bounds connect() on a blocking socket; zero = none. */
struct timeval crow_fd_send_timeout(int fd);
bool crow_fd_set_send_timeout(int fd, struct timeval timeout);

/* Options that a reset sets back, as they are before the first attempt; those that are known already
 * are not asked for. It must be before: when a blocking connect() fails, the kernel resets the
 * socket itself. One that does not block has them until we reset it; but TCP_MAXSEG, once the
 * connection has begun, is told less by the 12 bytes of timestamps, and set so. */
#define CROW_OPTIONS 5
struct crow_options {
	bool known[CROW_OPTIONS];
	int values[CROW_OPTIONS];
};
void crow_fd_save_options(int fd, struct crow_options *out);

/* Takes the socket back to unconnected, on the same descriptor, with those options. False if that
 * was refused. */
bool crow_fd_reset(int fd, const struct crow_options *options);

/* What poll() says at once of a socket that connects; 0 = it still does. */
short crow_fd_look(int fd);

/* SO_ERROR, which is 0 afterwards. */
int crow_fd_take_error(int fd);

bool crow_fd_is_nonblocking(int fd);

/* A number that no other socket of this machine has had since it started. */
bool crow_fd_cookie(int fd, uint64_t *cookie);

/* TCP_USER_TIMEOUT; 0 = none, negative = not known here. */
int crow_fd_user_timeout_ms(int fd);
bool crow_fd_set_user_timeout_ms(int fd, int ms);

/* True if no signal that may interrupt this thread has a handler without SA_RESTART. */
bool crow_fd_signals_restart(void);

#endif
