/* The cache of forwarded answers, the ring below it, and its hash. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/dns/cache.h"
#include "daemon/dns/siphash.h"
#include "tests/unit/dns_script.h"

#define S INT64_C(1000000000)

static const uint64_t secret[2] = {1, 2};

/* What CPython 3.11, which has the same function, says: hash(bytes) with PYTHONHASHSEED=0. */
static void test_the_hash_is_siphash_1_3(void **state)
{
	static const uint64_t zero[2];
	uint8_t bytes[63];

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	assert_true(crow_siphash(zero, "a", 1) == 0x407448d2b89b1813);
	assert_true(crow_siphash(zero, "abcdefg", 7) == 0x6db12aae9070f506);
	assert_true(crow_siphash(zero, "abcdefgh", 8) == 0x3f7b849c0b8e35ea);
	assert_true(crow_siphash(zero, bytes, 63) == 0x385d3e39e5f37359);
	assert_true(crow_siphash(secret, "a", 1) != crow_siphash(zero, "a", 1));
}

static unsigned put_a(struct crow_cache *cache, const struct crow_query *query, uint32_t ttl_s,
		      uint8_t last, int64_t now_ns)
{
	struct crow_message message;
	struct dns_script s;

	dns_begin(&s, DNS_QR | DNS_RA, query->text, query->type);
	dns_a(&s, DNS_OWNER, ttl_s, last);
	dns_counts(&s, 1, 0, 0);
	assert_true(crow_message_read(&message, query, s.bytes, s.out.at));
	return crow_cache_put(cache, query, &message, now_ns);
}

static void test_an_answer_is_kept_for_its_ttl(void **state)
{
	struct crow_cache *cache = crow_cache_new(1, secret);
	struct crow_query query = dns_query(DNS_RD, "www.example", DNS_A);
	uint8_t bytes[CROW_QUERY_UDP_MAX];
	struct crow_reply reply = {.bytes = bytes, .capacity = sizeof(bytes)};

	(void)state;
	assert_int_equal(crow_cache_answer(cache, &query, 0, false, 0, &reply), CROW_CACHE_MISS);
	assert_int_equal(put_a(cache, &query, 10, 7, 100 * S), 0);
	assert_int_equal(crow_cache_answer(cache, &query, 109 * S, false, 0, &reply),
			 CROW_CACHE_FRESH);
	assert_int_equal(reply.size, 45);
	assert_memory_equal(bytes + 29,
			    "\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x01\x00\x04\x0a\x00\x00\x07", 16);
	assert_int_equal(crow_cache_answer(cache, &query, 110 * S, false, 0, &reply),
			 CROW_CACHE_STALE);
	crow_cache_free(cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_hash_is_siphash_1_3),
		cmocka_unit_test(test_an_answer_is_kept_for_its_ttl),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
