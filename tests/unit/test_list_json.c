/* What the platform may send, and what comes of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/list.h"

#define GOOD_1      "{\"app\":\"svc-a\",\"ip\":\"172.16.0.1\",\"port\":50000,\"weight\":100}"
#define GOOD_2      "{\"app\":\"svc-a\",\"ip\":\"172.16.0.2\",\"port\":50000,\"weight\":50}"
#define BODY(items) "{\"correlative\":[\"svc\"],\"endpoints\":{\"items\":" items "}}"

static struct crow_list list;
static struct crow_list_tally tally;

static int setup(void **state)
{
	(void)state;
	crow_list_init(&list);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	crow_list_fini(&list);
	return 0;
}

/* From a block of exactly that size, so that reading past the end shows under a sanitizer. */
static enum crow_list_verdict read_bytes(const char *bytes, size_t size)
{
	char *exact = malloc(size ? size : 1);
	enum crow_list_verdict verdict;

	assert_non_null(exact);
	memcpy(exact, bytes, size);
	crow_list_fini(&list);
	verdict = crow_list_read_json(&list, exact, size, NULL, &tally);
	free(exact);
	if (verdict != CROW_LIST_OK && verdict != CROW_LIST_DRAINED)
		assert_null(list.items);
	return verdict;
}

static enum crow_list_verdict read_text(const char *text)
{
	return read_bytes(text, strlen(text));
}

static void test_a_good_list(void **state)
{
	(void)state;
	assert_int_equal(read_text(BODY("[" GOOD_2 "," GOOD_1 "]")), CROW_LIST_OK);
	assert_int_equal(list.count, 2);
	assert_int_equal(list.items[0].weight, 100);
	assert_int_equal(list.items[1].weight, 50);
	assert_int_equal(list.items[0].port, 50000);
	assert_string_equal(list.apps[list.items[0].app], "svc-a");
	assert_int_equal(tally.seen, 2);
}

static void test_white_space_around_it(void **state)
{
	(void)state;
	assert_int_equal(read_text(" \r\n\t" BODY("[" GOOD_1 "]") "\n\n"), CROW_LIST_OK);
}

static void test_no_items(void **state)
{
	static const char *const bodies[] = {
		BODY("[]"),
		BODY("null"),
		"{\"endpoints\":null}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(*bodies); i++)
		assert_int_equal(read_text(bodies[i]), CROW_LIST_EMPTY);
}

static void test_all_drained(void **state)
{
	(void)state;
	assert_int_equal(read_text(BODY("[{\"ip\":\"10.0.0.1\",\"port\":80,\"weight\":0}]")),
			 CROW_LIST_DRAINED);
}

static void test_not_a_list(void **state)
{
	static const char *const bodies[] = {
		"",
		" ",
		"<html><body>502 Bad Gateway</body></html>",
		"null",
		"true",
		"7",
		"\"endpoints\"",
		"[]",
		"[" GOOD_1 "]",
		"{}",
		"{\"endpoints\":{}}",
		"{\"endpoints\":[]}",
		"{\"endpoints\":7}",
		"{\"code\":404,\"message\":\"no such service\"}",
		BODY("{}"),
		BODY("\"\""),
		BODY("7"),
		BODY("[" GOOD_1 "],"),
		BODY("[" GOOD_1 "]") "x",
		BODY("[" GOOD_1 "]") BODY("[" GOOD_1 "]"),
		BODY("[" GOOD_1 ",]"),
		BODY("[" GOOD_1 " " GOOD_2 "]"),
		BODY("[{'ip':'10.0.0.1','port':1,'weight':1}]"),
		BODY("[/* none */" GOOD_1 "]"),
		"\xef\xbb\xbf" BODY("[" GOOD_1 "]"),
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(*bodies); i++) {
		if (read_text(bodies[i]) != CROW_LIST_MALFORMED)
			fail_msg("not malformed: %s", bodies[i]);
		assert_true(tally.example[0] != '\0');
	}
}

static void test_cut_anywhere(void **state)
{
	static const char body[] = BODY("[" GOOD_1 "," GOOD_2 "]");

	(void)state;
	for (size_t size = 0; size < sizeof(body) - 1; size++)
		assert_int_equal(read_bytes(body, size), CROW_LIST_MALFORMED);
	assert_int_equal(read_bytes(body, sizeof(body) - 1), CROW_LIST_OK);
}

static void test_embedded_nul(void **state)
{
	static const char inside[] = BODY("[" GOOD_1 "\0]");
	static const char after[] = BODY("[" GOOD_1 "]") "\0";

	(void)state;
	assert_int_equal(read_bytes(inside, sizeof(inside) - 1), CROW_LIST_MALFORMED);
	assert_int_equal(read_bytes(after, sizeof(after) - 1), CROW_LIST_MALFORMED);
}

/* Each beside a good one, so that the list is taken and the bad item counted. */
static void test_bad_items(void **state)
{
	static const char *const items[] = {
		"null",
		"7",
		"\"10.0.0.1\"",
		"[]",
		"{}",
		"{\"port\":1,\"weight\":1}",
		"{\"ip\":7,\"port\":1,\"weight\":1}",
		"{\"ip\":null,\"port\":1,\"weight\":1}",
		"{\"ip\":[\"10.0.0.1\"],\"port\":1,\"weight\":1}",
		"{\"ip\":\"10.0.0.1\\u0000\",\"port\":1,\"weight\":1}",
		"{\"ip\":\"10.0.0.1\",\"weight\":1}",
		"{\"ip\":\"10.0.0.1\",\"port\":\"50000\",\"weight\":1}",
		"{\"ip\":\"10.0.0.1\",\"port\":80.0,\"weight\":1}",
		"{\"ip\":\"10.0.0.1\",\"port\":true,\"weight\":1}",
		"{\"ip\":\"10.0.0.1\",\"port\":0,\"weight\":1}",
		"{\"ip\":\"10.0.0.1\",\"port\":-1,\"weight\":1}",
		"{\"ip\":\"10.0.0.1\",\"port\":65536,\"weight\":1}",
		"{\"ip\":\"10.0.0.1\",\"port\":4294967376,\"weight\":1}",
		"{\"ip\":\"10.0.0.1\",\"port\":18446744073709551696,\"weight\":1}",
		"{\"ip\":\"10.0.0.1\",\"port\":99999999999999999999999999,\"weight\":1}",
		"{\"ip\":\"10.0.0.1\",\"port\":80}",
		"{\"ip\":\"10.0.0.1\",\"port\":80,\"weight\":null}",
		"{\"ip\":\"10.0.0.1\",\"port\":80,\"weight\":\"1\"}",
		"{\"ip\":\"10.0.0.1\",\"port\":80,\"weight\":false}",
		"{\"ip\":\"10.0.0.1\",\"port\":80,\"weight\":-1}",
		"{\"ip\":\"10.0.0.1\",\"port\":80,\"weight\":-0.5}",
		"{\"ip\":\"10.0.0.1\",\"port\":80,\"weight\":NaN}",
		"{\"ip\":\"10.0.0.1\",\"port\":80,\"weight\":Infinity}",
		"{\"ip\":\"10.0.0.1\",\"port\":80,\"weight\":-Infinity}",
		"{\"ip\":\"10.0.0.1\",\"port\":80,\"weight\":1e999}",
	};
	char body[512];

	(void)state;
	for (size_t i = 0; i < sizeof(items) / sizeof(*items); i++) {
		snprintf(body, sizeof(body), BODY("[%s," GOOD_1 "]"), items[i]);
		if (read_text(body) != CROW_LIST_OK)
			fail_msg("not taken beside a good one: %s (%s)", items[i], tally.example);
		assert_int_equal(list.count, 1);
		assert_int_equal(tally.dropped, 1);
		assert_memory_equal(tally.example, "item 1: ", 8);
		snprintf(body, sizeof(body), BODY("[%s]"), items[i]);
		assert_int_equal(read_text(body), CROW_LIST_REFUSED);
	}
}

static void test_odd_but_good_items(void **state)
{
	static const struct {
		const char *item;
		uint32_t weight;
	} cases[] = {
		{"{\"ip\":\"10.0.0.1\",\"port\":80,\"weight\":99.6}", 100},
		{"{\"ip\":\"10.0.0.1\",\"port\":80,\"weight\":1e-9}", 1},
		{"{\"ip\":\"10.0.0.1\",\"port\":80,\"weight\":1e30}", 1000000},
		{"{\"ip\":\"10.0.0.1\",\"port\":80,\"weight\":99999999999999999999}", 1000000},
		{"{\"weight\":1,\"weight\":2,\"ip\":\"10.0.0.1\",\"port\":80}", 2},
		{"{\"ip\":\"10.0.0.1\",\"port\":80,\"weight\":3,\"zone\":{\"a\":[1,2]}}", 3},
		{"{\"ip\":\"10.0.0.1\",\"port\":80,\"weight\":4,\"app\":7}", 4},
		{"{\"ip\":\"10.0.0.1\",\"port\":80,\"weight\":5,\"app\":null}", 5},
		{"{\"\\u0069p\":\"10.0.0.1\",\"port\":80,\"weight\":6}", 6},
	};
	char body[512];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		snprintf(body, sizeof(body), BODY("[%s]"), cases[i].item);
		assert_int_equal(read_text(body), CROW_LIST_OK);
		assert_int_equal(list.items[0].weight, cases[i].weight);
		assert_string_equal(list.apps[list.items[0].app], "");
	}
}

static void test_the_last_of_equal_keys_counts(void **state)
{
	(void)state;
	assert_int_equal(
		read_text("{\"endpoints\":7,\"endpoints\":{\"items\":[],\"items\":[" GOOD_1 "]}}"),
		CROW_LIST_OK);
}

/* prefix + n times unit + suffix */
static char *repeat(const char *prefix, const char *unit, size_t n, const char *suffix,
		    size_t *size)
{
	size_t unit_size = strlen(unit);
	char *text, *at;

	*size = strlen(prefix) + n * unit_size + strlen(suffix);
	text = malloc(*size + 1);
	assert_non_null(text);
	at = stpcpy(text, prefix);
	for (size_t i = 0; i < n; i++, at += unit_size)
		memcpy(at, unit, unit_size);
	strcpy(at, suffix);
	return text;
}

static enum crow_list_verdict read_repeated(const char *prefix, const char *unit, size_t n,
					    const char *suffix)
{
	size_t size;
	char *text = repeat(prefix, unit, n, suffix, &size);
	enum crow_list_verdict verdict = read_bytes(text, size);

	free(text);
	return verdict;
}

static void test_deep_nesting(void **state)
{
	(void)state;
	assert_int_equal(read_repeated("", "[", 100000, ""), CROW_LIST_MALFORMED);
	assert_int_equal(read_repeated("", "{\"a\":", 100000, ""), CROW_LIST_MALFORMED);
	assert_int_equal(read_repeated("", "{\"endpoints\":", 40, "7"), CROW_LIST_MALFORMED);
}

/* Each of these is below 32 MiB and would be GB as a tree. */
static void test_what_would_be_a_huge_tree(void **state)
{
	size_t n = ((size_t)31 << 20) / 3;

	(void)state;
	assert_int_equal(read_repeated("{\"endpoints\":{\"items\":[", "{},", n, "7]}}"),
			 CROW_LIST_OVERSIZE);
	assert_int_equal(read_repeated("{\"endpoints\":{\"items\":[", "[],", n, "7]}}"),
			 CROW_LIST_OVERSIZE);
	assert_int_equal(read_repeated("{\"endpoints\":{\"items\":[", "11,", n, "7]}}"),
			 CROW_LIST_OVERSIZE);
}

static void test_braces_in_strings_cost_nothing(void **state)
{
	(void)state;
	assert_int_equal(read_repeated("{\"note\":\"\\\"", "{},", 4000000,
				       "\",\"endpoints\":{\"items\":[" GOOD_1 "]}}"),
			 CROW_LIST_OK);
}

static void test_too_long(void **state)
{
	(void)state;
	assert_int_equal(read_repeated("", " ", ((size_t)32 << 20) + 1, ""), CROW_LIST_OVERSIZE);
}

static void test_too_many_items(void **state)
{
	(void)state;
	assert_int_equal(read_repeated("{\"endpoints\":{\"items\":[", "0,", CROW_LIST_MAX, "0]}}"),
			 CROW_LIST_OVERSIZE);
}

/* The largest list that is allowed must not be taken for an attack. */
static void test_the_largest_list(void **state)
{
	(void)state;
	assert_int_equal(read_repeated("{\"endpoints\":{\"items\":[", GOOD_1 ",", CROW_LIST_MAX - 1,
				       GOOD_2 "]}}"),
			 CROW_LIST_OK);
	assert_int_equal(list.count, 2);
	assert_int_equal(tally.seen, CROW_LIST_MAX);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_good_list),
		TEST(white_space_around_it),
		TEST(no_items),
		TEST(all_drained),
		TEST(not_a_list),
		TEST(cut_anywhere),
		TEST(embedded_nul),
		TEST(bad_items),
		TEST(odd_but_good_items),
		TEST(the_last_of_equal_keys_counts),
		TEST(deep_nesting),
		TEST(what_would_be_a_huge_tree),
		TEST(braces_in_strings_cost_nothing),
		TEST(too_long),
		TEST(too_many_items),
		TEST(the_largest_list),
	};

	return cmocka_run_group_tests_name("list_json", tests, NULL, NULL);
}
