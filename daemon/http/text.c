#include "daemon/http/text.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "resolver/utf8.h"

#define FIRST_CAPACITY ((size_t)4096)
#define REPLACEMENT    "\xef\xbf\xbd" /* U+FFFD */

void crow_text_fini(struct crow_text *text)
{
	free(text->bytes);
	memset(text, 0, sizeof(*text));
}

static bool reserve(struct crow_text *text, size_t more)
{
	size_t capacity = text->capacity ? text->capacity : FIRST_CAPACITY;
	char *bytes;

	if (text->failed)
		return false;
	while (capacity - text->size < more)
		capacity *= 2;
	if (capacity == text->capacity)
		return true;
	bytes = realloc(text->bytes, capacity);
	if (!bytes) {
		text->failed = true;
		return false;
	}
	text->bytes = bytes;
	text->capacity = capacity;
	return true;
}

void crow_text_put_bytes(struct crow_text *text, const char *bytes, size_t size)
{
	if (!reserve(text, size + 1))
		return;
	memcpy(text->bytes + text->size, bytes, size);
	text->size += size;
}

void crow_text_put(struct crow_text *text, const char *raw)
{
	crow_text_put_bytes(text, raw, strlen(raw));
}

/* ---- escaping ---- */

/* Puts the character at value, unless `special` has other words for it, and returns its length. */
static size_t put_character(struct crow_text *text, const char *value,
			    const char *(*special)(unsigned char c))
{
	size_t length = crow_utf8_length(value);
	const char *instead = length == 1 ? special((unsigned char)*value) : NULL;

	if (length == 0 || instead)
		crow_text_put(text, instead ? instead : REPLACEMENT);
	else
		crow_text_put_bytes(text, value, length);
	return length ? length : 1;
}

static const char *html_special(unsigned char c)
{
	switch (c) {
	case '&':
		return "&amp;";
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	case '"':
		return "&quot;";
	case '\'':
		return "&#39;";
	default:
		return c < ' ' || c == 0x7f ? REPLACEMENT : NULL;
	}
}

static void put_html(struct crow_text *text, const char *value)
{
	while (*value)
		value += put_character(text, value, html_special);
}

static const char *label_special(unsigned char c)
{
	switch (c) {
	case '\\':
		return "\\\\";
	case '"':
		return "\\\"";
	case '\n':
		return "\\n";
	default:
		return NULL;
	}
}

void crow_text_label(struct crow_text *text, const char *value)
{
	while (*value)
		value += put_character(text, value, label_special);
}

void crow_text_url(struct crow_text *text, const char *value)
{
	static const char hex[] = "0123456789ABCDEF";

	for (; *value; value++) {
		unsigned char c = (unsigned char)*value;
		const char escape[] = {'%', hex[c >> 4], hex[c & 15]};

		if (isalnum(c) || strchr("-._~", c))
			crow_text_put_bytes(text, value, 1);
		else
			crow_text_put_bytes(text, escape, sizeof(escape));
	}
}

/* ---- formats ---- */

/* What stands at spec, behind the %; returns what follows it. */
static const char *put_conversion(struct crow_text *text, const char *spec, va_list *args)
{
	size_t length = strspn(spec, ".0123456789lz");
	bool is_long = memchr(spec, 'l', length) || memchr(spec, 'z', length);
	char number[64] = "%";
	int precision = *spec == '.' ? atoi(spec + 1) : 6;

	switch (spec[length]) {
	case 's':
		put_html(text, va_arg(*args, const char *));
		return spec + length + 1;
	case 'u':
		snprintf(number, sizeof(number), "%lu",
			 is_long ? va_arg(*args, unsigned long) : va_arg(*args, unsigned));
		break;
	case 'd':
		snprintf(number, sizeof(number), "%ld",
			 is_long ? va_arg(*args, long) : va_arg(*args, int));
		break;
	case 'f':
		snprintf(number, sizeof(number), "%.*f", precision, va_arg(*args, double));
		break;
	default: /* %% */
		break;
	}
	crow_text_put(text, number);
	return spec + length + 1;
}

void crow_text_html(struct crow_text *text, const char *format, ...)
{
	const char *percent;
	va_list args;

	va_start(args, format);
	while ((percent = strchr(format, '%'))) {
		crow_text_put_bytes(text, format, (size_t)(percent - format));
		format = put_conversion(text, percent + 1, &args);
	}
	va_end(args);
	crow_text_put(text, format);
}

struct crow_body *crow_text_finish(struct crow_text *text)
{
	struct crow_body *body = NULL;

	if (reserve(text, 1)) {
		text->bytes[text->size] = '\0';
		body = crow_body_new(text->bytes, text->size);
		if (body)
			memset(text, 0, sizeof(*text));
	}
	crow_text_fini(text);
	return body;
}
