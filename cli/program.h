/*
 * What `crowfly run` is about to run: the file behind a command, and whether the preload library
 * can act in it. For a script it is the interpreter that counts.
 */
#ifndef CROW_PROGRAM_H
#define CROW_PROGRAM_H

#include <limits.h>
#include <stdbool.h>

enum crow_reach {
	CROW_REACH_PRELOAD, /* also when nobody can tell: an unreadable file */
	CROW_REACH_STATIC,
	CROW_REACH_GO,
	CROW_REACH_MUSL,
	CROW_REACH_FOREIGN,
	CROW_REACH_SECURE, /* setuid, setgid or file capabilities: LD_PRELOAD is ignored */
};

struct crow_program {
	enum crow_reach reach;
	char path[PATH_MAX]; /* the file that reach speaks of */
};

/* The file that execvp(3) would run for a command. False if there is none. */
bool crow_program_find(const char *command, char path[PATH_MAX]);

/* False if there is no such program. */
bool crow_program_examine(const char *command, struct crow_program *out);

/* Why the preload library cannot act in such a program; NULL where it can. */
const char *crow_reach_strreason(enum crow_reach reach);

#endif
