/*
 * Root binds ports and makes directories; then the daemon lives as its own user.
 */
#ifndef CROW_PRIVILEGE_H
#define CROW_PRIVILEGE_H

#include <stdbool.h>
#include <stddef.h>

/* If this process is root and user is not "root": gives the two directories (as they are, not what
 * lies in them) to that user and becomes it, for good. If not root: nothing to do. False with a
 * sentence: the user does not exist, or the kernel refuses. Single-threaded callers only. */
bool crow_privilege_drop(const char *user, const char *runtime_dir, const char *state_dir,
			 char *complaint, size_t complaint_size);

#endif
