#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/log.h"

#define HOUR_NS INT64_C(3600000000000)

/* The other end of stderr while a test runs. A seqpacket socket keeps each write() apart. */
static int far_end;
static int real_stderr;
static char line[8192];

static int setup(void **state)
{
	int ends[2];

	(void)state;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) < 0)
		return -1;
	real_stderr = dup(STDERR_FILENO);
	dup2(ends[1], STDERR_FILENO);
	close(ends[1]);
	far_end = ends[0];
	unsetenv("JOURNAL_STREAM");
	crow_log_init(CROW_LOG_INFO);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	dup2(real_stderr, STDERR_FILENO);
	close(real_stderr);
	close(far_end);
	return 0;
}

/* One write() of the log, or "" if there was none. */
static const char *read_line(void)
{
	ssize_t n = recv(far_end, line, sizeof(line) - 1, MSG_DONTWAIT);

	line[n > 0 ? n : 0] = '\0';
	return line;
}

static void test_lines(void **state)
{
	(void)state;
	crow_log(CROW_LOG_WARNING, "service %s has %d instances", "svc", 4);
	assert_string_equal(read_line(), "crowflyd: warning: service svc has 4 instances\n");
	crow_log(CROW_LOG_ERROR, "a");
	crow_log(CROW_LOG_INFO, "b");
	assert_string_equal(read_line(), "crowflyd: error: a\n");
	assert_string_equal(read_line(), "crowflyd: info: b\n");
}

static void test_level(void **state)
{
	(void)state;
	crow_log(CROW_LOG_DEBUG, "not shown");
	assert_string_equal(read_line(), "");
	crow_log_init(CROW_LOG_DEBUG);
	crow_log(CROW_LOG_DEBUG, "shown");
	assert_string_equal(read_line(), "crowflyd: debug: shown\n");
	crow_log_init(CROW_LOG_ERROR);
	crow_log(CROW_LOG_WARNING, "not shown");
	assert_string_equal(read_line(), "");
}

static void name_journal(int inode_offset)
{
	char stream[64];
	struct stat st;

	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino + (unsigned long long)inode_offset);
	setenv("JOURNAL_STREAM", stream, 1);
	crow_log_init(CROW_LOG_DEBUG);
}

static void test_journal(void **state)
{
	(void)state;
	name_journal(0);
	crow_log(CROW_LOG_ERROR, "a");
	assert_string_equal(read_line(), "<3>a\n");
	crow_log(CROW_LOG_DEBUG, "b");
	assert_string_equal(read_line(), "<7>b\n");
}

static void test_journal_of_somebody_else(void **state)
{
	(void)state;
	name_journal(1);
	crow_log(CROW_LOG_ERROR, "a");
	assert_string_equal(read_line(), "crowflyd: error: a\n");
	setenv("JOURNAL_STREAM", "nonsense", 1);
	crow_log_init(CROW_LOG_INFO);
	crow_log(CROW_LOG_ERROR, "a");
	assert_string_equal(read_line(), "crowflyd: error: a\n");
}

static void test_control_characters(void **state)
{
	(void)state;
	crow_log(CROW_LOG_INFO, "%s", "one\ntwo\r\x1b[31m\x7f \xc3\xa9");
	assert_string_equal(read_line(), "crowflyd: info: one?two??[31m? \xc3\xa9\n");
}

static void test_long_lines(void **state)
{
	char text[5000];

	(void)state;
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	crow_log(CROW_LOG_INFO, "%s", text);
	read_line();
	assert_int_equal(strlen(line), 2048);
	assert_string_equal(line + 2048 - 5, "x...\n");
	assert_string_equal(read_line(), "");
}

static void test_errno(void **state)
{
	(void)state;
	errno = ENOENT;
	crow_log(CROW_LOG_INFO, "cannot: %m");
	assert_int_equal(errno, ENOENT);
	assert_string_equal(read_line(), "crowflyd: info: cannot: No such file or directory\n");
	int nowhere = dup(STDERR_FILENO);
	close(STDERR_FILENO);
	crow_log(CROW_LOG_INFO, "nobody reads this");
	assert_int_equal(errno, ENOENT);
	dup2(nowhere, STDERR_FILENO);
	close(nowhere);
}

#define THREADS 4
#define LINES   20

static void *log_some(void *letter)
{
	for (int i = 0; i < LINES; i++)
		crow_log(CROW_LOG_INFO, "%c%c%c%c", *(char *)letter, *(char *)letter,
			 *(char *)letter, *(char *)letter);
	return NULL;
}

static void test_threads(void **state)
{
	char letters[THREADS] = {'a', 'b', 'c', 'd'};
	pthread_t threads[THREADS];
	int lines = 0;

	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, log_some, &letters[i]), 0);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	while (read_line()[0]) {
		const char *text = line + strlen("crowflyd: info: ");

		assert_int_equal(strlen(text), 5);
		assert_true(text[0] == text[1] && text[1] == text[2] && text[2] == text[3]);
		lines++;
	}
	assert_int_equal(lines, THREADS * LINES);
}

static void test_hourly(void **state)
{
	int64_t last = 0;

	(void)state;
	assert_true(crow_log_hourly(&last, 5));
	assert_false(crow_log_hourly(&last, 5));
	assert_false(crow_log_hourly(&last, 5 + HOUR_NS - 1));
	assert_true(crow_log_hourly(&last, 5 + HOUR_NS));
	assert_false(crow_log_hourly(&last, 5 + HOUR_NS + 1));
	assert_true(crow_log_hourly(&last, 10 * HOUR_NS));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_lines, setup, teardown),
		cmocka_unit_test_setup_teardown(test_level, setup, teardown),
		cmocka_unit_test_setup_teardown(test_journal, setup, teardown),
		cmocka_unit_test_setup_teardown(test_journal_of_somebody_else, setup, teardown),
		cmocka_unit_test_setup_teardown(test_control_characters, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_lines, setup, teardown),
		cmocka_unit_test_setup_teardown(test_errno, setup, teardown),
		cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
		cmocka_unit_test(test_hourly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
