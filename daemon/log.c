#include "daemon/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* A line at most. journald takes longer ones, but the kernel appends a write() below PIPE_BUF
 * (4096) to a pipe as a whole, so that lines of several threads never mix. */
#define LINE_MAX_BYTES 2048

#define HOUR_NS (INT64_C(3600) * 1000000000)

/* Written by crow_log_init() before any other thread runs, only read afterwards. */
static enum crow_log_level most_verbose = CROW_LOG_INFO;
static bool to_journal;

/* systemd.exec(5): JOURNAL_STREAM holds device and inode of the stream connected to the journal;
 * it is inherited by children whose stderr leads elsewhere, hence the comparison. */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	if (!stream || sscanf(stream, "%llu:%llu", &device, &inode) != 2)
		return false;
	return fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

void crow_log_init(enum crow_log_level most)
{
	most_verbose = most;
	to_journal = stderr_is_journal();
}

static const char *level_name(enum crow_log_level level)
{
	switch (level) {
	case CROW_LOG_ERROR:
		return "error";
	case CROW_LOG_WARNING:
		return "warning";
	case CROW_LOG_INFO:
		return "info";
	case CROW_LOG_DEBUG:
		return "debug";
	}
	return "unknown level";
}

static size_t write_prefix(char *line, size_t size, enum crow_log_level level)
{
	int n = to_journal ? snprintf(line, size, "<%d>", (int)level)
			   : snprintf(line, size, "crowflyd: %s: ", level_name(level));
	return (size_t)n;
}

/* Names and bodies from the network end up in messages: a control character in one must neither
 * begin a line of its own nor reach a terminal. */
static void mask_controls(char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			text[i] = '?';
}

static void write_line(const char *line, size_t len)
{
	while (write(STDERR_FILENO, line, len) < 0 && errno == EINTR)
		;
}

void crow_log(enum crow_log_level level, const char *format, ...)
{
	static const char cut[] = "...";
	char line[LINE_MAX_BYTES];
	int saved_errno = errno;
	va_list args;

	if (level > most_verbose)
		return;
	size_t start = write_prefix(line, sizeof(line), level);
	errno = saved_errno; /* for %m */
	va_start(args, format);
	int n = vsnprintf(line + start, sizeof(line) - start, format, args);
	va_end(args);
	if (n < 0)
		return;
	size_t len = start + (size_t)n;
	if (len >= sizeof(line)) {
		len = sizeof(line) - 1;
		for (size_t i = 0; i < sizeof(cut) - 1; i++)
			line[len - (sizeof(cut) - 1) + i] = cut[i];
	}
	mask_controls(line + start, len - start);
	line[len++] = '\n'; /* where vsnprintf() put its NUL */
	write_line(line, len);
	errno = saved_errno;
}

bool crow_log_hourly(int64_t *last, int64_t now_ns)
{
	if (*last != 0 && now_ns - *last < HOUR_NS)
		return false;
	*last = now_ns;
	return true;
}
