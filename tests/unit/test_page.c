/*
 * The page as bytes: what it says of a service, and that nothing from the network is markup.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/http/page.h"
#include "tests/unit/fixture.h"

#define SECOND INT64_C(1000000000)

struct page {
	struct fixture fixture;
	struct crow_published *published;
	struct crow_view view;
	struct crow_history *history;
	struct crow_body *body;
};

static void open_page(struct page *page)
{
	memset(page, 0, sizeof(*page));
	fixture_init(&page->fixture, FIXTURE_CONFIG);
	page->history = crow_history_new();
}

static void publish(struct page *page)
{
	free(page->published);
	page->published = fixture_build(&page->fixture);
	page->view = (struct crow_view){
		.img = &page->published->image,
		.table = &page->fixture.table,
		.history = page->history,
		.now_ns = 1000 * SECOND,
	};
}

static void close_page(struct page *page)
{
	crow_body_unref(page->body);
	crow_history_free(page->history);
	free(page->published);
	fixture_fini(&page->fixture);
}

static const char *show(struct page *page, const char *query)
{
	crow_body_unref(page->body);
	page->body = crow_page_services(&page->view, query, 1);
	assert_non_null(page->body);
	return page->body->bytes;
}

static const char *show_service(struct page *page, const char *name, const char *query,
				unsigned number)
{
	struct crow_view_service service;

	assert_true(crow_view_find(&page->view, name, &service));
	crow_body_unref(page->body);
	page->body = crow_page_service(&page->view, &service, query, number);
	assert_non_null(page->body);
	return page->body->bytes;
}

static void assert_holds(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("no \"%s\" in: %s", part, text);
}

static size_t count(const char *text, const char *part)
{
	size_t found = 0;

	while ((text = strstr(text, part))) {
		found++;
		text += strlen(part);
	}
	return found;
}

/* A name, a label, a detail and a query of somebody's who wants to run a script here. */
static void test_hostile(void **state)
{
	static const struct crow_cidr everything[] = {{.bits = 0}};
	const struct crow_cidrs accept = {(struct crow_cidr *)(uintptr_t)everything, 1};
	static const char evil[] = "\"'><script>alert(1)</script>";
	struct crow_list_tally tally = {0};
	struct crow_service *service;
	struct crow_list list;
	struct page page;
	const char *text;

	(void)state;
	open_page(&page);
	service = crow_table_add(&page.fixture.table, evil, &page.fixture.config->sources[0]);
	assert_non_null(service);
	crow_list_init(&list);
	assert_true(crow_list_add(&list, &accept, "10.0.0.1", 80, 1, evil, &tally));
	assert_int_equal(crow_list_finish(&list, &tally), CROW_LIST_OK);
	crow_table_take(&page.fixture.table, service, &list, &tally, SECOND);
	crow_table_fail(&page.fixture.table, service, CROW_POLL_STATUS, evil, NULL, 2 * SECOND);
	publish(&page);
	text = show(&page, evil);
	assert_null(strstr(text, "<script>alert"));
	assert_int_equal(count(text, "<script>"), 1); /* our own */
	assert_true(count(text, "&quot;&#39;&gt;&lt;script&gt;alert(1)&lt;/script&gt;") >= 5);
	assert_holds(text, "href=\"/service/%22%27%3E%3Cscript%3Ealert%281%29%3C%2Fscript%3E\"");
	assert_int_equal(count(show_service(&page, evil, evil, 1), "<script>"), 1);
	crow_body_unref(page.body);
	page.body = crow_page_missing(&page.view, evil);
	assert_int_equal(count(page.body->bytes, "<script>"), 1);
	close_page(&page);
}

static void test_verdicts(void **state)
{
	static const struct fixture_item items[] = {{"10.0.0.1", 8001, 100}};
	struct crow_service *service;
	struct page page;
	const char *text;

	(void)state;
	open_page(&page);
	fixture_take(&page.fixture, "one", items, 1);
	service = crow_table_find(&page.fixture.table, "two_b");
	crow_table_fail(&page.fixture.table, service, CROW_POLL_STATUS, "answered 404", NULL,
			930 * SECOND);
	publish(&page);
	text = show(&page, "");
	assert_holds(text, "1 of 2 services needs a look");
	assert_holds(
		text,
		"<b>waiting</b> there is no list yet, so that nothing can be served: answered 404");
	assert_null(strstr(text, "does not confirm")); /* none has a list that could serve on */
	fixture_take(&page.fixture, "two_b", items, 1);
	publish(&page);
	assert_holds(show(&page, ""), "All services are well");
	service = crow_table_find(&page.fixture.table, "one");
	crow_table_fail(&page.fixture.table, service, CROW_POLL_STATUS, "answered 500", NULL,
			940 * SECOND);
	publish(&page);
	text = show(&page, "");
	assert_holds(text, "discovery does not confirm 1 of 2 lists");
	assert_holds(text, "the list of 16&nbsp;min ago serves on: answered 500, for 60&nbsp;s");
	close_page(&page);
}

static void test_curves(void **state)
{
	static const struct fixture_item items[] = {{"10.0.0.1", 8001, 100}};
	struct page page;
	const char *text;

	(void)state;
	open_page(&page);
	fixture_take(&page.fixture, "one", items, 1);
	publish(&page);
	crow_history_note(page.history, "one", CROW_HISTORY_FAILOVERS, 1000 * SECOND);
	for (int i = 0; i < 8; i++)
		crow_history_note(page.history, "one", CROW_HISTORY_PROBES_OK, 990 * SECOND);
	text = show(&page, "one");
	assert_holds(text, "<path class=\"warn\" d=\"M119 18v-5\"/></svg><b>1</b>");
	assert_holds(text, "<path class=\"good\" d=\"M117 18v-18\"/>");
	assert_holds(text, "<b>8</b> ok");
	close_page(&page);
}

static double equal(unsigned i)
{
	return i == 249 ? 0 : 1;
}

static void test_pages_of_instances(void **state)
{
	struct page page;
	const char *text;

	(void)state;
	open_page(&page);
	fixture_take_many(&page.fixture, "one", 250, equal);
	publish(&page);
	text = show_service(&page, "one", "", 1);
	assert_int_equal(count(text, "class=\"addr\">10."), CROW_PAGE_INSTANCES);
	assert_true(strstr(text, ">10.0.0.249:8000<") < strstr(text, ">10.0.0.0:8000<"));
	assert_holds(text, "href=\"/service/one?page=2\">next</a>");
	text = show_service(&page, "one", "", 99); /* the last there is */
	assert_int_equal(count(text, "class=\"addr\">10."), 50);
	assert_holds(text, "page 3 of 3");
	text = show_service(&page, "one", "0.24", 1);
	assert_holds(text, "11 of 250 instances match");
	assert_holds(show_service(&page, "one", "draining", 1), "1 of 250 instances match");
	assert_holds(show_service(&page, "one", "drained", 1), "1 of 250 instances match");
	close_page(&page);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_curves),
		cmocka_unit_test(test_pages_of_instances),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
