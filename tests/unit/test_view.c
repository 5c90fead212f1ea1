/*
 * What the command line prints: text for terminals and for files, JSON strings, ages, and whether
 * a daemon lives.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/json.h"
#include "cli/term.h"
#include "cli/view.h"

/* ---- text ---- */

static void assert_put(const char *text, unsigned width, const char *expected)
{
	struct crow_term term;
	char *printed = NULL;
	size_t size;
	FILE *out = open_memstream(&printed, &size);

	crow_term_init(&term, out);
	crow_term_put(&term, CROW_BAD, width, text);
	fclose(out);
	assert_string_equal(printed, expected);
	free(printed);
}

static void test_file_gets_no_colour(void **state)
{
	(void)state;
	setenv("TERM", "xterm", 1);
	unsetenv("NO_COLOR");
	assert_put("up", 0, "up");
	assert_put("up", 5, "up   ");
	assert_put("drained", 3, "drained");
}

static void test_names_cannot_command_the_terminal(void **state)
{
	(void)state;
	assert_put("a\033[2Jb", 0, "a?[2Jb");
	assert_put("a\x7f\n\xc2\x9b"
		   "b",
		   0, "a???b");
	assert_put("\xff\xc3", 0, "??");
	assert_put("\xc3\xa9t\xc3\xa9", 4, "\xc3\xa9t\xc3\xa9 ");
}

/* A terminal of our own: what is written to its lower side is read from the upper one. */
struct pty {
	int upper;
	FILE *lower;
};

static struct pty open_pty(unsigned short columns)
{
	struct winsize size = {.ws_row = 24, .ws_col = columns};
	struct pty pty = {.upper = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)};
	struct termios mode;

	assert_true(pty.upper >= 0);
	assert_int_equal(grantpt(pty.upper) | unlockpt(pty.upper), 0);
	pty.lower = fopen(ptsname(pty.upper), "w");
	assert_non_null(pty.lower);
	assert_int_equal(ioctl(pty.upper, TIOCSWINSZ, &size), 0);
	assert_int_equal(tcgetattr(fileno(pty.lower), &mode), 0);
	cfmakeraw(&mode);
	assert_int_equal(tcsetattr(fileno(pty.lower), TCSANOW, &mode), 0);
	return pty;
}

static void assert_terminal(const char *expected)
{
	struct pty pty = open_pty(12);
	struct crow_term term;
	char printed[64];
	ssize_t size;

	crow_term_init(&term, pty.lower);
	crow_term_put(&term, CROW_GOOD, 4, "up");
	crow_term_put_last(&term, CROW_PLAIN, 4, "0123456789");
	fflush(pty.lower);
	size = read(pty.upper, printed, sizeof(printed) - 1);
	assert_true(size > 0);
	printed[size] = '\0';
	assert_string_equal(printed, expected);
	fclose(pty.lower);
	close(pty.upper);
}

static void test_terminal_gets_colour_and_its_width(void **state)
{
	(void)state;
	setenv("TERM", "xterm", 1);
	unsetenv("NO_COLOR");
	assert_terminal("\033[32mup\033[0m  01234567");
	setenv("NO_COLOR", "", 1); /* no-color.org: empty is as good as unset */
	assert_terminal("\033[32mup\033[0m  01234567");
	setenv("NO_COLOR", "1", 1);
	assert_terminal("up  01234567");
	unsetenv("NO_COLOR");
	setenv("TERM", "dumb", 1);
	assert_terminal("up  01234567");
}

static void assert_wrapped(unsigned columns, unsigned at, const char *text, const char *expected,
			   unsigned end)
{
	char *printed = NULL;
	size_t size;
	struct crow_term term = {.out = open_memstream(&printed, &size), .columns = columns};

	assert_int_equal(crow_term_wrap(&term, CROW_BAD, at, 3, text), end);
	fclose(term.out);
	assert_string_equal(printed, expected);
	free(printed);
}

/* At the blanks alone: an address that is longer than a line stays whole. */
static void test_long_text_is_wrapped(void **state)
{
	(void)state;
	assert_wrapped(0, 3, "one two three four", "one two three four", 21);
	assert_wrapped(12, 3, "one two three four", "one two\n   three\n   four", 7);
	assert_wrapped(12, 6, "one two", "one\n   two", 6);
	assert_wrapped(12, 6, "sixsix", "sixsix", 12);
	assert_wrapped(12, 7, "sixsix", "\n   sixsix", 9);
	assert_wrapped(12, 3, "http://10.0.0.1/ no", "http://10.0.0.1/\n   no", 5);
	assert_wrapped(12, 3, "  a  ", "  a  ", 8);
	assert_wrapped(12, 3, "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9 \x1b\xff\xff\xff",
		       "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9 \?\?\?\?", 12);
	assert_wrapped(12, 3, "", "", 3);
}

static void test_json_strings(void **state)
{
	static const struct {
		const char *text, *json;
	} cases[] = {
		{NULL, "null"},
		{"", "\"\""},
		{"svc_a", "\"svc_a\""},
		{"a\"b\\c/", "\"a\\\"b\\\\c/\""},
		{"\n\x01\x1f\x7f", "\"\\u000a\\u0001\\u001f\\u007f\""},
		{"\xe2\x82\xac", "\"\xe2\x82\xac\""},
		{"a\xff\xe2\x82z", "\"a\\ufffd\\ufffd\\ufffdz\""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *printed = NULL;
		size_t size;
		FILE *out = open_memstream(&printed, &size);

		crow_json_string(out, cases[i].text);
		fclose(out);
		assert_string_equal(printed, cases[i].json);
		free(printed);
	}
}

/* ---- values ---- */

static void test_ages(void **state)
{
	static const struct {
		int64_t seconds;
		const char *age;
	} cases[] = {
		{0, "0 s"},    {119, "119 s"},   {120, "2 min"},  {7199, "119 min"},
		{7200, "2 h"}, {172799, "47 h"}, {172800, "2 d"}, {INT64_MAX, "106751991167300 d"},
	};
	char age[CROW_AGE_TEXT];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		crow_view_age(cases[i].seconds, age);
		assert_string_equal(age, cases[i].age);
	}
}

static void test_times_may_be_any(void **state)
{
	(void)state;
	assert_int_equal(crow_view_seconds_since(INT64_MAX), 0);
	assert_true(crow_view_seconds_since(INT64_MIN) >= INT64_MAX / 1000000000);
}

static void test_share(void **state)
{
	struct crow_snap_service service = {.total_weight = 400};
	struct crow_snap_instance instance = {.state = CROW_STATE_UP, .weight = 100};

	(void)state;
	assert_true(crow_view_share(&service, &instance) == 25.0);
	instance.state = CROW_STATE_EJECTED;
	assert_true(crow_view_share(&service, &instance) == 0.0);
	instance.state = CROW_STATE_UP;
	service.total_weight = 0;
	assert_true(crow_view_share(&service, &instance) == 0.0);
}

static void test_daemon_lives_while_it_holds_the_lock(void **state)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	char dir[] = "/tmp/crowfly-view-XXXXXX", path[64];
	int fd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_false(crow_view_daemon_lives(dir));
	snprintf(path, sizeof(path), "%s/lock", dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_false(crow_view_daemon_lives(dir));
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
	assert_true(crow_view_daemon_lives(dir));
	close(fd);
	assert_false(crow_view_daemon_lives(dir));
	unlink(path);
	rmdir(dir);
}

static void test_directory(void **state)
{
	(void)state;
	unsetenv("CROWFLY_RUNTIME_DIR");
	assert_string_equal(crow_view_dir(NULL), "/run/crowfly");
	setenv("CROWFLY_RUNTIME_DIR", "", 1);
	assert_string_equal(crow_view_dir(NULL), "/run/crowfly");
	setenv("CROWFLY_RUNTIME_DIR", "/a", 1);
	assert_string_equal(crow_view_dir(NULL), "/a");
	assert_string_equal(crow_view_dir("/b"), "/b");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_file_gets_no_colour),
		cmocka_unit_test(test_names_cannot_command_the_terminal),
		cmocka_unit_test(test_terminal_gets_colour_and_its_width),
		cmocka_unit_test(test_long_text_is_wrapped),
		cmocka_unit_test(test_json_strings),
		cmocka_unit_test(test_ages),
		cmocka_unit_test(test_times_may_be_any),
		cmocka_unit_test(test_share),
		cmocka_unit_test(test_daemon_lives_while_it_holds_the_lock),
		cmocka_unit_test(test_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
