/*
 * crowfly: the command line. Each subcommand is a file; this is the table of them.
 */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"

static int main_help(int argc, char **argv);
static int main_version(int argc, char **argv);

static const struct crow_command command_help = {
	.name = "help",
	.synopsis = "[COMMAND]",
	.summary = "this list, or what COMMAND does and takes",
	.details = "",
	.main = main_help,
};

static const struct crow_command command_version = {
	.name = "version",
	.synopsis = "",
	.summary = "the version",
	.details = "",
	.main = main_version,
};

static const struct crow_command *const commands[] = {
	&crow_command_run,    &crow_command_status, &crow_command_watch, &crow_command_lookup,
	&crow_command_doctor, &command_help,        &command_version,    NULL,
};

static const struct crow_command *find_command(const char *name)
{
	for (const struct crow_command *const *command = commands; *command; command++) {
		if (strcmp((*command)->name, name) == 0)
			return *command;
	}
	return NULL;
}

static void print_help(FILE *out)
{
	fputs("crowfly takes programs straight to the instances of a service.\n\n"
	      "usage: crowfly COMMAND ...\n\n",
	      out);
	for (const struct crow_command *const *command = commands; *command; command++)
		fprintf(out, "  %-9s %s\n", (*command)->name, (*command)->summary);
	fputs("\n`crowfly help COMMAND` says more; so do crowfly(1) and crowflyd(8).\n", out);
}

static int complain_command(const char *name)
{
	crow_complain("there is no command \"%s\"", name);
	fputs("commands:", stderr);
	for (const struct crow_command *const *command = commands; *command; command++)
		fprintf(stderr, " %s", (*command)->name);
	fputc('\n', stderr);
	return CROW_EXIT_USAGE;
}

static int main_help(int argc, char **argv)
{
	const struct crow_command *command;

	if (argc > 2)
		return crow_complain_usage(&command_help, "help takes one COMMAND");
	if (argc < 2) {
		print_help(stdout);
		return CROW_EXIT_OK;
	}
	command = find_command(argv[1]);
	if (!command)
		return complain_command(argv[1]);
	printf("usage: crowfly %s %s\n\n%s: %s\n", command->name, command->synopsis, command->name,
	       command->summary);
	if (*command->details)
		printf("\n%s", command->details);
	return CROW_EXIT_OK;
}

static int main_version(int argc, char **argv)
{
	if (argc > 1)
		return crow_complain_usage(&command_version,
					   "version takes no argument, not \"%s\"", argv[1]);
	puts("crowfly " CROW_VERSION);
	return CROW_EXIT_OK;
}

/* What people type before they know the commands. */
static const char *command_name(const char *word)
{
	if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
		return "help";
	if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0)
		return "version";
	return word;
}

static int run_command(int argc, char **argv)
{
	const struct crow_command *command = find_command(command_name(argv[1]));
	char *help[] = {argv[0], argv[1], NULL};

	if (!command)
		return complain_command(argv[1]);
	if (argc == 3 && strcmp(command_name(argv[2]), "help") == 0 && argv[2][0] == '-')
		return main_help(2, help);
	return command->main(argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
	int status;

	if (argc < 2) {
		print_help(stderr);
		return CROW_EXIT_USAGE;
	}
	status = run_command(argc, argv);
	/* A full disk below our output is a failure, too. */
	if (fflush(stdout) != 0 || ferror(stdout)) {
		crow_complain("cannot write the output: %m");
		return CROW_EXIT_FAILED;
	}
	return status;
}
