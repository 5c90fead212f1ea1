/*
 * crowfly watch: `crowfly status` again and again, in place on a terminal.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/status.h"
#include "cli/view.h"

/* Sequences of ECMA-48: to the first line, the rest of the line empty, the rest of the screen. */
#define HOME        "\033[H"
#define CLEAR_LINE  "\033[K"
#define CLEAR_BELOW "\033[J"
/* Private modes of the VT100 (DECAWM), which all terminals have that know HOME: a line that is too
 * long is cut, and does not push the first ones off the screen. */
#define CUT_LINES  "\033[?7l"
#define WRAP_LINES "\033[?7h"

static int main_watch(int argc, char **argv);

const struct crow_command crow_command_watch = {
	.name = "watch",
	.synopsis = "[--interval S] [--count N] [--runtime-dir DIR] [SERVICE]...",
	.summary = "status, refreshed until interrupted",
	.details = "  --interval S           seconds between two looks, 1 to 3600; default 2\n"
		   "  --count N              end after N looks\n"
		   "  --runtime-dir DIR      of crowflyd; default $CROWFLY_RUNTIME_DIR, then "
		   "/run/crowfly\n"
		   "\n"
		   "On a terminal each look takes the place of the one before, cut to its size;\n"
		   "elsewhere they follow each other, with an empty line in between.\n",
	.main = main_watch,
};

struct watch_options {
	struct crow_status status;
	unsigned interval_s;
	unsigned count; /* 0: no end */
};

static bool read_number(const char *name, const char *text, unsigned most, unsigned *out)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (text[0] < '0' || text[0] > '9' || *end || value < 1 || value > most) {
		crow_complain_usage(&crow_command_watch, "%s \"%s\" is not a number from 1 to %u",
				    name, text, most);
		return false;
	}
	*out = (unsigned)value;
	return true;
}

static bool read_options(struct watch_options *options, int argc, char **argv)
{
	enum { INTERVAL = 256, COUNT, RUNTIME_DIR };
	static const struct option longs[] = {
		{"interval", required_argument, NULL, INTERVAL},
		{"count", required_argument, NULL, COUNT},
		{"runtime-dir", required_argument, NULL, RUNTIME_DIR},
		{0},
	};
	const char *dir = NULL;
	int option;

	while ((option = crow_command_option(&crow_command_watch, argc, argv, ":", longs)) != -1) {
		if (option == RUNTIME_DIR)
			dir = optarg;
		else if (option == INTERVAL &&
			 read_number("--interval", optarg, 3600, &options->interval_s))
			continue;
		else if (option != COUNT ||
			 !read_number("--count", optarg, 1000000, &options->count))
			return false;
	}
	options->status.dir = crow_view_dir(dir);
	options->status.wanted = argv + optind;
	return true;
}

/* Lines of a terminal; it may have been resized since the last look. */
static unsigned rows(void)
{
	struct winsize size;

	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 1 ? size.ws_row : 24;
}

/* In the place of what stands there: cleared line by line, so that nothing flickers. */
static void show_in_place(const char *text)
{
	unsigned left = rows() - 1;
	const char *end;

	fputs(HOME CUT_LINES, stdout);
	for (; (end = strchr(text, '\n')) && left > 0; text = end + 1, left--)
		printf("%.*s" CLEAR_LINE "\n", (int)(end - text), text);
	fputs(end ? "more below; name the services to watch" CLEAR_LINE : CLEAR_LINE, stdout);
	fputs(CLEAR_BELOW WRAP_LINES, stdout);
}

/* One look. A snapshot that is missing for a moment is no reason to end. */
static bool look(const struct watch_options *options, const struct crow_term *on)
{
	struct crow_term term = *on;
	char *text = NULL;
	size_t size = 0;
	bool shown;

	term.out = open_memstream(&text, &size);
	if (!term.out)
		return false;
	shown = crow_status_print(&options->status, &term);
	if (fclose(term.out) != 0)
		shown = false;
	if (shown && on->columns)
		show_in_place(text);
	else if (shown)
		fputs(text, stdout);
	free(text);
	return shown;
}

static int main_watch(int argc, char **argv)
{
	static char screen[65536]; /* some 100 lines of 200 columns, with their colours */
	struct watch_options options = {.status.trouble_first = true, .interval_s = 2};
	struct crow_term term;
	bool shown = false;

	if (!read_options(&options, argc, argv))
		return CROW_EXIT_USAGE;
	/* A look goes out in one piece, so that an interrupt does not leave lines cut for the shell. */
	setvbuf(stdout, screen, _IOFBF, sizeof(screen));
	for (unsigned i = 0; options.count == 0 || i < options.count; i++) {
		struct timespec pause = {.tv_sec = i ? options.interval_s : 0};

		while (nanosleep(&pause, &pause) < 0 && errno == EINTR)
			;
		crow_term_init(&term, stdout);
		if (i > 0 && !term.columns)
			putchar('\n');
		shown = look(&options, &term);
		if (fflush(stdout) != 0) /* the reader of a pipe has gone */
			break;
	}
	return shown ? CROW_EXIT_OK : CROW_EXIT_FAILED;
}
