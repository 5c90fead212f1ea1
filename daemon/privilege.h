/*
 * Root binds ports and makes directories; then the daemon lives as its own user.
 */
#ifndef CROW_PRIVILEGE_H
#define CROW_PRIVILEGE_H

#include <stdbool.h>
#include <stddef.h>

/* If this process is root and user is not "root": gives the two directories (as they are, not what
 * lies in them) and the open lock file to that user and becomes it, for good. A state directory
 * that cannot be given (read-only; or NULL: there is none) is no reason to end: the log says it. If
 * not root: nothing to do. False with a sentence: the user does not exist, or the kernel refuses.
 * Single-threaded callers only. */
bool crow_privilege_drop(const char *user, const char *runtime_dir, int lock, const char *state_dir,
			 char *complaint, size_t complaint_size);

#endif
