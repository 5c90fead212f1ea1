#include "cli/term.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "resolver/utf8.h"

static bool wants_colour(void)
{
	const char *no_color = getenv("NO_COLOR");
	const char *terminal = getenv("TERM");

	return !(no_color && *no_color) && terminal && strcmp(terminal, "dumb") != 0;
}

void crow_term_init(struct crow_term *term, FILE *out)
{
	struct winsize size;

	*term = (struct crow_term){.out = out};
	if (!isatty(fileno(out)))
		return;
	term->colour = wants_colour();
	term->columns =
		ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
}

/* C0, DEL, and C1 (U+0080 to U+009F), which some terminals obey as they do ESC sequences. */
static bool is_control(const char *text, size_t length)
{
	unsigned char first = (unsigned char)text[0], second = (unsigned char)text[1];

	return first < 0x20 || first == 0x7f || (length == 2 && first == 0xc2 && second < 0xa0);
}

/* Each character counts as one column: names are ASCII in all but odd cases. */
static unsigned put_cleaned(FILE *out, const char *text, unsigned most)
{
	unsigned columns = 0;

	while (*text && columns < most) {
		size_t length = crow_utf8_length(text);

		if (length == 0 || is_control(text, length))
			fputc('?', out);
		else
			fwrite(text, 1, length, out);
		text += length ? length : 1;
		columns++;
	}
	return columns;
}

/* What text takes, up to its `bytes`-th byte. */
static unsigned columns_of(const char *text, size_t bytes)
{
	const char *end = text + bytes;
	unsigned columns = 0;

	for (; text < end; columns++) {
		size_t length = crow_utf8_length(text);

		text += length ? length : 1;
	}
	return columns;
}

/* SGR of ECMA-48: the three colours are readable on dark and light. */
static const char *const codes[] = {"", "\033[1m", "\033[32m", "\033[33m", "\033[31m"};

static unsigned put_tinted(const struct crow_term *term, enum crow_tint tint, const char *text,
			   unsigned most)
{
	bool tinted = term->colour && tint != CROW_PLAIN && *text;
	unsigned columns;

	if (tinted)
		fputs(codes[tint], term->out);
	columns = put_cleaned(term->out, text, most);
	if (tinted)
		fputs("\033[0m", term->out);
	return columns;
}

unsigned crow_term_put(const struct crow_term *term, enum crow_tint tint, unsigned width,
		       const char *text)
{
	unsigned columns = put_tinted(term, tint, text, UINT_MAX);

	for (; columns < width; columns++)
		fputc(' ', term->out);
	return columns;
}

void crow_term_put_last(const struct crow_term *term, enum crow_tint tint, unsigned at,
			const char *text)
{
	unsigned most = UINT_MAX;

	if (term->columns)
		most = at < term->columns ? term->columns - at : 0;
	put_tinted(term, tint, text, most);
}

unsigned crow_term_wrap(const struct crow_term *term, enum crow_tint tint, unsigned at,
			unsigned indent, const char *text)
{
	while (*text) {
		unsigned blanks = (unsigned)strspn(text, " ");
		size_t bytes = strcspn(text + blanks, " ");
		unsigned columns = columns_of(text + blanks, bytes);

		if (term->columns && at > indent && at + blanks + columns > term->columns) {
			fprintf(term->out, "\n%*s", (int)indent, "");
			at = indent;
		} else {
			fprintf(term->out, "%*s", (int)blanks, "");
			at += blanks;
		}
		at += put_tinted(term, tint, text + blanks, columns);
		text += blanks + bytes;
	}
	return at;
}
