#include "cli/json.h"

#include "resolver/utf8.h"

static void put_character(FILE *out, const char *text, size_t length)
{
	unsigned char first = (unsigned char)text[0];

	if (length == 0)
		fputs("\\ufffd", out);
	else if (first == '"' || first == '\\')
		fprintf(out, "\\%c", first);
	else if (first < 0x20 || first == 0x7f)
		fprintf(out, "\\u%04x", first);
	else
		fwrite(text, 1, length, out);
}

void crow_json_string(FILE *out, const char *text)
{
	if (!text) {
		fputs("null", out);
		return;
	}
	fputc('"', out);
	while (*text) {
		size_t length = crow_utf8_length(text);

		put_character(out, text, length);
		text += length ? length : 1;
	}
	fputc('"', out);
}
