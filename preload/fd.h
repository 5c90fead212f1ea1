/*
 * What the kernel says of a socket, and what a reset takes from it. Each call is a system call of
 * 0.3 us: they are made on connects to our addresses alone, and no more of them than needed.
 */
#ifndef CROW_FD_H
#define CROW_FD_H

#include "preload/decide.h"

/* False if it is no socket, or of another protocol. */
bool crow_fd_ask(int fd, struct crow_socket *out);

/* SO_SNDTIMEO, which bounds connect() on a blocking socket; 0 = none. */
int64_t crow_fd_send_timeout_ns(int fd);
bool crow_fd_set_send_timeout_ns(int fd, int64_t timeout_ns);

/* Options that a reset sets back, as they are before the first attempt. It must be before: when a
 * blocking connect() fails, the kernel resets the socket itself. */
#define CROW_OPTIONS 5
struct crow_options {
	bool known[CROW_OPTIONS];
	int values[CROW_OPTIONS];
};
void crow_fd_save_options(int fd, struct crow_options *out);

/* Takes the socket back to unconnected, on the same descriptor, with those options. False if that
 * was refused. */
bool crow_fd_reset(int fd, const struct crow_options *options);

/* True if no signal that may interrupt this thread has a handler without SA_RESTART. */
bool crow_fd_signals_restart(void);

#endif
