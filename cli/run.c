/*
 * crowfly run: sets the environment of the preload library and becomes the program.
 */
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/library.h"
#include "cli/program.h"
#include "cli/view.h"

/* As env(1) has them, so that scripts tell "not found" from "cannot be run". */
enum { EXIT_CANNOT_RUN = 126, EXIT_NOT_FOUND = 127 };

static int main_run(int argc, char **argv);

const struct crow_command crow_command_run = {
	.name = "run",
	.synopsis = "[-v] [--map HOST=SERVICE]... [--runtime-dir DIR] [--] CMD [ARG]...",
	.summary = "run a program with the preload library",
	.details = "  -v, --verbose          the preload library says on stderr what it does\n"
		   "  --map HOST=SERVICE     CMD finds SERVICE under the name HOST, too\n"
		   "  --runtime-dir DIR      of crowflyd; default $CROWFLY_RUNTIME_DIR, then "
		   "/run/crowfly\n"
		   "\n"
		   "Exits as CMD does; 127 if CMD is not found, 126 if it cannot be run.\n",
	.main = main_run,
};

struct run_options {
	bool verbose;
	const char *runtime_dir;
	char *map; /* HOST=SERVICE,... of all --map; malloc'ed; NULL: none */
};

/* Adds text to a list, in front or at the end. False without memory. */
static bool join(char **list, const char *text, char separator, bool in_front)
{
	char *joined;
	int result;

	if (!*list || !**list)
		result = asprintf(&joined, "%s", text);
	else if (in_front)
		result = asprintf(&joined, "%s%c%s", text, separator, *list);
	else
		result = asprintf(&joined, "%s%c%s", *list, separator, text);
	if (result < 0)
		return false;
	free(*list);
	*list = joined;
	return true;
}

/* A variable that is a list: what is there already is kept. */
static bool join_variable(const char *name, const char *text, char separator, bool in_front)
{
	const char *old = getenv(name);
	char *value = NULL;
	bool done = (!old || (value = strdup(old))) && join(&value, text, separator, in_front) &&
		    setenv(name, value, 1) == 0;

	free(value);
	return done;
}

static bool add_map(struct run_options *options, const char *pair)
{
	const char *equals = strchr(pair, '=');

	if (!equals || equals == pair || !equals[1] || strchr(pair, ',')) {
		crow_complain_usage(&crow_command_run,
				    "--map \"%s\" is not HOST=SERVICE, such as "
				    "--map models.example.com=mnist",
				    pair);
		return false;
	}
	if (!join(&options->map, pair, ',', false)) {
		crow_complain("no memory for --map");
		return false;
	}
	return true;
}

static bool read_options(struct run_options *options, int argc, char **argv)
{
	enum { MAP = 256, RUNTIME_DIR };
	static const struct option longs[] = {
		{"verbose", no_argument, NULL, 'v'},
		{"map", required_argument, NULL, MAP},
		{"runtime-dir", required_argument, NULL, RUNTIME_DIR},
		{0},
	};
	int option;

	while ((option = crow_command_option(&crow_command_run, argc, argv, "+:v", longs)) != -1) {
		if (option == 'v')
			options->verbose = true;
		else if (option == RUNTIME_DIR)
			options->runtime_dir = optarg;
		else if (option != MAP || !add_map(options, optarg))
			return false;
	}
	if (optind < argc)
		return true;
	crow_complain_usage(&crow_command_run, "run needs a program to run");
	return false;
}

/* Ours comes last: ASan insists on being first, and other interposers find us behind them. */
static bool set_preload(void)
{
	char library[PATH_MAX];
	const char *old = getenv("LD_PRELOAD");

	if (!crow_library_find(library))
		return false;
	if (old && strstr(old, library))
		return true; /* run below another run */
	return join_variable("LD_PRELOAD", library, ':', false);
}

/* CMD may change its directory before it looks for the snapshot. */
static bool set_runtime_dir(const char *dir)
{
	char *absolute = NULL, *here;
	bool done;

	if (dir[0] == '/')
		return setenv("CROWFLY_RUNTIME_DIR", dir, 1) == 0;
	here = getcwd(NULL, 0);
	done = here && asprintf(&absolute, "%s/%s", here, dir) >= 0 &&
	       setenv("CROWFLY_RUNTIME_DIR", absolute, 1) == 0;
	free(here);
	free(absolute);
	return done;
}

static bool set_environment(const struct run_options *options)
{
	/* The first pair of a host counts, so what stands here goes before what was there. */
	if ((options->map && !join_variable("CROWFLY_MAP", options->map, ',', true)) ||
	    (options->runtime_dir && !set_runtime_dir(options->runtime_dir)) ||
	    (options->verbose && setenv("CROWFLY_LOG", "info", 1) != 0)) {
		crow_complain("cannot set the environment: %m");
		return false;
	}
	return true;
}

/* One line of what the library cannot do for CMD; what a file does not tell, to who asked for more.
 * True if CMD may be run with the preload library: nothing but musl's linker stumbles over it. */
static bool tell_reach(const char *command, bool verbose)
{
	struct crow_program program;
	const char *reason;

	if (!crow_program_examine(command, &program))
		return true;
	reason = crow_reach_strreason(program.reach);
	if (reason)
		crow_complain(
			"%s %s: the preload library cannot act in it, so DNS serves it instead "
			"(crowfly(1), PROGRAMS OUT OF REACH)",
			program.path, reason);
	else if (verbose)
		crow_complain(
			"%s: connects by io_uring or with TCP fast open, and those in progress "
			"when they pass to another process by fork, exec or SCM_RIGHTS, are not "
			"taken elsewhere (libcrowfly(7), LIMITS)",
			program.path);
	return program.reach != CROW_REACH_MUSL;
}

/* At a terminal sits somebody who may have mistyped a directory, or has no crowflyd yet. Scripts and
 * services, which may be quicker than crowflyd at boot, run as ever. */
static void tell_absence(void)
{
	char complaint[CROW_VIEW_COMPLAINT];
	struct crow_copy copy = {0};

	if (!isatty(STDERR_FILENO) || getenv("CROWFLY_DISABLE"))
		return;
	if (!crow_view_try(&copy, crow_view_dir(NULL), complaint)) {
		crow_complain("%s", complaint);
		crow_complain("the program runs as if crowfly were not installed");
	}
	crow_copy_fini(&copy);
}

static int become(char **command)
{
	int error;

	execvp(command[0], command);
	error = errno;
	crow_complain("%s: %s", command[0], strerror(error));
	return error == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN;
}

static int main_run(int argc, char **argv)
{
	struct run_options options = {0};
	bool ready = read_options(&options, argc, argv);

	if (!ready) {
		free(options.map);
		return CROW_EXIT_USAGE;
	}
	ready = set_environment(&options);
	free(options.map);
	if (!ready || (tell_reach(argv[optind], options.verbose) && !set_preload()))
		return CROW_EXIT_FAILED;
	tell_absence();
	return become(argv + optind);
}
