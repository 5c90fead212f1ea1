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

/* ---- a cache and its upstream ---- */

struct told {
	uint8_t bytes[CROW_QUERY_TCP_MAX];
	struct crow_reply reply;
};

static enum crow_cache_state ask(struct crow_cache *cache, const struct crow_query *query,
				 int64_t now_ns, bool stale_too, uint64_t turn, struct told *told)
{
	told->reply = (struct crow_reply){.bytes = told->bytes, .capacity = sizeof(told->bytes)};
	return crow_cache_answer(cache, query, now_ns, stale_too, turn, &told->reply);
}

static enum crow_cache_state state(struct crow_cache *cache, const struct crow_query *query,
				   int64_t now_ns)
{
	struct told told;

	return ask(cache, query, now_ns, false, 0, &told);
}

/* An answer of count records of 4 bytes: 10.0.0.first and those that follow. */
static unsigned put_some(struct crow_cache *cache, const struct crow_query *query, uint32_t ttl_s,
			 uint8_t first, unsigned count, int64_t now_ns)
{
	struct crow_message message;
	struct dns_script s;

	dns_begin(&s, DNS_QR | DNS_RA | DNS_AD, "", query->type);
	s.out.at = DNS_OWNER;
	crow_wire_put_bytes(&s.out, query->name, query->name_size);
	crow_wire_put_u16(&s.out, query->type);
	crow_wire_put_u16(&s.out, query->class);
	for (unsigned i = 0; i < count; i++) {
		dns_record(&s, DNS_OWNER, query->type, ttl_s);
		crow_wire_put_u32(&s.out, 0x0a000000u | (uint8_t)(first + i));
		dns_end(&s);
	}
	dns_counts(&s, (uint16_t)count, 0, 0);
	assert_true(crow_message_read(&message, query, s.bytes, s.out.at));
	return crow_cache_put(cache, query, &message, now_ns);
}

static unsigned put_a(struct crow_cache *cache, const struct crow_query *query, uint32_t ttl_s,
		      uint8_t last, int64_t now_ns)
{
	return put_some(cache, query, ttl_s, last, 1, now_ns);
}

static unsigned put_failure(struct crow_cache *cache, const struct crow_query *query,
			    uint16_t rcode, int64_t now_ns)
{
	struct crow_message message;

	crow_message_fail(&message, rcode);
	return crow_cache_put(cache, query, &message, now_ns);
}

/* The TTL and the last byte of the first address. */
static uint32_t ttl_of(const struct told *told, const struct crow_query *query)
{
	const uint8_t *p = told->bytes + 16 + query->name_size + 6;

	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint8_t address_of(const struct told *told, const struct crow_query *query)
{
	return told->bytes[16 + query->name_size + 15];
}

/* ---- time ---- */

static void test_an_answer_is_kept_for_its_ttl(void **state_)
{
	struct crow_cache *cache = crow_cache_new(1, secret);
	struct crow_query query = dns_query(DNS_RD, "www.example", DNS_A);
	struct told told;

	(void)state_;
	assert_int_equal(state(cache, &query, 0), CROW_CACHE_MISS);
	put_a(cache, &query, 10, 7, 100 * S + 1);
	for (int64_t age_s = 0; age_s < 10; age_s++) {
		/* To the last ns of each second; never TTL 0. */
		assert_int_equal(ask(cache, &query, (101 + age_s) * S, false, 0, &told),
				 CROW_CACHE_FRESH);
		assert_int_equal(ttl_of(&told, &query), 10 - age_s);
		assert_int_equal(address_of(&told, &query), 7);
	}
	assert_int_equal(ask(cache, &query, 110 * S, false, 0, &told), CROW_CACHE_FRESH);
	assert_int_equal(state(cache, &query, 110 * S + 1), CROW_CACHE_STALE);
	crow_cache_free(cache);
}

static void test_a_stale_answer_lives_a_day(void **state_)
{
	struct crow_cache *cache = crow_cache_new(1, secret);
	struct crow_query query = dns_query_edns(DNS_RD | DNS_AD, "www.example", DNS_A, 0);
	struct told told;

	(void)state_;
	put_a(cache, &query, 300, 7, 0);
	assert_int_equal(ask(cache, &query, 299 * S, true, 0, &told), CROW_CACHE_FRESH);
	assert_int_equal(ttl_of(&told, &query), 1);
	assert_true(told.bytes[3] & DNS_AD);
	assert_int_equal(ask(cache, &query, 300 * S, true, 0, &told), CROW_CACHE_STALE);
	assert_int_equal(ttl_of(&told, &query), 30);
	assert_int_equal(address_of(&told, &query), 7);
	assert_false(told.bytes[3] & DNS_AD);
	assert_int_equal(state(cache, &query, (300 + 86400) * S - 1), CROW_CACHE_STALE);
	assert_int_equal(ask(cache, &query, (300 + 86400) * S, true, 0, &told), CROW_CACHE_MISS);
	/* What had a smaller TTL keeps that. */
	put_a(cache, &query, 2, 7, 0);
	assert_int_equal(ask(cache, &query, 300 * S, true, 0, &told), CROW_CACHE_STALE);
	assert_int_equal(ttl_of(&told, &query), 2);
	crow_cache_free(cache);
}

/* ---- failures ---- */

static void test_a_failure_is_kept_for_5_s(void **state_)
{
	struct crow_cache *cache = crow_cache_new(1, secret);
	struct crow_query query = dns_query(DNS_RD, "www.example", DNS_A);
	struct told told;

	(void)state_;
	put_failure(cache, &query, CROW_RCODE_REFUSED, 0);
	assert_int_equal(ask(cache, &query, 5 * S - 1, false, 0, &told), CROW_CACHE_FRESH);
	assert_int_equal(told.reply.rcode, CROW_RCODE_REFUSED);
	/* And is never served stale. */
	assert_int_equal(ask(cache, &query, 5 * S, true, 0, &told), CROW_CACHE_MISS);
	/* Another failure, or an answer, takes its place. */
	put_failure(cache, &query, CROW_RCODE_SERVFAIL, 3 * S);
	assert_int_equal(ask(cache, &query, 7 * S, false, 0, &told), CROW_CACHE_FRESH);
	assert_int_equal(told.reply.rcode, CROW_RCODE_SERVFAIL);
	put_a(cache, &query, 10, 7, 7 * S);
	assert_int_equal(ask(cache, &query, 7 * S, false, 0, &told), CROW_CACHE_FRESH);
	assert_int_equal(told.reply.rcode, CROW_RCODE_NOERROR);
	crow_cache_free(cache);
}

static void test_a_failure_does_not_push_out_an_answer(void **state_)
{
	struct crow_cache *cache = crow_cache_new(1, secret);
	struct crow_query query = dns_query(DNS_RD, "www.example", DNS_A);
	struct told told;

	(void)state_;
	put_a(cache, &query, 10, 7, 0);
	put_failure(cache, &query, CROW_RCODE_SERVFAIL, 2 * S); /* while it is fresh */
	assert_int_equal(ask(cache, &query, 9 * S, false, 0, &told), CROW_CACHE_FRESH);
	assert_int_equal(ttl_of(&told, &query), 1);
	assert_int_equal(state(cache, &query, 10 * S), CROW_CACHE_STALE);

	put_failure(cache, &query, CROW_RCODE_SERVFAIL, 20 * S);
	assert_int_equal(ask(cache, &query, 20 * S, true, 0, &told), CROW_CACHE_STALE);
	assert_int_equal(address_of(&told, &query), 7);
	/* For 5 s upstreams need not be asked. */
	assert_int_equal(ask(cache, &query, 25 * S - 1, false, 0, &told), CROW_CACHE_FRESH);
	assert_int_equal(address_of(&told, &query), 7);
	assert_int_equal(ttl_of(&told, &query), 10);
	assert_int_equal(state(cache, &query, 25 * S), CROW_CACHE_STALE);
	/* An answer ends that. */
	put_failure(cache, &query, CROW_RCODE_SERVFAIL, 30 * S);
	put_a(cache, &query, 10, 8, 31 * S);
	assert_int_equal(ask(cache, &query, 31 * S, false, 0, &told), CROW_CACHE_FRESH);
	assert_int_equal(ttl_of(&told, &query), 10);
	assert_int_equal(address_of(&told, &query), 8);
	/* What is too old to be served makes room. */
	put_failure(cache, &query, CROW_RCODE_SERVFAIL, (41 + 86400) * S);
	assert_int_equal(ask(cache, &query, (41 + 86400) * S, true, 0, &told), CROW_CACHE_FRESH);
	assert_int_equal(told.reply.rcode, CROW_RCODE_SERVFAIL);
	crow_cache_free(cache);
}

/* ---- what is kept ---- */

static void test_what_may_not_be_kept_takes_the_old_answer_away(void **state_)
{
	struct crow_cache *cache = crow_cache_new(1, secret);
	struct crow_query query = dns_query(DNS_RD, "www.example", DNS_A);

	(void)state_;
	put_a(cache, &query, 0, 7, 0);
	assert_int_equal(state(cache, &query, 0), CROW_CACHE_MISS);
	put_a(cache, &query, 10, 7, 0);
	put_a(cache, &query, 0, 8, 1);
	assert_int_equal(state(cache, &query, 1), CROW_CACHE_MISS);
	put_a(cache, &query, 10, 7, 0);
	put_some(cache, &query, 10, 0, CROW_MESSAGE_TTLS_MAX + 1, 1); /* too many */
	assert_int_equal(state(cache, &query, 1), CROW_CACHE_MISS);
	put_some(cache, &query, 10, 0, CROW_MESSAGE_TTLS_MAX, 1);
	assert_int_equal(state(cache, &query, 1), CROW_CACHE_FRESH);
	crow_cache_free(cache);
}

static void put_large(struct crow_cache *cache, const struct crow_query *query, size_t body_size)
{
	struct crow_message message;
	struct dns_script s;

	dns_begin(&s, DNS_QR, query->text, query->type);
	dns_record(&s, DNS_OWNER, query->type, 10);
	for (size_t i = 12; i < body_size; i++)
		crow_wire_put_u8(&s.out, (uint8_t)i);
	dns_end(&s);
	dns_counts(&s, 1, 0, 0);
	assert_true(crow_message_read(&message, query, s.bytes, s.out.at));
	assert_int_equal(message.body_size, body_size);
	crow_cache_put(cache, query, &message, 0);
}

static void test_large_answers_are_not_kept(void **state_)
{
	struct crow_cache *cache = crow_cache_new(1, secret);
	struct crow_query query = dns_query(DNS_RD, "www.example", DNS_TXT);

	(void)state_;
	put_large(cache, &query, CROW_CACHE_BODY_MAX + 1);
	assert_int_equal(state(cache, &query, 1), CROW_CACHE_MISS);
	put_large(cache, &query, CROW_CACHE_BODY_MAX);
	assert_int_equal(state(cache, &query, 1), CROW_CACHE_FRESH);
	put_large(cache, &query, CROW_CACHE_BODY_MAX + 1);
	assert_int_equal(state(cache, &query, 1), CROW_CACHE_MISS);
	crow_cache_free(cache);
}

static void test_a_question_is_name_type_do_and_cd(void **state_)
{
	struct crow_cache *cache = crow_cache_new(100, secret);
	const struct crow_query different[] = {
		dns_query(DNS_RD, "www.example", DNS_A),
		dns_query(DNS_RD, "www.example", DNS_TXT),
		dns_query(DNS_RD, "ww.wexample", DNS_A),
		dns_query(DNS_RD, "www", DNS_A),
		dns_query(DNS_RD, "", DNS_A),
		dns_query(DNS_RD | DNS_CD, "www.example", DNS_A),
		dns_query_edns(DNS_RD, "www.example", DNS_A, DNS_DO),
		dns_query_edns(DNS_RD | DNS_CD, "www.example", DNS_A, DNS_DO),
	};
	const struct crow_query same[] = {
		dns_query(DNS_RD, "WWW.eXaMpLe", DNS_A),
		dns_query(DNS_AD, "www.example", DNS_A),
		dns_query_edns(DNS_RD, "www.example", DNS_A, 0),
	};
	struct told told;

	(void)state_;
	for (uint8_t i = 0; i < 8; i++) {
		assert_int_equal(state(cache, &different[i], 0), CROW_CACHE_MISS);
		put_a(cache, &different[i], 10, i, 0);
	}
	for (uint8_t i = 0; i < 8; i++) {
		assert_int_equal(ask(cache, &different[i], 0, false, 0, &told), CROW_CACHE_FRESH);
		assert_int_equal(address_of(&told, &different[i]), i);
	}
	for (uint8_t i = 0; i < 3; i++) {
		assert_int_equal(ask(cache, &same[i], 0, false, 0, &told), CROW_CACHE_FRESH);
		assert_int_equal(address_of(&told, &same[i]), 0);
		assert_memory_equal(told.bytes + DNS_OWNER, same[i].name, same[i].name_size);
	}
	crow_cache_free(cache);
}

static struct crow_query query_of(const char *name, size_t size)
{
	uint8_t bytes[64] = "\0\1\1\0\0\1\0\0\0\0\0\0";
	struct crow_query query;

	memcpy(bytes + 12, name, size);
	memcpy(bytes + 12 + size, "\0\0\1\0\1", 5);
	assert_true(crow_query_read(&query, bytes, 12 + size + 5, false));
	assert_int_equal(query.rcode, CROW_RCODE_NOERROR);
	return query;
}

/* A label may hold any bytes: the texts of these are alike, or like the wire form of another. */
static void test_labels_of_any_bytes_are_told_apart(void **state_)
{
	struct crow_cache *cache = crow_cache_new(20, secret);
	const struct crow_query different[] = {
		query_of("\3a.b", 4),  query_of("\3a\0b", 4),  query_of("\1a\1b", 4),
		query_of("\4a.b.", 5), query_of("\4\3a.b", 5), query_of("\5\3a.b\0", 6),
	};
	const struct crow_query same = query_of("\3A.B", 4);
	enum { COUNT = sizeof(different) / sizeof(different[0]) };
	struct told told;

	(void)state_;
	for (uint8_t i = 0; i < COUNT; i++) {
		assert_int_equal(state(cache, &different[i], 0), CROW_CACHE_MISS);
		put_a(cache, &different[i], 10, i, 0);
	}
	for (uint8_t i = 0; i < COUNT; i++) {
		assert_int_equal(ask(cache, &different[i], 0, false, 0, &told), CROW_CACHE_FRESH);
		assert_int_equal(address_of(&told, &different[i]), i);
	}
	assert_int_equal(ask(cache, &same, 0, false, 0, &told), CROW_CACHE_FRESH);
	assert_int_equal(address_of(&told, &same), 0);
	crow_cache_free(cache);
}

static void test_sets_turn_and_denials_are_kept(void **state_)
{
	struct crow_cache *cache = crow_cache_new(1, secret);
	struct crow_query query = dns_query(DNS_RD, "www.example", DNS_A);
	struct crow_message message;
	struct dns_script s;
	struct told told;

	(void)state_;
	put_some(cache, &query, 10, 0, 4, 0);
	for (uint8_t turn = 0; turn < 9; turn++) {
		assert_int_equal(ask(cache, &query, 3 * S, false, turn, &told), CROW_CACHE_FRESH);
		assert_int_equal(address_of(&told, &query), turn % 4);
		assert_int_equal(told.reply.answers, 4);
		assert_int_equal(ttl_of(&told, &query), 7);
	}
	dns_begin(&s, DNS_QR | CROW_RCODE_NXDOMAIN, "www.example", DNS_A);
	dns_soa(&s, DNS_OWNER + 4, 100, 20);
	dns_counts(&s, 0, 1, 0);
	assert_true(crow_message_read(&message, &query, s.bytes, s.out.at));
	crow_cache_put(cache, &query, &message, 0);
	assert_int_equal(ask(cache, &query, 5 * S, false, 0, &told), CROW_CACHE_FRESH);
	assert_int_equal(told.reply.rcode, CROW_RCODE_NXDOMAIN);
	assert_int_equal(told.reply.authorities, 1);
	assert_int_equal(ttl_of(&told, &query), 15);
	assert_int_equal(ask(cache, &query, 20 * S, true, 0, &told), CROW_CACHE_STALE);
	assert_int_equal(told.reply.rcode, CROW_RCODE_NXDOMAIN);
	assert_int_equal(ttl_of(&told, &query), 20);
	crow_cache_free(cache);
}

/* ---- memory ---- */

static void test_memory_is_what_the_manual_says(void **state_)
{
	(void)state_;
	for (uint32_t entries = 1000; entries <= 1000000; entries = entries * 3 / 2) {
		size_t each = crow_cache_memory(entries) / entries;

		assert_true(each >= 264 && each <= 272);
	}
	assert_true(crow_cache_memory(1) < 32 * 1024);
}

/* Ordinary answers, all different: as many fit as were paid for, and then each new one costs about
 * one old one, however large the cache. */
static void test_a_full_cache_evicts_one_for_one(void **state_)
{
	static const uint32_t sizes[] = {100, 1000, 10000};

	(void)state_;
	for (size_t i = 0; i < 3; i++) {
		struct crow_cache *cache = crow_cache_new(sizes[i], secret);
		unsigned evicted = 0, most = 0;

		assert_non_null(cache);
		for (uint32_t k = 0; k < 4 * sizes[i]; k++) {
			char name[64];
			unsigned now;

			snprintf(name, sizeof(name), "host-%08u.department.example.com", k);
			struct crow_query query = dns_query(DNS_RD, name, DNS_A);
			now = put_some(cache, &query, 10, 1, 2, 0);
			if (k < sizes[i])
				assert_int_equal(now, 0);
			evicted += now;
			most = now > most ? now : most;
		}
		assert_true(evicted <= 3 * sizes[i]);
		assert_true(most <= 3);
		crow_cache_free(cache);
	}
}

/* A flood of names that are asked for once does not wash away one that is asked for often. */
static void test_what_is_asked_for_stays(void **state_)
{
	struct crow_cache *cache = crow_cache_new(200, secret);
	struct crow_query often = dns_query(DNS_RD, "often.example", DNS_A);
	unsigned evicted = 0;

	(void)state_;
	put_a(cache, &often, 100, 7, 0);
	for (unsigned flood = 0; flood < 5000; flood++) {
		char name[32];

		snprintf(name, sizeof(name), "n%u.example", flood);
		struct crow_query query = dns_query(DNS_RD, name, DNS_A);
		evicted += put_a(cache, &query, 100, 1, 0);
		if (flood % 100 == 0)
			assert_int_equal(state(cache, &often, 0), CROW_CACHE_FRESH);
	}
	assert_true(evicted > 4000);
	crow_cache_free(cache);
}

/* ---- against a model ---- */

#define NAMES 300

struct known {
	bool there, failure;
	uint8_t last;
	uint32_t ttl_s;
	int64_t stored_ns, held_ns;
};

static enum crow_cache_state expect(const struct known *known, int64_t now_ns, bool stale_too)
{
	int64_t end_ns = known->stored_ns + known->ttl_s * S;

	if (!known->there)
		return CROW_CACHE_MISS;
	if (now_ns < end_ns)
		return CROW_CACHE_FRESH;
	if (known->failure || now_ns >= end_ns + 86400 * S)
		return CROW_CACHE_MISS;
	return !stale_too && now_ns < known->held_ns ? CROW_CACHE_FRESH : CROW_CACHE_STALE;
}

static void model_put(struct known *known, bool failure, uint8_t last, uint32_t ttl_s,
		      int64_t now_ns)
{
	if (failure && !known->failure && expect(known, now_ns, true) != CROW_CACHE_MISS) {
		known->held_ns = now_ns + 5 * S;
		return;
	}
	*known = (struct known){.there = ttl_s > 0,
				.failure = failure,
				.last = last,
				.ttl_s = failure ? 5 : ttl_s,
				.stored_ns = now_ns,
				.held_ns = 0};
}

/* What the cache says is what the model says, or nothing; and it says nothing only where entries
 * were evicted. */
static void check_answer(struct crow_cache *cache, struct known *known,
			 const struct crow_query *query, int64_t now_ns, bool stale_too,
			 bool may_evict)
{
	enum crow_cache_state wanted = expect(known, now_ns, stale_too), found;
	struct told told;

	found = ask(cache, query, now_ns, stale_too, 0, &told);
	if (found == CROW_CACHE_MISS && wanted != CROW_CACHE_MISS) {
		assert_true(may_evict);
		known->there = false;
		return;
	}
	assert_int_equal(found, wanted);
	if (found == CROW_CACHE_MISS || (found == CROW_CACHE_STALE && !stale_too))
		return;
	assert_int_equal(told.reply.rcode, known->failure ? 2 : 0);
	if (!known->failure)
		assert_int_equal(address_of(&told, query), known->last);
}

static void play(unsigned seed, uint32_t entries, bool may_evict)
{
	static const uint32_t ttls[] = {0, 1, 5, 30, 300, 86400};
	struct crow_cache *cache = crow_cache_new(entries, secret);
	struct known known[NAMES] = {{0}};
	int64_t now_ns = 0;
	unsigned evicted = 0;
	struct told told;

	printf("seed %u, %u entries\n", seed, entries);
	srandom(seed);
	for (unsigned step = 0; step < 20000; step++) {
		uint32_t number = (uint32_t)random() % NAMES;
		char name[32];

		snprintf(name, sizeof(name), "%0*u.example", (int)(number % 16), number);
		struct crow_query query = dns_query(DNS_RD, name, DNS_A);
		/* Seconds as a rule, sometimes hours. */
		now_ns += random() % 1000 == 0 ? random() % (50000 * S) : random() % S;
		if (random() % 8 == 0) {
			/* Whether there still is what it must not push out. */
			if (may_evict &&
			    ask(cache, &query, now_ns, true, 0, &told) == CROW_CACHE_MISS)
				known[number].there = false;
			evicted += put_failure(cache, &query, CROW_RCODE_SERVFAIL, now_ns);
			model_put(&known[number], true, 0, 5, now_ns);
			check_answer(cache, &known[number], &query, now_ns, true, false);
		} else if (random() % 3 == 0) {
			uint32_t ttl_s = ttls[random() % 6];
			uint8_t last = (uint8_t)random();

			evicted += put_some(cache, &query, ttl_s, last, 1 + random() % 20, now_ns);
			model_put(&known[number], false, last, ttl_s, now_ns);
			check_answer(cache, &known[number], &query, now_ns, false, false);
		} else {
			check_answer(cache, &known[number], &query, now_ns, random() % 2,
				     may_evict);
		}
	}
	assert_int_equal(evicted > 0, may_evict);
	crow_cache_free(cache);
}

static void test_random_use_with_room(void **state_)
{
	(void)state_;
	for (unsigned seed = 1; seed <= 4; seed++)
		play(seed, 20 * NAMES, false);
}

static void test_random_use_without(void **state_)
{
	(void)state_;
	for (unsigned seed = 1; seed <= 4; seed++)
		play(seed, 20u << seed, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_hash_is_siphash_1_3),
		cmocka_unit_test(test_an_answer_is_kept_for_its_ttl),
		cmocka_unit_test(test_a_stale_answer_lives_a_day),
		cmocka_unit_test(test_a_failure_is_kept_for_5_s),
		cmocka_unit_test(test_a_failure_does_not_push_out_an_answer),
		cmocka_unit_test(test_what_may_not_be_kept_takes_the_old_answer_away),
		cmocka_unit_test(test_large_answers_are_not_kept),
		cmocka_unit_test(test_a_question_is_name_type_do_and_cd),
		cmocka_unit_test(test_labels_of_any_bytes_are_told_apart),
		cmocka_unit_test(test_sets_turn_and_denials_are_kept),
		cmocka_unit_test(test_memory_is_what_the_manual_says),
		cmocka_unit_test(test_a_full_cache_evicts_one_for_one),
		cmocka_unit_test(test_what_is_asked_for_stays),
		cmocka_unit_test(test_random_use_with_room),
		cmocka_unit_test(test_random_use_without),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
