/* Which upstreams there are, what is asked of them, and who is ourselves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/dns/probe.h"
#include "daemon/dns/question.h"
#include "daemon/log.h"
#include "daemon/upstream/resolv_conf.h"
#include "daemon/value.h"

static struct crow_listen endpoint(const char *text)
{
	struct crow_listen at;

	assert_true(crow_value_listen(text, 53, &at));
	return at;
}

/* ---- ourselves ---- */

static bool is_own(const char *server, const char *own)
{
	struct crow_listen to = endpoint(server), at = endpoint(own);

	return crow_upstreams_is_own(&to, &(struct crow_listens){&at, 1});
}

static void test_own_in_every_spelling(void **state)
{
	(void)state;
	assert_true(is_own("127.0.0.55", "127.0.0.55:53"));
	assert_true(is_own("[::ffff:127.0.0.55]:53", "127.0.0.55"));
	assert_true(is_own("0.0.0.0", "127.0.0.1"));
	assert_true(is_own("0.0.0.0", "0.0.0.0"));
	assert_true(is_own("[::]:53", "[::1]:53"));
	assert_true(is_own("[::1]:53", "[::]:53"));
	assert_true(is_own("[0:0:0:0:0:0:0:1]:53", "[::1]:53"));
	assert_true(is_own("127.9.9.9", "0.0.0.0"));
	assert_true(is_own("127.0.0.1:5353", "0.0.0.0:5353"));
}

static void test_others_are_others(void **state)
{
	(void)state;
	assert_false(is_own("127.0.0.53", "127.0.0.55"));
	assert_false(is_own("127.0.0.55:54", "127.0.0.55:53"));
	assert_false(is_own("192.0.2.1", "0.0.0.0"));
	assert_false(is_own("[2001:db8::1]:53", "[::]:53"));
	assert_false(is_own("127.0.0.1", "[::]:53")); /* which does not hear IPv4 */
	assert_false(is_own("0.0.0.0", "127.0.0.55"));
}

static void test_the_list(void **state)
{
	struct crow_listen own = endpoint("127.0.0.55");
	struct crow_listen items[] = {endpoint("192.0.2.1"), endpoint("127.0.0.55"),
				      endpoint("192.0.2.1"), endpoint("[fe80::1]:53"),
				      endpoint("[2001:db8::1]:54")};
	struct crow_listens servers = {items, 5}, us = {&own, 1};
	struct crow_upstreams *first, *second;

	(void)state;
	first = crow_upstreams_new(&servers, &us, NULL);
	assert_int_equal(first->count, 2); /* ourselves, a second time, link-local: left out */
	assert_int_equal(first->items[1].at.port, 54);
	assert_true(first->items[0].probe != first->items[1].probe);
	first->items[1].answers = 7;
	servers.items += 3;
	servers.count = 2;
	second = crow_upstreams_new(&servers, &us, first);
	assert_int_equal(second->count, 1);
	assert_int_equal(second->items[0].answers, 7); /* what is known is kept */
	assert_ptr_equal(crow_upstreams_use(second), second);
	crow_upstreams_release(second);
	assert_int_equal(second->users, 1);
	crow_upstreams_release(second);
	crow_upstreams_release(first);
	crow_upstreams_release(NULL);
}

/* ---- resolv.conf ---- */

static struct crow_resolv_conf read_text(const char *text)
{
	struct crow_resolv_conf conf;

	crow_resolv_conf_read(text, strlen(text), &conf);
	return conf;
}

static void test_resolv_conf(void **state)
{
	struct crow_resolv_conf conf =
		read_text("# nameserver 192.0.2.9\n; domain no.example\n"
			  "domain old.example\n\n"
			  "nameserver\t192.0.2.1   # the first\n"
			  "  nameserver 2001:db8::1\r\n"
			  "nameserver fe80::1%eth0\nnameserver nonsense\nnameserver\n"
			  "search a.example\tb.example\n"
			  "options edns0 ndots:5 trust-ad\n"
			  "nameserver 192.0.2.2");

	(void)state;
	assert_int_equal(conf.server_count, 3);
	assert_int_equal(conf.servers[0].port, 53);
	assert_true(crow_addr_is_v4(&conf.servers[0].addr));
	assert_false(crow_addr_is_v4(&conf.servers[1].addr));
	assert_true(crow_addr_is_v4(&conf.servers[2].addr));
	assert_int_equal(conf.search_count, 2);
	assert_string_equal(conf.search[0], "a.example");
	assert_string_equal(conf.search[1], "b.example");
	assert_int_equal(conf.ndots, 5);
}

static void test_resolv_conf_at_its_limits(void **state)
{
	struct crow_resolv_conf conf = read_text("");
	char text[40000];

	(void)state;
	assert_int_equal(conf.server_count + conf.search_count, 0);
	assert_int_equal(conf.ndots, 1);
	conf = read_text("options ndots:99\nsearch 1 2 3 4 5 6 7 8");
	assert_int_equal(conf.ndots, 15);
	assert_int_equal(conf.search_count, CROW_SEARCH_MAX);
	text[0] = '\0';
	for (size_t at = 0; at < sizeof(text) - 24; at += strlen(text + at))
		strcpy(text + at, "nameserver 192.0.2.1\n");
	conf = read_text(text);
	assert_int_equal(conf.server_count, CROW_UPSTREAMS_MAX);
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	memcpy(text, "search ", 7);
	assert_int_equal(read_text(text).search_count, 0);
}

/* ---- questions ---- */

static void test_a_question(void **state)
{
	static const uint8_t wanted[] = "\x12\x34\x01\x20\0\1\0\0\0\0\0\1"
					"\3www\7example\0\0\x1c\0\1"
					"\0\0\x29\x04\xd0\0\0\x80\0\0\0";
	uint8_t bytes[CROW_QUESTION_MAX];
	struct crow_query query;
	size_t size;

	(void)state;
	crow_question_make(&query, "www.example", 28);
	query.dnssec_ok = true;
	size = crow_question_write(&query, 0x1234, true, bytes);
	assert_int_equal(size, sizeof(wanted) - 1);
	assert_memory_equal(bytes, wanted, size);
	query.flags = 0xffff; /* of all that the asker says, CD alone goes on */
	size = crow_question_write(&query, 0x1234, false, bytes);
	assert_int_equal(size, sizeof(wanted) - 1 - 11);
	assert_int_equal(bytes[2] << 8 | bytes[3], 0x0130);
	assert_int_equal(bytes[11], 0);
}

static void test_what_is_forwarded(void **state)
{
	struct crow_query query;

	(void)state;
	crow_question_make(&query, "www.example", 1);
	for (unsigned type = 0; type <= UINT16_MAX; type++) {
		bool meta = type == 0 || type == 41 || (type >= 128 && type <= 255);

		query.type = (uint16_t)type;
		assert_int_equal(crow_question_is_forwarded(&query), !meta);
	}
	query.type = 1;
	for (query.class = 2; query.class != 1; query.class ++)
		assert_false(crow_question_is_forwarded(&query));
	assert_true(crow_question_is_forwarded(&query));
}

static uint64_t all_ones(void *context)
{
	++*(int *)context;
	return UINT64_MAX;
}

static uint64_t all_zeroes(void *context)
{
	++*(int *)context;
	return 0;
}

static void test_case_is_mixed(void **state)
{
	struct crow_query query;
	int draws = 0;

	(void)state;
	crow_question_make(&query, "a1-Zz.x_y", 1);
	query.name[4] = 0xda; /* no letter, though one with the lowest six bits of Z */
	crow_question_mix_case(&query, all_zeroes, &draws);
	assert_memory_equal(query.name, "\5A1-\xdaZ\3X_Y", 11);
	crow_question_mix_case(&query, all_ones, &draws);
	assert_memory_equal(query.name, "\5a1-\xdaz\3x_y", 11);
	assert_int_equal(draws, 2);
}

static void test_probes(void **state)
{
	struct crow_listen items[] = {endpoint("192.0.2.1"), endpoint("192.0.2.2")};
	const struct crow_listens servers = {items, 2}, nowhere = {0};
	struct crow_upstreams *upstreams = crow_upstreams_new(&servers, &nowhere, NULL);
	struct crow_query query;

	(void)state;
	upstreams->items[1].probe = 0x0123456789abcdef;
	crow_probe_make(0x0123456789abcdef, &query);
	assert_string_equal(query.text, "crowfly-0123456789abcdef.test");
	assert_int_equal(crow_probe_find(upstreams, &query), 1);
	query.text[8] = '1';
	assert_int_equal(crow_probe_find(upstreams, &query), CROW_UPSTREAMS_MAX);
	crow_question_make(&query, "crowfly-0123456789abcdef.text", 16);
	assert_int_equal(crow_probe_find(upstreams, &query), CROW_UPSTREAMS_MAX);
	crow_question_make(&query, "crowfly-", 16);
	assert_int_equal(crow_probe_find(upstreams, &query), CROW_UPSTREAMS_MAX);
	crow_upstreams_release(upstreams);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own_in_every_spelling),
		cmocka_unit_test(test_others_are_others),
		cmocka_unit_test(test_the_list),
		cmocka_unit_test(test_resolv_conf),
		cmocka_unit_test(test_resolv_conf_at_its_limits),
		cmocka_unit_test(test_a_question),
		cmocka_unit_test(test_what_is_forwarded),
		cmocka_unit_test(test_case_is_mixed),
		cmocka_unit_test(test_probes),
	};

	crow_log_init(CROW_LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
