/*
 * The daemon: its stations made and wired together in the order of the data flow, and taken apart
 * in the reverse order.
 */
#ifndef CROW_DAEMON_H
#define CROW_DAEMON_H

#include "daemon/config.h"

/* Runs until SIGTERM or SIGINT; the configuration (taken over) is read again from args at SIGHUP.
 * Returns the exit code: 0, or 1 after a sentence in the log. */
int crow_daemon_run(struct crow_config *config, const struct crow_config_args *args);

#endif
