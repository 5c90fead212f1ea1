#include "preload/trace.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES 400

/* Written by the constructor, before there are threads. */
static enum crow_trace_level active = CROW_TRACE_OFF;

void crow_trace_open(const char *level)
{
	static const char *const names[] = {[CROW_TRACE_ERROR] = "error",
					    [CROW_TRACE_INFO] = "info",
					    [CROW_TRACE_DEBUG] = "debug"};

	if (level == NULL)
		return;
	for (int i = CROW_TRACE_ERROR; i <= CROW_TRACE_DEBUG; i++)
		if (strcmp(level, names[i]) == 0)
			active = (enum crow_trace_level)i;
}

bool crow_trace_is_on(enum crow_trace_level level)
{
	return level <= active;
}

void crow_trace(enum crow_trace_level level, ...)
{
	char line[LINE_MAX_BYTES] = "crowfly: ";
	size_t used = strlen(line);
	int saved = errno;
	const char *word;
	ssize_t written;
	va_list words;

	if (!crow_trace_is_on(level))
		return;
	va_start(words, level);
	while ((word = va_arg(words, const char *)) != NULL) {
		size_t len = strnlen(word, sizeof(line) - 1 - used);

		memcpy(line + used, word, len);
		used += len;
	}
	va_end(words);
	line[used++] = '\n';
	/* A line that nobody takes is lost: there is nobody else to tell. */
	written = write(STDERR_FILENO, line, used);
	(void)written;
	errno = saved;
}

#define DIGITS 20 /* of an int64_t, and a NUL */

/* Not negative. */
static const char *digits_of(int64_t value, char out[DIGITS])
{
	char *at = out + DIGITS - 1;

	*at = '\0';
	do {
		*--at = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0 && at > out);
	return at;
}

/* Those that move a connect on; without strerror(), which is not for signal handlers. NULL: some other
 * one that came by packet. */
static const char *reason_of(int error)
{
	switch (error) {
	case ECONNREFUSED:
		return "refused";
	case ECONNRESET:
		return "reset";
	case ETIMEDOUT:
		return "no answer";
	case EHOSTUNREACH:
		return "host unreachable";
	case EHOSTDOWN:
		return "host down";
	case ENETUNREACH:
		return "network unreachable";
	case ENETDOWN:
		return "network down";
	default:
		return NULL;
	}
}

void crow_trace_redirect(const char *service, struct crow_trace_place from, int error,
			 int64_t elapsed_ns, struct crow_trace_place to)
{
	char number[DIGITS], ms[DIGITS], tenth[DIGITS], here[CROW_ENDPOINT_TEXT],
		there[CROW_ENDPOINT_TEXT];
	const char *reason = reason_of(error);

	crow_addr_format(from.addr, from.port, here);
	crow_addr_format(to.addr, to.port, there);
	crow_trace(CROW_TRACE_INFO, "cannot reach ", here, " of ", service,
		   reason != NULL ? " (" : " (errno ",
		   reason != NULL ? reason : digits_of(error, number), " after ",
		   digits_of(elapsed_ns / 1000000, ms), ".",
		   digits_of(elapsed_ns / 100000 % 10, tenth), " ms), trying ", there, NULL);
}
