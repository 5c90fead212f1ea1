/* The order that a stub resolver of this host would make of an answer, and answers that it leaves as
 * they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/dns/choice.h"
#include "tests/unit/fixture.h"

static struct crow_host host;

static struct crow_addr addr(const char *text)
{
	struct crow_addr out;

	assert_true(crow_addr_parse(text, strlen(text), &out));
	return out;
}

static struct crow_host_address address(const char *text, uint8_t bits)
{
	return (struct crow_host_address){.addr = addr(text), .bits = bits, .interface = 2};
}

static void has(const char *text, uint8_t bits)
{
	struct crow_host_address added = address(text, bits);

	crow_host_add(&host, &added);
}

static unsigned match(const char *text)
{
	struct crow_addr destination = addr(text);

	return crow_host_match(&host, &destination);
}

static int clear(void **state)
{
	(void)state;
	crow_host_clear(&host);
	return 0;
}

static void test_ipv4_counts_within_its_prefix_alone(void **state)
{
	(void)state;
	assert_int_equal(match("10.0.5.9"), 0);
	has("10.0.5.9", 24);
	assert_int_equal(match("10.0.5.8"), 31);
	assert_int_equal(match("10.0.5.9"), 32);
	assert_int_equal(match("10.0.5.200"), 24);
	assert_int_equal(match("10.0.4.9"), 0); /* 23 bits, behind a router */
	assert_int_equal(match("2001:db8::1"), 0);
}

static void test_the_longest_prefix_is_the_source(void **state)
{
	(void)state;
	has("10.0.0.1", 8);
	has("10.0.5.9", 24);
	has("10.0.0.2", 16);
	assert_int_equal(match("10.0.5.1"), 28); /* with 10.0.5.9 */
	assert_int_equal(match("10.0.0.1"), 32); /* its own */
	assert_int_equal(match("10.0.4.2"), 21); /* with 10.0.0.2 */
	assert_int_equal(match("10.128.0.1"), 8);
}

static void test_a_secondary_address_is_no_source(void **state)
{
	struct crow_host_address second = address("10.0.5.129", 24);

	(void)state;
	second.secondary = true;
	crow_host_add(&host, &second);
	assert_int_equal(match("10.0.5.128"), 0);
	has("10.0.5.9", 24);
	assert_int_equal(match("10.0.5.128"), 24);
	assert_int_equal(match("10.0.5.129"), 32);
	second.secondary = false; /* it was promoted */
	crow_host_add(&host, &second);
	second = address("10.0.5.9", 24);
	crow_host_remove(&host, &second);
	assert_int_equal(match("10.0.5.128"), 31);
}

static void test_ipv6_counts_beyond_its_prefix(void **state)
{
	(void)state;
	has("::1", 128);
	has("fe80::1", 64);
	has("2001:db8::1", 64);
	assert_int_equal(match("2001:db8::2"), 126);
	assert_int_equal(match("2001:db8:0:1::1"), 63);
	assert_int_equal(match("2001:db8::1"), 128);
	assert_int_equal(match("fe80::2"), 126);
	assert_int_equal(match("febf::1"), 10);
	has("2001:db8:0:1::9", 64);
	assert_int_equal(match("2001:db8:0:1::1"), 124);
}

static void test_removal(void **state)
{
	struct crow_host_address gone = address("10.0.5.9", 24);

	(void)state;
	has("10.0.5.9", 24);
	has("10.0.5.9", 24); /* said twice, is there once */
	has("10.0.5.9", 16);
	crow_host_remove(&host, &gone);
	assert_int_equal(match("10.0.5.1"), 28);
	gone.bits = 16;
	gone.interface = 3;
	crow_host_remove(&host, &gone);
	assert_int_equal(match("10.0.5.1"), 28);
	gone.interface = 2;
	crow_host_remove(&host, &gone);
	crow_host_remove(&host, &gone);
	assert_int_equal(match("10.0.5.1"), 0);
}

static void test_too_many_addresses(void **state)
{
	struct crow_host_address bad = address("10.0.5.9", 33);
	char text[32];

	(void)state;
	crow_host_add(&host, &bad);
	assert_int_equal(match("10.0.5.9"), 0);
	for (unsigned i = 0; i < 2 * CROW_HOST_MAX; i++) {
		snprintf(text, sizeof(text), "10.9.%u.1", i);
		has(text, 32);
	}
	has("10.0.5.9", 24);
	assert_int_equal(host.v4.count, CROW_HOST_MAX);
	assert_int_equal(match("10.0.5.8"), 31);
}

/* ---- answers ---- */

static struct crow_published *published;

enum { INSTANCES = 8, PICKS = 3600 };

/* 10.0.5.1 to 10.0.5.8 with weights 1 to 8. */
static int build(void **state)
{
	struct fixture_item items[INSTANCES], six[INSTANCES];
	char text[INSTANCES][32], text_six[INSTANCES][32];
	struct fixture f;

	for (int i = 0; i < INSTANCES; i++) {
		snprintf(text[i], sizeof(text[i]), "10.0.5.%d", i + 1);
		snprintf(text_six[i], sizeof(text_six[i]), "2001:db8::%d", i + 1);
		items[i] = (struct fixture_item){text[i], 80, i + 1};
		six[i] = (struct fixture_item){text_six[i], 80, i + 1};
	}
	fixture_init(&f, FIXTURE_CONFIG);
	fixture_take(&f, "one", items, INSTANCES);
	fixture_take(&f, "two_b", six, INSTANCES);
	published = fixture_build(&f);
	fixture_fini(&f);
	return clear(state);
}

static int destroy(void **state)
{
	(void)state;
	free(published);
	return 0;
}

static unsigned counts[INSTANCES + 1];
static size_t total;

static const struct crow_addr *address_of(uint32_t pick)
{
	return &published->image.instances[pick].addr;
}

/* What a client uses first that sorts stably by rule 9. */
static void count_firsts(enum crow_family family, const struct crow_host *known)
{
	uint64_t sequences[CROW_SEQUENCES] = {0};
	struct crow_answer_settings settings = {
		.host = known, .sequences = sequences, .given = published->given};
	struct crow_choice choice;

	memset(counts, 0, sizeof(counts));
	total = 0;
	for (unsigned pick = 0; pick < PICKS; pick++) {
		size_t best = 0;

		crow_choice_addresses(&published->image, family == CROW_V6, family, &settings, 3,
				      &choice);
		assert_in_range(choice.count, 1, 3);
		total += choice.count;
		for (size_t i = 0; i < choice.count; i++) {
			assert_memory_equal(&choice.addrs[i], address_of(choice.instances[i]), 16);
			if (crow_host_match(&host, &choice.addrs[i]) >
			    crow_host_match(&host, &choice.addrs[best]))
				best = i;
		}
		counts[choice.addrs[best].bytes[15]]++;
	}
}

static void assert_weights(void)
{
	for (unsigned i = 1; i <= INSTANCES; i++)
		assert_in_range(counts[i], 100 * i - 4, 100 * i + 4);
}

static void test_weights_survive_the_sorting(void **state)
{
	(void)state;
	has("10.0.5.9", 24);
	count_firsts(CROW_V4, &host);
	assert_weights();
	assert_true(total > PICKS + PICKS / 2); /* most have another to fall back on */
	count_firsts(CROW_V4, NULL);            /* and without knowing the host they do not */
	assert_true(counts[8] > 2000);
}

static void test_weights_survive_the_sorting_of_ipv6(void **state)
{
	(void)state;
	has("2001:db8::9", 128);
	count_firsts(CROW_V6, &host);
	assert_weights();
	count_firsts(CROW_V6, NULL);
	assert_true(counts[8] > 2000);
}

static void test_elsewhere_all_are_answered(void **state)
{
	(void)state;
	has("10.0.6.9", 24);
	count_firsts(CROW_V4, &host);
	assert_weights();
	assert_int_equal(total, 3 * PICKS);
}

/* Half of them in another network: the pick is off-link, then none that is on-link may follow. */
static void test_on_link_instances_do_not_follow_others(void **state)
{
	(void)state;
	has("10.0.5.6", 30); /* 4 to 7 */
	count_firsts(CROW_V4, &host);
	assert_weights();
}

#define TEST(name)   cmocka_unit_test_setup(name, clear)
#define ANSWER(name) cmocka_unit_test_setup_teardown(name, build, destroy)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_ipv4_counts_within_its_prefix_alone),
		TEST(test_the_longest_prefix_is_the_source),
		TEST(test_a_secondary_address_is_no_source),
		TEST(test_ipv6_counts_beyond_its_prefix),
		TEST(test_removal),
		TEST(test_too_many_addresses),
		ANSWER(test_weights_survive_the_sorting),
		ANSWER(test_weights_survive_the_sorting_of_ipv6),
		ANSWER(test_elsewhere_all_are_answered),
		ANSWER(test_on_link_instances_do_not_follow_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
