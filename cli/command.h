/*
 * A subcommand of crowfly, and what all of them share: complaints and options. main.c holds the
 * table of them, which also prints the help.
 */
#ifndef CROW_COMMAND_H
#define CROW_COMMAND_H

#include <getopt.h>

enum crow_exit {
	CROW_EXIT_OK = 0,
	CROW_EXIT_FAILED = 1, /* nothing to show: no snapshot, no such name */
	CROW_EXIT_USAGE = 2,
};

struct crow_command {
	const char *name;
	const char *synopsis; /* what may follow the name */
	const char *summary;  /* one line, without a full stop */
	const char *details;  /* for `crowfly help NAME`; lines end in a newline */
	/* argv[0] is the name. Returns the exit status. */
	int (*main)(int argc, char **argv);
};

extern const struct crow_command crow_command_run;
extern const struct crow_command crow_command_status;
extern const struct crow_command crow_command_watch;
extern const struct crow_command crow_command_lookup;
extern const struct crow_command crow_command_doctor;

/* "crowfly: <sentence>" on stderr. */
void crow_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same, then what the command allows. Returns CROW_EXIT_USAGE. */
int crow_complain_usage(const struct crow_command *command, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* getopt_long(3) with complaints of our own: -1 at the end, '?' after a complaint. `shorts` starts
 * with ":", or with "+:" if options end at the first operand. */
int crow_command_option(const struct crow_command *command, int argc, char **argv,
			const char *shorts, const struct option *longs);

#endif
