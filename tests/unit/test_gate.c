/* Who gets an answer by DNS, and how often. The clock is a number. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/counters.h"
#include "daemon/dns/gate.h"

#define SECOND_NS INT64_C(1000000000)
#define START_NS  (1000 * SECOND_NS)

static struct crow_addr addr(const char *text)
{
	struct crow_addr out;

	assert_true(crow_addr_parse(text, strlen(text), &out));
	return out;
}

static struct crow_rate *make_rate(uint32_t per_s)
{
	struct crow_rate *rate = calloc(1, sizeof(*rate));

	assert_non_null(rate);
	rate->per_s = per_s;
	rate->seed = 1;
	return rate;
}

struct taken {
	unsigned given, dropped, truncated;
};

static struct taken take(struct crow_rate *rate, const char *peer, unsigned times, int64_t now_ns)
{
	const struct crow_addr from = addr(peer);
	struct taken taken = {0};

	while (times-- > 0) {
		enum crow_rate_verdict verdict = crow_rate_take(rate, &from, now_ns);

		taken.given += verdict == CROW_RATE_GIVE;
		taken.dropped += verdict == CROW_RATE_DROP;
		taken.truncated += verdict == CROW_RATE_TRUNCATE;
	}
	return taken;
}

static void test_a_network_gets_its_rate(void **state)
{
	struct crow_rate *rate = make_rate(100);
	struct taken taken = take(rate, "10.0.0.1", 300, START_NS);

	(void)state;
	assert_int_equal(taken.given, 200); /* what two seconds give, at once */
	assert_int_equal(taken.truncated, 50);
	assert_int_equal(taken.dropped, 50);
	assert_int_equal(take(rate, "10.0.0.1", 300, START_NS + SECOND_NS).given, 100);
	assert_int_equal(take(rate, "10.0.0.1", 300, START_NS + SECOND_NS + SECOND_NS / 10).given,
			 10);
	assert_int_equal(take(rate, "10.0.0.1", 300, START_NS + 3600 * SECOND_NS).given, 200);
	free(rate);
}

static void test_a_network_is_a_24_or_a_56(void **state)
{
	struct crow_rate *rate = make_rate(10);

	(void)state;
	assert_int_equal(take(rate, "10.0.0.1", 30, START_NS).given, 20);
	assert_int_equal(take(rate, "10.0.0.255", 30, START_NS).given, 0);
	assert_int_equal(take(rate, "10.0.1.1", 30, START_NS).given, 20);
	assert_int_equal(take(rate, "2001:db8:0:100::1", 30, START_NS).given, 20);
	assert_int_equal(take(rate, "2001:db8:0:1ff:ffff::1", 30, START_NS).given, 0);
	assert_int_equal(take(rate, "2001:db8:0:200::1", 30, START_NS).given, 20);
	/* The bytes of 10.0.2.0/24, as a prefix of IPv6. */
	assert_int_equal(take(rate, "10.0.2.1", 30, START_NS).given, 20);
	assert_int_equal(take(rate, "0:0:a:2ff::1", 30, START_NS).given, 20);
	free(rate);
}

static void test_no_limit(void **state)
{
	struct crow_rate *rate = make_rate(0);

	(void)state;
	assert_int_equal(take(rate, "10.0.0.1", 100000, START_NS).given, 100000);
	free(rate);
}

static void test_a_clock_that_has_just_begun(void **state)
{
	struct crow_rate *rate = make_rate(10);

	(void)state;
	assert_int_equal(take(rate, "10.0.0.1", 30, 0).given, 20);
	assert_int_equal(take(rate, "10.0.0.1", 30, 1).given, 0);
	free(rate);
}

/* More networks than there are buckets, a hundred times. */
static void test_a_flood_does_not_wash_out_who_is_over_the_limit(void **state)
{
	struct crow_rate *rate = make_rate(10);
	unsigned given = take(rate, "192.0.2.1", 30, START_NS).given;
	char peer[32];

	(void)state;
	for (unsigned i = 0; i < 400000; i++) {
		snprintf(peer, sizeof(peer), "10.%u.%u.1", i >> 8 & 255, i & 255);
		take(rate, peer, 1, START_NS);
		if (i % 100 == 0)
			given += take(rate, "192.0.2.1", 1, START_NS).given;
	}
	assert_int_equal(given, 20);
	free(rate);
}

/* ---- the gate ---- */

static struct crow_gate *make_gate(const char *network, uint32_t per_s)
{
	struct crow_gate *gate = calloc(1, sizeof(*gate));
	struct crow_cidr cidr;
	struct crow_config config = {.dns_rate_limit = per_s};

	assert_non_null(gate);
	if (network) {
		assert_true(crow_cidr_parse(network, &cidr));
		config.dns_allow = (struct crow_cidrs){&cidr, 1};
	}
	assert_true(crow_gate_configure(gate, &config));
	crow_gate_update(gate);
	return gate;
}

static void free_gate(struct crow_gate *gate)
{
	crow_gate_fini(gate);
	free(gate);
}

static enum crow_verdict judge(struct crow_gate *gate, const char *peer, const char *own)
{
	const struct crow_addr from = addr(peer), to = addr(own);

	return crow_gate_judge(gate, &from, &to, START_NS);
}

static void test_others_are_dropped_and_counted(void **state)
{
	struct crow_gate *gate = make_gate("10.0.0.0/8", 0);
	const struct crow_addr outside = addr("11.0.0.1"), inside = addr("10.1.1.1");
	const struct crow_addr own = addr("10.0.0.1");
	uint64_t before = crow_counters.dns_outside;

	(void)state;
	assert_int_equal(judge(gate, "10.1.1.1", "10.0.0.1"), CROW_VERDICT_ANSWER);
	assert_int_equal(judge(gate, "11.0.0.1", "10.0.0.1"), CROW_VERDICT_DROP);
	assert_int_equal(judge(gate, "11.0.0.1", "11.0.0.1"), CROW_VERDICT_ANSWER);
	assert_true(crow_gate_admits(gate, &inside, &own));
	assert_false(crow_gate_admits(gate, &outside, &own));
	assert_int_equal(crow_counters.dns_outside, before + 2);
	free_gate(gate);
}

static void test_this_host_is_never_limited(void **state)
{
	struct crow_gate *gate = make_gate("0.0.0.0/0", 1);
	uint64_t before = crow_counters.dns_limited;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(judge(gate, "127.0.0.1", "10.0.0.1"), CROW_VERDICT_ANSWER);
		assert_int_equal(judge(gate, "10.0.0.1", "10.0.0.1"), CROW_VERDICT_ANSWER);
	}
	assert_int_equal(judge(gate, "10.0.0.2", "10.0.0.1"), CROW_VERDICT_ANSWER);
	assert_int_equal(judge(gate, "10.0.0.2", "10.0.0.1"), CROW_VERDICT_ANSWER);
	assert_int_equal(judge(gate, "10.0.0.2", "10.0.0.1"), CROW_VERDICT_DROP);
	assert_int_equal(judge(gate, "10.0.0.2", "10.0.0.1"), CROW_VERDICT_TRUNCATE);
	assert_int_equal(crow_counters.dns_limited, before + 2);
	free_gate(gate);
}

/* The last rules that were left are the ones taken, and those before them are freed. */
static void test_rules_are_taken_when_the_worker_wakes(void **state)
{
	struct crow_gate *gate = make_gate("10.0.0.0/8", 0);
	struct crow_config config = {0};

	(void)state;
	assert_true(crow_gate_configure(gate, &config));
	assert_true(crow_gate_configure(gate, &config));
	assert_int_equal(judge(gate, "10.1.1.1", "10.0.0.1"), CROW_VERDICT_ANSWER);
	crow_gate_update(gate);
	assert_int_equal(judge(gate, "10.1.1.1", "10.0.0.1"), CROW_VERDICT_DROP);
	crow_gate_update(gate);
	assert_int_equal(judge(gate, "10.1.1.1", "10.0.0.1"), CROW_VERDICT_DROP);
	assert_true(crow_gate_configure(gate, &config)); /* never taken */
	free_gate(gate);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_network_gets_its_rate),
		cmocka_unit_test(test_a_network_is_a_24_or_a_56),
		cmocka_unit_test(test_no_limit),
		cmocka_unit_test(test_a_clock_that_has_just_begun),
		cmocka_unit_test(test_a_flood_does_not_wash_out_who_is_over_the_limit),
		cmocka_unit_test(test_others_are_dropped_and_counted),
		cmocka_unit_test(test_this_host_is_never_limited),
		cmocka_unit_test(test_rules_are_taken_when_the_worker_wakes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
