/*
 * The one door to inih. It splits "key=value" and takes comments away; lines and headings are
 * handled on the way in, by the reader it is given, because inih as distributions build it
 * - gives no line numbers to its handler (INI_HANDLER_LINENO is 0),
 * - cuts headings after 49 bytes in silence, and does not tell of one that no key follows,
 * - cuts lines at a limit, and
 * - takes an indented "key=value" for more of the value above it.
 */
#include <ctype.h>
#include <ini.h>
#include <string.h>

#include "daemon/config_draft.h"

/* A line of 1000 services with names of 60 bytes. It lies on inih's stack. */
#define LINE_MAX_BYTES 65536

/* Debian's inih takes its limits while it runs, and 200 bytes a line unless told otherwise. Where
 * this symbol does not exist 200 it is, and whoever writes a longer line is told. */
extern int ini_max_line __attribute__((weak));

struct input {
	struct crow_draft *draft;
	const char *rest; /* the text that inih has not seen */
	unsigned line;    /* number of the line it sees, from 1 */
};

/* The next line without indentation, line end and trailing blanks; *len of it. */
static const char *next_line(struct input *input, size_t *len)
{
	const char *line = input->rest;
	size_t all = strcspn(line, "\n");

	input->rest = line + all + (line[all] == '\n');
	input->line++;
	*len = all;
	while (*len > 0 && strchr(" \t\r", line[0])) {
		line++;
		--*len;
	}
	while (*len > 0 && strchr(" \t\r", line[*len - 1]))
		--*len;
	return line;
}

/* line begins with [. After the ] only a comment may follow. */
static bool take_heading(struct input *input, const char *line, size_t len)
{
	char heading[CROW_HEADING_MAX + 1];
	const char *end = memchr(line, ']', len);
	const char *after = end ? end + 1 : line + len;

	while (after < line + len && strchr(" \t", *after))
		after++;
	if (!end || (after < line + len && *after != ';' && *after != '#'))
		return crow_draft_complain(input->draft, input->draft->file, input->line,
					   "%.*s: expected ] at the end of the heading",
					   (int)(len < 60 ? len : 60), line);
	line++;
	while (line < end && strchr(" \t", *line))
		line++;
	while (line < end && strchr(" \t", end[-1]))
		end--;
	len = (size_t)(end - line);
	if (len > CROW_HEADING_MAX)
		return crow_draft_complain(
			input->draft, input->draft->file, input->line,
			"[%.60s...]: a heading of %zu bytes; at most %d are read", line, len,
			CROW_HEADING_MAX);
	memcpy(heading, line, len);
	heading[len] = '\0';
	return crow_draft_open_section(input->draft, heading, input->line);
}

/* fgets() as inih calls it: a line into a buffer of that size, NULL at the end, which a complaint
 * is too. A heading is dealt with here, and inih gets an empty line in its place. */
static char *read_line(char *buffer, int size, void *context)
{
	struct input *input = context;
	size_t len;

	if (*input->rest == '\0' || input->draft->failed)
		return NULL;
	const char *line = next_line(input, &len);
	if (len > 0 && line[0] == '[') {
		if (!take_heading(input, line, len))
			return NULL;
		len = 0;
	}
	if (len > 0 && strchr(";#", line[0]))
		len = 0;
	if (len + 2 > (size_t)size) {
		crow_draft_complain(input->draft, input->draft->file, input->line,
				    "%.30s...: a line of %zu bytes, at most %d are read; a list "
				    "may go on in a second line with the same key",
				    line, len, size - 2);
		return NULL;
	}
	memcpy(buffer, line, len);
	buffer[len] = '\n';
	buffer[len + 1] = '\0';
	return buffer;
}

static int on_key(void *context, const char *section, const char *key, const char *value)
{
	struct input *input = context;

	(void)section; /* take_heading() has opened it */
	return crow_draft_set(input->draft, key, value, input->line);
}

/* Complaints quote what was read, and go to terminals and logs. */
static bool check_characters(struct input *input, const char *text)
{
	unsigned line = 1;

	for (const char *c = text; *c; c++) {
		if (*c == '\n')
			line++;
		else if (iscntrl((unsigned char)*c) && *c != '\t' &&
			 !(c[0] == '\r' && c[1] == '\n'))
			return crow_draft_complain(input->draft, input->draft->file, line,
						   "a control character (0x%02x); expected text",
						   (unsigned char)*c);
	}
	return true;
}

/* Line number n of the text, for a complaint. */
static const char *find_line(const char *text, unsigned n, size_t *len)
{
	struct input input = {.rest = text};
	const char *line = text;

	while (input.line < n)
		line = next_line(&input, len);
	return line;
}

bool crow_config_read_ini(struct crow_draft *draft, const char *text)
{
	struct input input = {.draft = draft};

	if (strncmp(text, "\xef\xbb\xbf", 3) == 0) /* a byte order mark, as Windows editors leave */
		text += 3;
	input.rest = text;
	if (!check_characters(&input, text))
		return false;
	if (&ini_max_line)
		ini_max_line = LINE_MAX_BYTES;
	int bad_line = ini_parse_stream(read_line, &input, on_key, &input);
	if (bad_line < 0)
		return crow_draft_complain(draft, draft->file, 0, "there is no memory left");
	/* inih goes on after a line that it cannot split, and returns the number of the first. */
	if (bad_line > 0 && (!draft->failed || (unsigned)bad_line < draft->failed_line)) {
		size_t len = 0;
		const char *line = find_line(text, (unsigned)bad_line, &len);

		draft->failed = false;
		return crow_draft_complain(draft, draft->file, (unsigned)bad_line,
					   "%.*s: expected key=value", (int)(len < 60 ? len : 60),
					   line);
	}
	return !draft->failed;
}
