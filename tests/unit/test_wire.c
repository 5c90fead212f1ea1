/* The cursors over DNS messages, the names of SRV targets, and the frames of a stream. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/dns/frame.h"
#include "daemon/dns/target.h"
#include "daemon/dns/wire.h"

static struct crow_wire_reader over(const void *bytes, size_t size)
{
	return (struct crow_wire_reader){.bytes = bytes, .size = size};
}

static void test_reading_past_the_end_sticks(void **state)
{
	struct crow_wire_reader in = over("\x12\x34\x56", 3);

	(void)state;
	assert_int_equal(crow_wire_get_u16(&in), 0x1234);
	assert_int_equal(crow_wire_get_u16(&in), 0);
	assert_true(in.failed);
	assert_int_equal(crow_wire_get_u8(&in), 0); /* although one byte is left */
	assert_null(crow_wire_get_bytes(&in, 0));
}

static void test_writing_past_the_limit_sticks(void **state)
{
	uint8_t bytes[8];
	struct crow_wire_writer out = {.bytes = bytes, .size = 5};

	(void)state;
	memset(bytes, 0xee, sizeof(bytes));
	crow_wire_put_u32(&out, 0x01020304);
	crow_wire_put_u16(&out, 0x0506);
	assert_true(out.failed);
	crow_wire_put_u8(&out, 7);
	assert_int_equal(out.at, 4);
	assert_memory_equal(bytes, "\x01\x02\x03\x04\xee\xee\xee\xee", 8);
}

static void test_a_name_is_copied(void **state)
{
	static const uint8_t name[] = "\x03WwW\x02\x00.\x00rest";
	struct crow_wire_reader in = over(name, sizeof(name) - 1);
	uint8_t out[CROW_WIRE_NAME_MAX];

	(void)state;
	assert_int_equal(crow_wire_get_name(&in, out), 8);
	assert_memory_equal(out, name, 8);
	assert_false(in.failed);
	assert_int_equal(in.at, 8);
}

static void test_names_that_are_none(void **state)
{
	static const struct {
		const char *bytes;
		size_t size;
	} bad[] = {
		{"", 0},         /* nothing */
		{"\x03www", 4},  /* no end */
		{"\x03ww", 3},   /* cut in a label */
		{"\xc0\x0c", 2}, /* a pointer */
		{"\x01"
		 "a\xc0\x00",
		 4},         /* a pointer behind a label */
		{"\xc0", 1}, /* half a pointer */
		{"\x40"
		 "a\0",
		 3}, /* the reserved types 01 and 10 */
		{"\x80"
		 "a\0",
		 3},
	};
	uint8_t out[CROW_WIRE_NAME_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct crow_wire_reader in = over(bad[i].bytes, bad[i].size);

		assert_int_equal(crow_wire_get_name(&in, out), 0);
		assert_true(in.failed);
	}
}

/* count labels of one byte: 2 * count + 1 bytes. */
static size_t make_name(uint8_t *out, size_t count)
{
	for (size_t i = 0; i < count; i++)
		memcpy(out + 2 * i, "\x01x", 2);
	out[2 * count] = 0;
	return 2 * count + 1;
}

static void test_the_longest_name(void **state)
{
	uint8_t name[300], out[CROW_WIRE_NAME_MAX];
	struct crow_wire_reader in = over(name, make_name(name, 127));

	(void)state;
	assert_int_equal(crow_wire_get_name(&in, out), 255);
	in = over(name, make_name(name, 128));
	assert_int_equal(crow_wire_get_name(&in, out), 0);
}

static void test_skipping_names(void **state)
{
	struct crow_wire_reader in = over("\0"
					  "\x01"
					  "a\xc0\x0c"
					  "\x01"
					  "b\0"
					  "\x40",
					  9);

	(void)state;
	assert_true(crow_wire_skip_name(&in));
	assert_int_equal(in.at, 1);
	assert_false(crow_wire_skip_name(&in)); /* the pointer is not followed */
	assert_int_equal(in.at, 5);
	assert_false(crow_wire_skip_name(&in));
	assert_int_equal(in.at, 8);
	assert_false(in.failed);
	assert_false(crow_wire_skip_name(&in));
	assert_true(in.failed);
}

static void test_a_pointer_is_not_the_root(void **state)
{
	struct crow_wire_reader in = over("\xc0\x00", 2);

	(void)state;
	assert_false(crow_wire_skip_name(&in));
	assert_false(in.failed);
}

static void test_writing_names(void **state)
{
	uint8_t bytes[32];
	struct crow_wire_writer out = {.bytes = bytes, .size = sizeof(bytes)};

	(void)state;
	crow_wire_put_name(&out, "eas.internal");
	crow_wire_put_name(&out, "");
	crow_wire_put_pointer(&out, 0x123);
	assert_false(out.failed);
	assert_int_equal(out.at, 17);
	assert_memory_equal(bytes,
			    "\x03"
			    "eas\x08internal\0\0\xc1\x23",
			    17);
	crow_wire_put_pointer(&out, 0x4000);
	assert_true(out.failed);
}

static void test_writing_a_name_with_an_empty_label(void **state)
{
	uint8_t bytes[32];
	struct crow_wire_writer out = {.bytes = bytes, .size = sizeof(bytes)};

	(void)state;
	crow_wire_put_name(&out, "a..b");
	assert_true(out.failed);
}

static void check_target(const char *address, const char *label)
{
	struct crow_addr addr, back;
	char out[CROW_TARGET_MAX];

	assert_true(crow_addr_parse(address, strlen(address), &addr));
	assert_int_equal(crow_target_format(&addr, out), strlen(label));
	assert_string_equal(out, label);
	assert_true(crow_target_parse(label, strlen(label), &back));
	assert_int_equal(crow_addr_compare(&addr, &back), 0);
}

static void test_targets_come_back(void **state)
{
	(void)state;
	check_target("10.0.0.1", "ip-10-0-0-1");
	check_target("255.255.100.209", "ip-255-255-100-209");
	check_target("0.0.0.0", "ip-0-0-0-0");
	check_target("2001:db8::1", "ip6-20010db8000000000000000000000001");
}

static void test_targets_have_one_form(void **state)
{
	static const char *const bad[] = {
		"",
		"ip",
		"ip-",
		"ip-1-2-3",
		"ip-1-2-3-4-5",
		"ip-1-2-3-256",
		"ip-01-2-3-4",
		"ip-1-2--4",
		"ip-1-2-3-4x",
		"ip-1-2-3-99999999999999999999",
		"ip6-20010db800000000000000000000000",
		"ip6-20010DB8000000000000000000000001",
		"ip6-00000000000000000000ffff0a000001", /* is ip-10-0-0-1 */
		"ip-10-0-0-1.a",
	};
	struct crow_addr addr;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(crow_target_parse(bad[i], strlen(bad[i]), &addr));
}

static void test_frames(void **state)
{
	static const uint8_t stream[] = "\x00\x0c"
					"0123456789ab"
					"\x00\x0d"
					"0123456789abc"
					"\x00";
	struct crow_wire_reader in = over(stream, sizeof(stream) - 1);
	const uint8_t *message;
	size_t size;

	(void)state;
	assert_int_equal(crow_frame_next(&in, &message, &size), CROW_FRAME_WHOLE);
	assert_int_equal(size, 12);
	assert_ptr_equal(message, stream + 2);
	assert_int_equal(crow_frame_next(&in, &message, &size), CROW_FRAME_WHOLE);
	assert_int_equal(size, 13);
	assert_int_equal(crow_frame_next(&in, &message, &size), CROW_FRAME_PARTIAL);
	assert_int_equal(in.at, 29); /* not moved: the half length stays */
}

static void test_every_cut_of_a_frame_is_partial(void **state)
{
	static const uint8_t stream[] = "\x00\x0c"
					"0123456789ab";
	const uint8_t *message;
	size_t size;

	(void)state;
	for (size_t cut = 0; cut < 14; cut++) {
		struct crow_wire_reader in = over(stream, cut);

		assert_int_equal(crow_frame_next(&in, &message, &size), CROW_FRAME_PARTIAL);
		assert_int_equal(in.at, 0);
	}
}

static void test_lengths_that_are_refused(void **state)
{
	static const uint16_t bad[] = {0, 5, 11, 4097, 65535};
	const uint8_t *message;
	size_t size;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uint8_t stream[2] = {(uint8_t)(bad[i] >> 8), (uint8_t)bad[i]};
		struct crow_wire_reader in = over(stream, 2);

		assert_int_equal(crow_frame_next(&in, &message, &size), CROW_FRAME_REFUSED);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reading_past_the_end_sticks),
		cmocka_unit_test(test_writing_past_the_limit_sticks),
		cmocka_unit_test(test_a_name_is_copied),
		cmocka_unit_test(test_names_that_are_none),
		cmocka_unit_test(test_the_longest_name),
		cmocka_unit_test(test_skipping_names),
		cmocka_unit_test(test_a_pointer_is_not_the_root),
		cmocka_unit_test(test_writing_names),
		cmocka_unit_test(test_writing_a_name_with_an_empty_label),
		cmocka_unit_test(test_targets_come_back),
		cmocka_unit_test(test_targets_have_one_form),
		cmocka_unit_test(test_frames),
		cmocka_unit_test(test_every_cut_of_a_frame_is_partial),
		cmocka_unit_test(test_lengths_that_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
