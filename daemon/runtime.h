/*
 * The runtime directory and the two files in it that belong to one daemon alone: the lock that
 * makes a second daemon leave, and the snapshot.
 */
#ifndef CROW_RUNTIME_H
#define CROW_RUNTIME_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

/* Creates the directory (0755) if it is missing and takes <dir>/lock with an open file description
 * lock, so that `crowfly status` can ask F_OFD_GETLK whether a daemon lives without disturbing it.
 * Returns the descriptor that holds it, or -1 with a sentence in complaint. */
int crow_runtime_lock(const char *dir, char *complaint, size_t complaint_size);

/* True if the lock file in dir is still the one of that descriptor. */
bool crow_runtime_is_locked(const char *dir, int fd);

/* Writes bytes to <dir>/snapshot by way of <dir>/snapshot.tmp and rename(), and makes the directory
 * if somebody removed it. Fills identity with the new file's. False with errno; no temporary file
 * stays behind, and the old snapshot is whole. */
bool crow_runtime_write_snapshot(const char *dir, const void *bytes, size_t size,
				 struct stat *identity);

/* True if <dir>/snapshot is the file of that identity, untouched. */
bool crow_runtime_is_snapshot(const char *dir, const struct stat *identity);

#endif
