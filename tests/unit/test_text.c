/*
 * Texts and bodies: escaping, and the shelf of large answers by a clock of the test's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/http/text.h"

static void assert_text(struct crow_text *text, const char *expected)
{
	struct crow_body *body = crow_text_finish(text);

	assert_non_null(body);
	assert_string_equal(body->bytes, expected);
	assert_int_equal(body->size, strlen(expected));
	crow_body_unref(body);
}

static void test_html(void **state)
{
	struct crow_text text = {0};

	(void)state;
	crow_text_html(&text, "<b title='%s'>%s</b>", "\"'", "<script>&\n\x7f");
	assert_text(&text,
		    "<b title='&quot;&#39;'>&lt;script&gt;&amp;\xef\xbf\xbd\xef\xbf\xbd</b>");
	crow_text_html(&text, "%s", "a\xffz\xe2\x82\xac\xc3");
	assert_text(&text, "a\xef\xbf\xbdz\xe2\x82\xac\xef\xbf\xbd");
	crow_text_html(&text, "%u %lu %zu %d %ld %.1f %.0f%%", 1u, 2ul, (size_t)3, -4, -5l, 6.25,
		       7.0);
	assert_text(&text, "1 2 3 -4 -5 6.2 7%");
	assert_text(&text, "");
}

static void test_label(void **state)
{
	struct crow_text text = {0};

	(void)state;
	crow_text_label(&text, "a\"b\\c\nd<\xff");
	assert_text(&text, "a\\\"b\\\\c\\nd<\xef\xbf\xbd");
}

static void test_url(void **state)
{
	struct crow_text text = {0};

	(void)state;
	crow_text_url(&text, "a-Z.0_~ /?&\"\xc3");
	assert_text(&text, "a-Z.0_~%20%2F%3F%26%22%C3");
}

static void test_long_text(void **state)
{
	struct crow_text text = {0};
	struct crow_body *body;

	(void)state;
	for (int i = 0; i < 100000; i++)
		crow_text_put(&text, "0123456789");
	body = crow_text_finish(&text);
	assert_int_equal(body->size, 1000000);
	assert_memory_equal(body->bytes + 999990, "0123456789", 11);
	crow_body_unref(body);
}

/* ---- the shelf ---- */

static struct crow_body *new_body(size_t size)
{
	char *bytes = calloc(1, size + 1);

	assert_non_null(bytes);
	return crow_body_new(bytes, size);
}

static struct crow_shelf new_shelf(void)
{
	struct crow_shelf shelf;

	crow_shelf_init(&shelf);
	return shelf;
}

static void test_large_ones_are_shared(void **state)
{
	struct crow_shelf shelf = new_shelf();
	struct crow_body *body = new_body(CROW_SHELF_LARGE), *again;

	(void)state;
	assert_null(crow_shelf_find(&shelf, "all", 0));
	crow_shelf_keep(&shelf, "all", body, 100, 110); /* took 10, so it is kept for 200 */
	again = crow_shelf_find(&shelf, "all", 309);
	assert_ptr_equal(again, body);
	crow_body_unref(again);
	assert_true(body->kept);
	assert_null(crow_shelf_find(&shelf, "other", 309));
	assert_null(crow_shelf_find(&shelf, "all", 310));
	assert_false(body->kept);
	assert_int_equal(shelf.bytes, CROW_SHELF_LARGE); /* its first reader has it still */
	crow_body_unref(body);
	assert_int_equal(shelf.bytes, 0);
	crow_shelf_fini(&shelf);
}

static void test_small_ones_are_made_anew(void **state)
{
	struct crow_shelf shelf = new_shelf();
	struct crow_body *body = new_body(CROW_SHELF_LARGE - 1);

	(void)state;
	crow_shelf_keep(&shelf, "all", body, 0, 1000);
	assert_null(crow_shelf_find(&shelf, "all", 1001));
	crow_body_unref(body);
	crow_shelf_keep(&shelf, "all", NULL, 0, 1000); /* there was no memory for it */
	assert_int_equal(shelf.bytes, 0);
	crow_shelf_fini(&shelf);
}

/* Keeps one that took 10, from then on. */
static void keep(struct crow_shelf *shelf, const char *key, int64_t now_ns)
{
	struct crow_body *body = new_body(CROW_SHELF_LARGE);

	crow_shelf_keep(shelf, key, body, now_ns - 10, now_ns);
	crow_body_unref(body);
}

static bool is_kept(struct crow_shelf *shelf, const char *key, int64_t now_ns)
{
	struct crow_body *body = crow_shelf_find(shelf, key, now_ns);

	crow_body_unref(body);
	return body;
}

/* The more there are, the longer each is kept: all of them together never take over a fifth. */
static void test_many_are_kept_longer(void **state)
{
	struct crow_shelf shelf = new_shelf();
	char key[16];

	(void)state;
	for (int i = 0; i < 40; i++) {
		snprintf(key, sizeof(key), "%d", i);
		keep(&shelf, key, 0);
	}
	assert_int_equal(shelf.took_ns, 400);
	assert_true(is_kept(&shelf, "39", 5 * 400 - 1));
	assert_false(is_kept(&shelf, "39", 5 * 400));
	assert_int_equal(shelf.took_ns + (int64_t)shelf.kept, 0);
	crow_shelf_fini(&shelf);
}

static void test_a_full_shelf_keeps_no_more(void **state)
{
	struct crow_shelf shelf = new_shelf();

	(void)state;
	shelf.kept_max = 2 * CROW_SHELF_LARGE;
	keep(&shelf, "1", 0);
	assert_false(crow_shelf_is_full(&shelf));
	keep(&shelf, "2", 0);
	assert_true(crow_shelf_is_full(&shelf));
	keep(&shelf, "3", 0);
	assert_false(is_kept(&shelf, "3", 1));
	assert_true(is_kept(&shelf, "1", 1) && is_kept(&shelf, "2", 1));
	crow_shelf_sweep(&shelf, 1000);
	assert_false(crow_shelf_is_full(&shelf));
	assert_int_equal(shelf.bytes, 0);
	crow_shelf_fini(&shelf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_html),
		cmocka_unit_test(test_label),
		cmocka_unit_test(test_url),
		cmocka_unit_test(test_long_text),
		cmocka_unit_test(test_large_ones_are_shared),
		cmocka_unit_test(test_small_ones_are_made_anew),
		cmocka_unit_test(test_many_are_kept_longer),
		cmocka_unit_test(test_a_full_shelf_keeps_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
