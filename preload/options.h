/*
 * Socket options that a connect() has to know of: those that a reset takes from the socket, the
 * application's own time-out, and fast open. To ask a socket is a system call for each; but all
 * setsockopt() calls of the process pass by here, so that an option which nobody has set is known
 * to be the kernel's own, and is not asked for.
 *
 * In doubt all of them are asked for: until the constructor has run, and where the process was
 * started with a TCP socket that may be connected yet. What comes over SCM_RIGHTS, or is set by a
 * raw system call, is not known of.
 */
#ifndef CROW_OPTIONS_H
#define CROW_OPTIONS_H

#include <stdbool.h>

enum crow_option {
	CROW_OPTION_MAXSEG, /* from here on: lost by a reset */
	CROW_OPTION_WINDOW_CLAMP,
	CROW_OPTION_PEEK_OFF,
	CROW_OPTION_RTO_MIN,
	CROW_OPTION_DELACK_MAX,
	CROW_OPTION_SEND_TIMEOUT, /* from here on: kept */
	CROW_OPTION_FAST_OPEN,
	CROW_OPTION_COUNT,
};
#define CROW_OPTIONS_LOST CROW_OPTION_SEND_TIMEOUT

/* By the constructor: looks at the sockets that the process has already. */
void crow_options_open(void);

/* A setsockopt() is about to be made. Safe in signal handlers. */
void crow_options_note(int level, int name);

/* False: no socket has it set; or any of them. */
bool crow_options_may_be_set(enum crow_option option);
bool crow_options_any_may_be_set(void);

/* Those that a reset sets back, as they are before the first attempt. It must be before: when a
 * blocking connect() fails, the kernel resets the socket itself, and of one that connects it tells
 * TCP_MAXSEG less by the 12 bytes of timestamps. */
struct crow_options {
	bool known[CROW_OPTIONS_LOST];
	int values[CROW_OPTIONS_LOST];
};
void crow_options_save(int fd, struct crow_options *out);
void crow_options_restore(int fd, const struct crow_options *options);

#endif
