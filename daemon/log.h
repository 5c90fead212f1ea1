/*
 * The daemon's log: one line an event on stderr, in a form that journald reads (a "<N>" priority
 * in front when JOURNAL_STREAM names our stderr). Sentences name the thing and the cause.
 * Any thread may log; a line is one write().
 */
#ifndef CROW_LOG_H
#define CROW_LOG_H

#include <stdbool.h>
#include <stdint.h>

/* The numbers of syslog(3), which journald takes. */
enum crow_log_level {
	CROW_LOG_ERROR = 3,
	CROW_LOG_WARNING = 4,
	CROW_LOG_INFO = 6,
	CROW_LOG_DEBUG = 7
};

/* Before any other thread runs. Lines above `most` are dropped; CROW_LOG_INFO until called. */
void crow_log_init(enum crow_log_level most);

void crow_log(enum crow_log_level level, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* At most one true in each hour of CLOCK_BOOTTIME: for warnings that would otherwise repeat.
 * *last is 0 at first; one thread. now_ns is crow_now_ns(). */
bool crow_log_hourly(int64_t *last, int64_t now_ns);

#endif
