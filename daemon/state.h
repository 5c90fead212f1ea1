/*
 * The state directory: the last good list of every service, one file each, so that a start without
 * discovery serves at once. Text that a person can read and a shell can cut:
 *
 *     crowfly-list 1
 *     service <name>
 *     source <the [source NAME] it came from>
 *     taken <seconds since the epoch>
 *     <ip> <port> <weight> <app>        (one line an instance)
 *     end <instances> <checksum of all before this line, 16 hex digits>
 *
 * A file is <service, bytes outside [A-Za-z0-9._-] and a leading dot as %XX>.list, written to a
 * temporary name, fsynced, renamed, and its directory fsynced. The checksum is 64-bit FNV-1a.
 */
#ifndef CROW_STATE_H
#define CROW_STATE_H

#include "daemon/table.h"

/* Creates the directory (0755) if it is missing. False with errno. */
bool crow_state_open(const char *dir);

/* False with errno; the old file is whole then. Blocks for two fsyncs; allocates nothing. The caller
 * counts states_saved and states_unsaved. */
bool crow_state_save(const char *dir, const struct crow_service *service);

/* What a file says. */
struct crow_state {
	char service[CROW_NAME_MAX + 1];
	char source[CROW_NAME_MAX + 1];
	int64_t taken_wall_s;
	struct crow_list list;
};

/* Reads every *.list of the directory. For each whole one `take` is called (it may move the list);
 * damaged ones, and those of a newer version, are renamed to <file>.bad, counted and named in
 * the log.
 * What `accept` says is not looked at here: crow_table_restore() does. */
typedef void crow_state_hook(void *context, struct crow_state *state);
void crow_state_load(const char *dir, crow_state_hook *take, void *context);

/* One file's bytes, for tests and fuzzing; the list is the caller's to release. False: it is empty,
 * and `why` says what is wrong. */
bool crow_state_parse(const char *bytes, size_t size, struct crow_state *out, const char **why);

#endif
