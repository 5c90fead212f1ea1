/* What c-ares is shown of replies, by UDP and of a TCP connection. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/upstream/stream.h"
#include "daemon/upstream/veil.h"

#define FLAGS_AT   2
#define COUNTS_AT  4
#define QUESTION   "\3www\7EXAMPLE\0\0\1\0\1"
#define MESSAGE    "\x12\x34\xab\xcd\0\1\0\2\0\3\0\4" QUESTION
#define SHOWN      "\x12\x34\x82\2\0\1\0\0\0\0\0\0" QUESTION
#define SHOWN_SIZE (sizeof(SHOWN) - 1)

static size_t shown(const void *reply, size_t size, bool cut, uint8_t out[CROW_ENVELOPE_MAX])
{
	return crow_envelope_write(reply, size, cut, out);
}

static void test_header_and_question_are_shown(void **state)
{
	static const uint8_t reply[] = MESSAGE "and records, or nonsense";
	uint8_t out[CROW_ENVELOPE_MAX];

	(void)state;
	assert_int_equal(shown(reply, sizeof(reply) - 1, false, out), SHOWN_SIZE);
	assert_memory_equal(out, SHOWN, SHOWN_SIZE);
}

static void test_truncation_is_shown(void **state)
{
	uint8_t reply[] = MESSAGE, out[CROW_ENVELOPE_MAX];

	(void)state;
	for (int tc = 0; tc < 2; tc++)
		for (int cut = 0; cut < 2; cut++) {
			reply[FLAGS_AT] = (uint8_t)(0x80 | tc << 1);
			assert_int_equal(shown(reply, sizeof(reply) - 1, cut, out), SHOWN_SIZE);
			assert_int_equal(out[FLAGS_AT], 0x80 | (tc || cut) << 1);
		}
}

static void test_what_names_no_question_is_not_shown(void **state)
{
	uint8_t reply[] = MESSAGE, out[CROW_ENVELOPE_MAX];
	const size_t first_label = CROW_ENVELOPE_HEADER;

	(void)state;
	for (size_t size = 0; size < sizeof(reply) - 1; size++)
		assert_int_equal(shown(reply, size, false, out), 0);
	for (int label = 64; label < 256; label++) {
		reply[first_label] = (uint8_t)label;
		assert_int_equal(shown(reply, sizeof(reply) - 1, false, out), 0);
	}
	reply[first_label] = 3;
	for (int count = 0; count < 3; count += 2) {
		reply[COUNTS_AT + 1] = (uint8_t)count;
		assert_int_equal(shown(reply, sizeof(reply) - 1, false, out), 0);
	}
}

/* Labels of one byte: 127 of them and the root are 255 bytes. */
static size_t shown_of_labels(size_t labels, uint8_t out[CROW_ENVELOPE_MAX])
{
	uint8_t reply[1000] = {[COUNTS_AT + 1] = 1};

	for (size_t i = 0; i < labels; i++)
		memcpy(reply + CROW_ENVELOPE_HEADER + 2 * i, "\1x", 2);
	return shown(reply, sizeof(reply), false, out);
}

static void test_the_longest_name(void **state)
{
	uint8_t out[CROW_ENVELOPE_MAX];

	(void)state;
	assert_int_equal(shown_of_labels(0, out), CROW_ENVELOPE_HEADER + 5);
	assert_int_equal(shown_of_labels(127, out), CROW_ENVELOPE_MAX);
	assert_int_equal(shown_of_labels(128, out), 0);
	assert_int_equal(shown_of_labels(400, out), 0);
}

/* ---- names of any bytes ---- */

#define ODD                                                                                        \
	"\0\0\1\0\0\1\0\0\0\0\0\0\6a.b\0\xff"                                                      \
	"C\3d e\0\0\1\0\1"
#define HIDDEN "\0\0\1\0\0\1\0\0\0\0\0\0\6axbxxC\3dxe\0\0\1\0\1"
#define OPT    "\0\0\x29\4\xd0\0\0\x80\0\0\0"
#define QUERY  (sizeof(HIDDEN) - 1)

static void test_what_host_names_do_not_have_is_hidden(void **state)
{
	uint8_t odd[] = ODD OPT, plain[] = MESSAGE, out[CROW_ENVELOPE_MAX];

	(void)state;
	assert_int_equal(shown(odd, sizeof(odd) - 1, false, out), QUERY);
	assert_memory_equal(out + 12, &HIDDEN[12], QUERY - 12);
	assert_true(crow_veil_hide(odd, QUERY));
	assert_memory_equal(odd, HIDDEN OPT, sizeof(odd) - 1);
	assert_false(crow_veil_hide(odd, QUERY));
	assert_false(crow_veil_hide(plain, sizeof(plain) - 1));
	assert_memory_equal(plain, MESSAGE, sizeof(plain) - 1);
}

static void test_a_veil_is_lifted_from_its_own_query(void **state)
{
	uint8_t query[] = HIDDEN OPT, other[] = MESSAGE;
	struct crow_veil veil, before;

	(void)state;
	crow_veil_init(&veil, (const uint8_t *)ODD OPT, sizeof(ODD OPT) - 1);
	before = veil;
	query[1] = 7;
	crow_veil_lift(&veil, query, sizeof(query) - 1); /* of another id */
	assert_memory_equal(query + 2, &(HIDDEN OPT)[2], sizeof(query) - 3);
	crow_veil_name(&veil, other, sizeof(other) - 1);
	assert_memory_equal(&veil, &before, sizeof(veil));
	crow_veil_name(&veil, query, sizeof(query) - 1);
	before.next = &veil;
	crow_veil_lift(&before, query, sizeof(query) - 1);
	assert_memory_equal(query + 2, &(ODD OPT)[2], sizeof(query) - 3);
	other[0] = 0;
	other[1] = 7;
	crow_veil_lift(&before, other, sizeof(other) - 1);
	assert_memory_equal(other + 2, &MESSAGE[2], sizeof(other) - 3);
}

static void test_veils_are_lifted_from_frames(void **state)
{
	uint8_t frames[] = "\0\x1d" MESSAGE "\0\x1c" HIDDEN "\0\x1c" HIDDEN;
	const size_t second = 2 + sizeof(MESSAGE) - 1 + 2;
	struct crow_veil veil;

	(void)state;
	crow_veil_init(&veil, (const uint8_t *)ODD, sizeof(ODD) - 1);
	for (size_t cut = 1; cut <= QUERY + 2; cut++) {
		memcpy(frames + second, HIDDEN, QUERY);
		assert_int_equal(crow_veil_lift_frames(&veil, frames, sizeof(frames) - 1 - cut),
				 second + QUERY);
		assert_memory_equal(frames + second, ODD, QUERY);
		assert_memory_equal(frames + 2, MESSAGE, sizeof(MESSAGE) - 1);
	}
}

/* ---- a connection ---- */

struct line {
	struct crow_stream stream;
	int near, far;
};

static int connect_line(void **state)
{
	struct line *line = calloc(1, sizeof(*line));
	int fds[2];

	assert_non_null(line);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	line->near = fds[0];
	line->far = fds[1];
	*state = line;
	return 0;
}

static int disconnect_line(void **state)
{
	struct line *line = *state;

	close(line->near);
	close(line->far);
	free(line);
	return 0;
}

static void say(const struct line *line, const void *bytes, size_t size)
{
	assert_int_equal(send(line->far, bytes, size, 0), (ssize_t)size);
}

static void assert_nothing_yet(struct line *line)
{
	uint8_t byte;

	assert_int_equal(crow_stream_read(&line->stream, line->near, &byte, 1), -1);
	assert_int_equal(errno, EAGAIN);
}

/* Reads what is shown, as many bytes at once as c-ares may. */
static void assert_shown(struct line *line, size_t portion)
{
	static const uint8_t expected[] = {"\0\x1d" SHOWN};
	uint8_t got[sizeof(expected) - 1];

	for (size_t at = 0; at < sizeof(got);) {
		size_t size = sizeof(got) - at < portion ? sizeof(got) - at : portion;
		ssize_t n = crow_stream_read(&line->stream, line->near, got + at, size);

		assert_true(n > 0);
		at += (size_t)n;
		assert_int_equal(crow_stream_left(&line->stream), sizeof(got) - at);
	}
	assert_memory_equal(got, expected, sizeof(got));
}

#define RECORDS "records"
#define FRAME   "\0\x24" MESSAGE RECORDS

static void test_frames_in_pieces(void **state)
{
	struct line *line = *state;

	for (size_t i = 0; i < sizeof(FRAME) - 1; i++) {
		assert_nothing_yet(line);
		say(line, &FRAME[i], 1);
	}
	assert_shown(line, 1);
	assert_int_equal(line->stream.reply_size, sizeof(MESSAGE RECORDS) - 1);
	assert_memory_equal(line->stream.bytes + CROW_STREAM_LENGTH, MESSAGE RECORDS,
			    sizeof(MESSAGE RECORDS) - 1);
	assert_nothing_yet(line);
}

static void test_frames_at_once(void **state)
{
	struct line *line = *state;

	say(line, FRAME FRAME FRAME, 3 * (sizeof(FRAME) - 1));
	assert_shown(line, 2); /* as 1.18 begins */
	assert_shown(line, UINT16_MAX);
	assert_shown(line, 7);
	assert_nothing_yet(line);
}

static void test_what_is_unintelligible_is_the_end(void **state)
{
	struct line *line = *state;
	uint8_t byte;

	say(line, "\0\0", 2);
	assert_int_equal(crow_stream_read(&line->stream, line->near, &byte, 1), 0);
	say(line, "\0\3abc", 5);
	assert_int_equal(crow_stream_read(&line->stream, line->near, &byte, 1), 0);
	say(line, FRAME, sizeof(FRAME) - 2);
	assert_nothing_yet(line);
	shutdown(line->far, SHUT_WR);
	assert_int_equal(crow_stream_read(&line->stream, line->near, &byte, 1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_header_and_question_are_shown),
		cmocka_unit_test(test_truncation_is_shown),
		cmocka_unit_test(test_what_names_no_question_is_not_shown),
		cmocka_unit_test(test_the_longest_name),
		cmocka_unit_test(test_what_host_names_do_not_have_is_hidden),
		cmocka_unit_test(test_a_veil_is_lifted_from_its_own_query),
		cmocka_unit_test(test_veils_are_lifted_from_frames),
		cmocka_unit_test_setup_teardown(test_frames_in_pieces, connect_line,
						disconnect_line),
		cmocka_unit_test_setup_teardown(test_frames_at_once, connect_line, disconnect_line),
		cmocka_unit_test_setup_teardown(test_what_is_unintelligible_is_the_end,
						connect_line, disconnect_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
