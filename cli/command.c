#include "cli/command.h"

#include <stdarg.h>
#include <stdio.h>

static void complain(const char *format, va_list args)
{
	fflush(stdout);
	fputs("crowfly: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
}

void crow_complain(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	complain(format, args);
	va_end(args);
}

int crow_complain_usage(const struct crow_command *command, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	complain(format, args);
	va_end(args);
	fprintf(stderr, "usage: crowfly %s %s\n", command->name, command->synopsis);
	return CROW_EXIT_USAGE;
}

int crow_command_option(const struct crow_command *command, int argc, char **argv,
			const char *shorts, const struct option *longs)
{
	int option;

	opterr = 0;
	option = getopt_long(argc, argv, shorts, longs, NULL);
	if (option != '?' && option != ':')
		return option;
	/* getopt_long(3): optopt is 0 after an unknown or ambiguous long option; optind has passed
	 * the word of a long one, but not yet that of a short one with more letters to come. */
	if (option == ':')
		crow_complain_usage(command, "option %s needs a value", argv[optind - 1]);
	else if (optopt == 0)
		crow_complain_usage(command, "unknown option %s", argv[optind - 1]);
	else if (optopt < 256)
		crow_complain_usage(command, "unknown option -%c", optopt);
	else
		crow_complain_usage(command, "option %s takes no value", argv[optind - 1]);
	return '?';
}
