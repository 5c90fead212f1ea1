/* Names, addresses and reports: the resolver's small values. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "resolver/name.h"
#include "resolver/report.h"

static void test_fold(void **state)
{
	char out[CROW_NAME_MAX + 1], longest[300];

	(void)state;
	assert_int_equal(crow_name_fold("ABC.Example.", 12, out), 11);
	assert_string_equal(out, "abc.example");
	assert_int_equal(crow_name_fold("\xc4\xd6", 2, out), 2); /* only A-Z fold */
	assert_string_equal(out, "\xc4\xd6");
	assert_int_equal(crow_name_fold("", 0, out), 0);
	assert_int_equal(crow_name_fold(".", 1, out), 0);
	memset(longest, 'a', sizeof(longest));
	assert_int_equal(crow_name_fold(longest, 253, out), 253);
	assert_int_equal(crow_name_fold(longest, 254, out), 0);
	longest[253] = '.';
	assert_int_equal(crow_name_fold(longest, 254, out), 253);
}

static void test_is_below(void **state)
{
	(void)state;
	assert_true(crow_name_is_below("a.zone", 6, "zone", 4));
	assert_true(crow_name_is_below("zone", 4, "zone", 4));
	assert_false(crow_name_is_below("azone", 5, "zone", 4));
	assert_false(crow_name_is_below("one", 3, "zone", 4));
	assert_false(crow_name_is_below("a.zone", 6, "", 0));
}

static void check_text(const char *in, uint16_t port, const char *out)
{
	char text[CROW_ENDPOINT_TEXT];
	struct crow_addr addr;

	assert_true(crow_addr_parse(in, strlen(in), &addr));
	crow_addr_format(&addr, port, text);
	assert_string_equal(text, out);
}

static void test_address_text(void **state)
{
	struct crow_addr addr;

	(void)state;
	check_text("10.0.0.1", 0, "10.0.0.1");
	check_text("255.255.255.255", 65535, "255.255.255.255:65535");
	check_text("::ffff:10.0.0.1", 80, "10.0.0.1:80"); /* v4-mapped is IPv4 */
	check_text("2001:DB8::1", 80, "[2001:db8::1]:80");
	check_text("2001:db8::1", 0, "2001:db8::1");
	assert_false(crow_addr_parse("10.0.0.1\0x", 10, &addr));
	assert_false(crow_addr_parse("10.0.0", 6, &addr));
	assert_false(crow_addr_parse("", 0, &addr));
	assert_false(crow_addr_parse("fe80::1%eth0", 12, &addr));
}

static void test_sockaddr(void **state)
{
	struct sockaddr_storage sa = {0};
	struct crow_addr addr, back;
	uint16_t port;

	(void)state;
	crow_addr_parse("10.1.2.3", 8, &addr);
	assert_int_equal(crow_addr_to_sockaddr(&addr, 99, AF_INET, &sa),
			 sizeof(struct sockaddr_in));
	assert_true(crow_addr_from_sockaddr((void *)&sa, sizeof(struct sockaddr_in), &back, &port));
	assert_memory_equal(&addr, &back, sizeof(addr));
	assert_int_equal(port, 99);
	assert_false(crow_addr_from_sockaddr((void *)&sa, 15, &back, &port));
	assert_int_equal(crow_addr_to_sockaddr(&addr, 99, AF_INET6, &sa),
			 sizeof(struct sockaddr_in6));
	assert_true(crow_addr_from_sockaddr((void *)&sa, 24, &back, &port));
	assert_memory_equal(&addr, &back, sizeof(addr));
	crow_addr_parse("::1", 3, &addr);
	assert_int_equal(crow_addr_to_sockaddr(&addr, 99, AF_INET, &sa), 0);
	sa.ss_family = AF_UNIX;
	assert_false(crow_addr_from_sockaddr((void *)&sa, sizeof(sa), &back, &port));
	assert_false(crow_addr_from_sockaddr(NULL, 0, &back, &port));
}

static void test_report_round_trip(void **state)
{
	struct crow_report report = {.kind = CROW_REPORT_FAILED,
				     .port = 8000,
				     .error = 111,
				     .elapsed_us = 250000,
				     .name_length = 3,
				     .name = "one"};
	uint8_t bytes[CROW_REPORT_MAX_SIZE];
	struct crow_report back;
	size_t size;

	(void)state;
	crow_addr_parse("10.1.2.3", 8, &report.addr);
	size = crow_report_encode(&report, bytes);
	assert_true(crow_report_decode(bytes, size, &back));
	assert_memory_equal(&report, &back, sizeof(report));
	for (size_t shorter = 0; shorter < size; shorter++)
		assert_false(crow_report_decode(bytes, shorter, &back));
	bytes[0] ^= 0xff; /* of another version */
	assert_false(crow_report_decode(bytes, size, &back));
	bytes[0] ^= 0xff;
	bytes[2] = 99; /* of an unknown kind */
	assert_false(crow_report_decode(bytes, size, &back));
	bytes[2] = CROW_REPORT_FAILED;
	bytes[size - 1] = '\0'; /* a name is text */
	assert_false(crow_report_decode(bytes, size, &back));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fold),
		cmocka_unit_test(test_is_below),
		cmocka_unit_test(test_address_text),
		cmocka_unit_test(test_sockaddr),
		cmocka_unit_test(test_report_round_trip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
