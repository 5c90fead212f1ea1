/* The rules for lists: what is dropped, merged, clamped, refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/list.h"

struct fixture {
	struct crow_list list;
	struct crow_list_tally tally;
	struct crow_cidr cidrs[4];
	struct crow_cidrs accept;
};

static int setup(void **state)
{
	*state = calloc(1, sizeof(struct fixture));
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	crow_list_fini(&f->list);
	free(f);
	return 0;
}

static void accept_also(struct fixture *f, const char *cidr)
{
	f->accept.items = f->cidrs;
	assert_true(crow_cidr_parse(cidr, &f->cidrs[f->accept.count++]));
}

static void add(struct fixture *f, const char *ip, int64_t port, double weight)
{
	assert_true(crow_list_add(&f->list, &f->accept, ip, port, weight, "app", &f->tally));
}

static enum crow_list_verdict finish(struct fixture *f)
{
	return crow_list_finish(&f->list, &f->tally);
}

static const char *endpoint(const struct fixture *f, size_t i)
{
	static char text[CROW_ENDPOINT_TEXT];

	assert_true(i < f->list.count);
	crow_addr_format(&f->list.items[i].addr, f->list.items[i].port, text);
	return text;
}

static void test_no_items_are_an_empty_list(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(finish(f), CROW_LIST_EMPTY);
	assert_null(f->list.items);
}

static void test_order_is_family_address_port(void **state)
{
	struct fixture *f = *state;

	add(f, "2001:db8::1", 80, 1);
	add(f, "::5", 80, 1); /* by its bytes before any v4-mapped address */
	add(f, "10.0.0.2", 80, 1);
	add(f, "10.0.0.1", 65535, 1);
	add(f, "10.0.0.1", 1, 1);
	assert_int_equal(finish(f), CROW_LIST_OK);
	assert_int_equal(f->list.count, 5);
	assert_string_equal(endpoint(f, 0), "10.0.0.1:1");
	assert_string_equal(endpoint(f, 1), "10.0.0.1:65535");
	assert_string_equal(endpoint(f, 2), "10.0.0.2:80");
	assert_string_equal(endpoint(f, 3), "[::5]:80");
	assert_string_equal(endpoint(f, 4), "[2001:db8::1]:80");
	assert_string_equal(f->tally.example, "");
}

static void test_of_duplicates_the_last_weight_wins(void **state)
{
	struct fixture *f = *state;

	for (int weight = 1; weight <= 100; weight++) {
		add(f, "10.0.0.2", 80, weight);
		add(f, "10.0.0.1", 80, 200 - weight);
	}
	assert_int_equal(finish(f), CROW_LIST_OK);
	assert_int_equal(f->list.count, 2);
	assert_int_equal(f->list.items[0].weight, 100);
	assert_int_equal(f->list.items[1].weight, 100);
	assert_int_equal(f->tally.merged, 198);
	assert_int_equal(f->tally.seen, 200);
}

static void test_v4_mapped_text_is_the_ipv4_address(void **state)
{
	struct fixture *f = *state;

	add(f, "10.0.0.1", 80, 5);
	add(f, "::ffff:10.0.0.1", 80, 7);
	assert_int_equal(finish(f), CROW_LIST_OK);
	assert_int_equal(f->list.count, 1);
	assert_int_equal(f->list.items[0].weight, 7);
	assert_string_equal(endpoint(f, 0), "10.0.0.1:80");
}

static void test_weights(void **state)
{
	static const struct {
		double in;
		uint32_t out;
	} cases[] = {
		{0, 0},           {-0.0, 0},
		{0.001, 1},       {0.5, 1},
		{1.4, 1},         {1.5, 2},
		{100, 100},       {999999.4, 999999},
		{1e6, 1000000},   {1000000.5, 1000000},
		{1e300, 1000000},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		add(f, "10.0.0.1", (int64_t)i + 1, cases[i].in);
	assert_int_equal(finish(f), CROW_LIST_OK);
	for (size_t i = 0; i < f->list.count; i++)
		assert_int_equal(f->list.items[i].weight, cases[i].out);
	assert_int_equal(f->tally.clamped, 2);
	assert_int_equal(f->tally.dropped, 0);
}

static void test_no_weights(void **state)
{
	struct fixture *f = *state;

	for (int port = 1; port <= 4; port++)
		add(f, "10.0.0.1", port, 1);
	add(f, "10.0.0.2", 80, -1);
	add(f, "10.0.0.2", 80, -0.0001);
	add(f, "10.0.0.2", 80, NAN);
	add(f, "10.0.0.2", 80, INFINITY);
	assert_int_equal(finish(f), CROW_LIST_OK);
	assert_int_equal(f->list.count, 4);
	assert_int_equal(f->tally.dropped, 4);
	assert_string_equal(f->tally.example, "item 5: weight -1 of 10.0.0.2 is no weight");
}

static void test_ports_and_addresses(void **state)
{
	static const char *const no_addresses[] = {"",          "10.0.0",     "10.0.0.1:80",
						   "010.0.0.1", "fe80::1%lo", "[::1]",
						   " 10.0.0.1", "host"};
	static const int64_t no_ports[] = {0, -1, 65536, INT64_MAX, INT64_MIN};
	struct fixture *f = *state;

	for (int i = 0; i < 20; i++)
		add(f, "10.0.0.1", 80 + i, 1);
	for (size_t i = 0; i < 8; i++)
		add(f, no_addresses[i], 80, 1);
	for (size_t i = 0; i < 5; i++)
		add(f, "10.0.0.2", no_ports[i], 1);
	assert_int_equal(finish(f), CROW_LIST_OK);
	assert_int_equal(f->list.count, 20);
	assert_int_equal(f->tally.dropped, 13);
	assert_int_equal(f->tally.outside, 0);
}

static void test_foreign_text_in_an_example_is_made_harmless(void **state)
{
	struct fixture *f = *state;

	add(f, "\x1b[2J\n\xff", 80, 1);
	assert_string_equal(f->tally.example, "item 1: \"?[2J??\" is not an address");
}

static void test_unusual_addresses_need_accept(void **state)
{
	static const char *const unusual[] = {"0.0.0.0",   "0.1.2.3",   "127.0.0.1", "169.254.1.1",
					      "224.0.0.1", "239.9.9.9", "::",        "::1",
					      "fe80::1",   "febf::1",   "ff02::1"};
	static const char *const ordinary[] = {"1.0.0.1",   "169.253.0.1", "169.255.0.1",
					       "223.1.1.1", "240.0.0.1",   "::2",
					       "fec0::1",   "fd00::1"};
	struct fixture *f = *state;

	for (size_t i = 0; i < 8; i++)
		add(f, ordinary[i], 80, 1);
	assert_int_equal(f->tally.outside, 0);
	for (size_t i = 0; i < 11; i++)
		add(f, unusual[i], 80, 1);
	assert_int_equal(f->tally.outside, 11);
	assert_int_equal(f->tally.dropped, 0);
	assert_int_equal(finish(f), CROW_LIST_REFUSED);
}

static void test_accept_names_all_that_is_accepted(void **state)
{
	struct fixture *f = *state;

	accept_also(f, "127.0.0.0/8");
	accept_also(f, "fd00::/8");
	add(f, "127.0.0.9", 80, 1);
	add(f, "fd12::1", 80, 1);
	add(f, "10.0.0.1", 80, 1);
	assert_int_equal(finish(f), CROW_LIST_OK);
	assert_int_equal(f->list.count, 2);
	assert_int_equal(f->tally.outside, 1);
	assert_string_equal(f->tally.example, "item 3: 10.0.0.1 is not covered by `accept`");
}

static void check_reason(struct fixture *f, const char *source, const char *expected)
{
	char reason[CROW_LIST_REASON];

	crow_list_explain(&f->tally, source, reason);
	assert_string_equal(reason, expected);
}

static void test_what_is_outside_comes_with_the_next_step(void **state)
{
	struct fixture *f = *state;

	check_reason(f, "mine", "");
	add(f, "10.0.0.1", 0, 1);
	check_reason(f, "mine", "item 1: port 0 of 10.0.0.1 is not from 1 to 65535");
	memset(&f->tally, 0, sizeof(f->tally));
	add(f, "127.0.0.1", 80, 1);
	check_reason(f, "mine",
		     "item 1: 127.0.0.1 is not covered by `accept`; if its instances are there, "
		     "give [source mine] a line accept= with all networks that they are in");
	check_reason(f, CROW_COMMAND_LINE_SOURCE,
		     "item 1: 127.0.0.1 is not covered by `accept`; if its instances are there, "
		     "start crowflyd with --accept and all networks that they are in");
}

static void test_half_bad_is_taken_and_more_is_refused(void **state)
{
	struct fixture *f = *state;

	add(f, "10.0.0.1", 80, 1);
	add(f, "10.0.0.1", 0, 1);
	add(f, "10.0.0.2", 80, 1);
	add(f, "127.0.0.1", 80, 1);
	assert_int_equal(finish(f), CROW_LIST_OK);

	memset(&f->tally, 0, sizeof(f->tally));
	crow_list_fini(&f->list);
	add(f, "10.0.0.1", 80, 1);
	add(f, "10.0.0.1", 0, 1);
	crow_list_drop(&f->tally, "%s", "no object");
	assert_int_equal(finish(f), CROW_LIST_REFUSED);
	assert_int_equal(f->list.count, 0);
	assert_null(f->list.items);
	assert_null(f->list.apps);
}

static void test_all_drained_is_no_valid_list(void **state)
{
	struct fixture *f = *state;

	add(f, "10.0.0.1", 80, 0);
	add(f, "10.0.0.2", 80, 0);
	assert_int_equal(finish(f), CROW_LIST_DRAINED);
	assert_int_equal(f->list.count, 2);
}

/* The duplicate that wins may be the one that drains. */
static void test_merged_to_drained(void **state)
{
	struct fixture *f = *state;

	add(f, "10.0.0.1", 80, 5);
	add(f, "10.0.0.1", 80, 0);
	assert_int_equal(finish(f), CROW_LIST_DRAINED);
}

static void append(struct crow_list *list, uint32_t host, const char *app)
{
	uint8_t bytes[4] = {10, (uint8_t)(host >> 16), (uint8_t)(host >> 8), (uint8_t)host};
	struct crow_addr addr = crow_addr_v4(bytes);

	assert_true(crow_list_append(list, &addr, 80, 1, app));
}

static void test_labels(void **state)
{
	struct fixture *f = *state;
	char long_label[300];

	memset(long_label, 'x', sizeof(long_label) - 1);
	long_label[sizeof(long_label) - 1] = '\0';
	append(&f->list, 0, "a");
	append(&f->list, 1, NULL);
	append(&f->list, 2, "");
	append(&f->list, 3, "a");
	append(&f->list, 4, "b\x01\xc3\xa4");
	append(&f->list, 5, long_label);
	assert_int_equal(f->list.app_count, 4); /* "", a, b???, xxx... */
	assert_string_equal(f->list.apps[0], "");
	assert_int_equal(f->list.items[0].app, f->list.items[3].app);
	assert_int_equal(f->list.items[1].app, 0);
	assert_int_equal(f->list.items[2].app, 0);
	assert_string_equal(f->list.apps[f->list.items[4].app], "b???");
	assert_int_equal(strlen(f->list.apps[f->list.items[5].app]), 128);
}

static void test_a_hundred_thousand_items_and_labels(void **state)
{
	struct fixture *f = *state;
	char label[32];

	for (uint32_t i = 100000; i-- > 0;) {
		snprintf(label, sizeof(label), "label-%u", i);
		append(&f->list, i * 7 % 100000, label);
		f->tally.seen++;
	}
	assert_int_equal(finish(f), CROW_LIST_OK);
	assert_int_equal(f->list.count, 100000);
	assert_int_equal(f->list.capacity, 100000);
	assert_null(f->list.app_slots);
	assert_in_range(f->list.app_count, 65000, 65536);
	for (size_t i = 1; i < f->list.count; i++)
		assert_true(crow_item_compare(&f->list.items[i - 1], &f->list.items[i]) < 0);
	for (size_t i = 0; i < f->list.count; i++)
		assert_true(f->list.items[i].app < f->list.app_count);
}

static void test_a_finished_list_may_grow(void **state)
{
	struct fixture *f = *state;
	char label[32];

	for (uint32_t i = 0; i < 100; i++) {
		snprintf(label, sizeof(label), "%u", i);
		append(&f->list, i, label);
		f->tally.seen++;
		if (i == 50)
			assert_int_equal(finish(f), CROW_LIST_OK);
	}
	assert_int_equal(finish(f), CROW_LIST_OK);
	for (uint32_t i = 0; i < 100; i++) {
		snprintf(label, sizeof(label), "%u", i);
		assert_string_equal(f->list.apps[f->list.items[i].app], label);
	}
}

static void test_too_many(void **state)
{
	struct fixture *f = *state;

	for (uint32_t i = 0; i <= CROW_LIST_MAX; i++)
		append(&f->list, i, "a");
	f->tally.seen = CROW_LIST_MAX + 1;
	assert_int_equal(finish(f), CROW_LIST_OVERSIZE);
	assert_int_equal(f->list.count, 0);
}

static void test_equal(void **state)
{
	struct crow_list a = {0}, b = {0};
	struct crow_list_tally tally = {.seen = 2};

	(void)state;
	assert_true(crow_list_equal(&a, &b));
	append(&a, 1, "x");
	append(&a, 2, "y");
	append(&b, 2, "y");
	assert_false(crow_list_equal(&a, &b));
	append(&b, 1, "x");
	crow_list_finish(&a, &tally);
	crow_list_finish(&b, &tally);
	assert_true(crow_list_equal(&a, &b)); /* though y is label 2 here and 1 there */
	b.items[0].weight++;
	assert_false(crow_list_equal(&a, &b));
	b.items[0].weight--;
	b.items[1].port++;
	assert_false(crow_list_equal(&a, &b));
	b.items[1].port--;
	b.items[1].app = 0;
	assert_false(crow_list_equal(&a, &b));
	crow_list_fini(&a);
	crow_list_fini(&b);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(no_items_are_an_empty_list),
		TEST(order_is_family_address_port),
		TEST(of_duplicates_the_last_weight_wins),
		TEST(v4_mapped_text_is_the_ipv4_address),
		TEST(weights),
		TEST(no_weights),
		TEST(ports_and_addresses),
		TEST(foreign_text_in_an_example_is_made_harmless),
		TEST(unusual_addresses_need_accept),
		TEST(what_is_outside_comes_with_the_next_step),
		TEST(accept_names_all_that_is_accepted),
		TEST(half_bad_is_taken_and_more_is_refused),
		TEST(all_drained_is_no_valid_list),
		TEST(merged_to_drained),
		TEST(labels),
		TEST(a_hundred_thousand_items_and_labels),
		TEST(a_finished_list_may_grow),
		TEST(too_many),
		TEST(equal),
	};

	return cmocka_run_group_tests_name("list", tests, NULL, NULL);
}
