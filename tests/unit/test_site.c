/*
 * What stands at which path, and for whom: requests as values, no sockets.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/http/site.h"
#include "daemon/loop.h"
#include "tests/unit/fixture.h"

#define SECOND INT64_C(1000000000)

struct place {
	struct fixture fixture;
	struct crow_published *published;
	struct crow_site site;
	struct crow_answer answer;
	int64_t now_ns;
};

static void publish(struct place *place)
{
	free(place->published);
	place->published = fixture_build(&place->fixture);
}

static void open_place(struct place *place, const char *config)
{
	memset(place, 0, sizeof(*place));
	fixture_init(&place->fixture, config);
	crow_site_init(&place->site, &place->fixture.table, NULL, NULL, 0);
	place->now_ns = 100 * SECOND;
	publish(place);
}

static void close_place(struct place *place)
{
	crow_body_unref(place->answer.body);
	crow_site_fini(&place->site);
	free(place->published);
	fixture_fini(&place->fixture);
}

static struct crow_addr address(const char *text)
{
	struct crow_addr addr;

	assert_true(crow_addr_parse(text, strlen(text), &addr));
	return addr;
}

/* Asks what is missing in the request with what a program on this host would say. */
static const char *ask(struct place *place, struct crow_request request)
{
	const struct crow_addr none = {{0}};

	if (!request.method)
		request.method = "GET";
	if (memcmp(&request.peer, &none, sizeof(none)) == 0)
		request.peer = address("127.0.0.1");
	request.own = address("192.0.2.1");
	crow_body_unref(place->answer.body);
	crow_site_answer(&place->site, &place->published->image, &request, place->now_ns,
			 &place->answer);
	assert_non_null(place->answer.body);
	return place->answer.body->bytes;
}

static void assert_holds(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("no \"%s\" in: %s", part, text);
}

#define ASK(place, ...) ask(place, (struct crow_request){__VA_ARGS__})

static void test_ready(void **state)
{
	static const struct fixture_item items[] = {{"10.0.0.1", 8001, 100}};
	struct crow_service *service;
	struct place place;

	(void)state;
	open_place(&place, FIXTURE_CONFIG);
	assert_holds(ASK(&place, .path = "/readyz"), "2 services were");
	assert_int_equal(place.answer.status, 503);
	fixture_take(&place.fixture, "one", items, 1);
	service = crow_table_find(&place.fixture.table, "two_b");
	crow_table_fail(&place.fixture.table, service, CROW_POLL_CONNECT, "refused", NULL, SECOND);
	assert_holds(ASK(&place, .path = "/readyz"), "1 service was"); /* no image shows the list */
	assert_int_equal(place.answer.status, 503);
	publish(&place);
	assert_string_equal(ASK(&place, .path = "/readyz"), "ready\n");
	assert_int_equal(place.answer.status, 200);
	close_place(&place);
}

static void test_who_may_ask(void **state)
{
	struct place place;

	(void)state;
	open_place(&place, FIXTURE_CONFIG "[http]\nallow=10.0.0.0/8\nhost=pages.example.com\n");
	ASK(&place, .path = "/healthz", .peer = address("10.1.2.3"));
	assert_int_equal(place.answer.status, 200);
	ASK(&place, .path = "/healthz", .peer = address("192.0.2.1")); /* this host itself */
	assert_int_equal(place.answer.status, 200);
	assert_holds(ASK(&place, .path = "/api/v1/status", .peer = address("11.1.2.3")), "allow=");
	assert_int_equal(place.answer.status, 403);
	ASK(&place, .path = "/healthz", .host = "Pages.Example.com:9550");
	assert_int_equal(place.answer.status, 200);
	ASK(&place, .path = "/healthz", .host = "pages.example.com.evil.example");
	assert_int_equal(place.answer.status, 421);
	close_place(&place);
}

static void test_status_of_some(void **state)
{
	struct place place;
	const char *text;

	(void)state;
	open_place(&place, FIXTURE_CONFIG);
	text = ASK(&place, .path = "/api/v1/status", .service = "two_b");
	assert_holds(text, "\"name\":\"two_b\"");
	assert_null(strstr(text, "\"name\":\"one\""));
	assert_holds(ASK(&place, .path = "/api/v1/status", .service = "three"), "\"services\":[]");
	text = ASK(&place, .path = "/api/v1/status", .query = "ON");
	assert_holds(text, "\"matching\":1,\"page\":1,\"pages\":1");
	assert_holds(text, "\"name\":\"one\"");
	assert_null(strstr(text, "\"name\":\"two_b\""));
	assert_holds(ASK(&place, .path = "/api/v1/status", .page = "99"),
		     "\"matching\":2,\"page\":1");
	close_place(&place);
}

static void test_paths(void **state)
{
	static const char *const wrong[] = {"/nothing",         "/healthz/", "/healthzz",
					    "/api/v1/status/x", "",          "healthz"};
	char longest[400] = {0};
	struct place place;

	(void)state;
	open_place(&place, FIXTURE_CONFIG);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		ASK(&place, .path = wrong[i]);
		assert_int_equal(place.answer.status, 404);
	}
	memset(longest, 'x', sizeof(longest) - 1);
	ASK(&place, .path = "/api/v1/status", .query = longest);
	assert_int_equal(place.answer.status, 404);
	close_place(&place);
}

/* What is too long is told the bound, and where names are. */
static void test_a_name_too_long(void **state)
{
	char longest[400] = {0};
	struct place place;

	(void)state;
	open_place(&place, FIXTURE_CONFIG);
	memset(longest, 'x', 253);
	ASK(&place, .path = "/api/v1/status", .service = longest);
	assert_int_equal(place.answer.status, 200);
	longest[253] = 'x';
	assert_holds(ASK(&place, .path = "/api/v1/status", .service = longest), "253 bytes");
	assert_int_equal(place.answer.status, 404);
	assert_holds(place.answer.body->bytes, "/api/v1/status lists");
	close_place(&place);
}

/* ---- large documents ---- */

static double hundred(unsigned i)
{
	(void)i;
	return 100;
}

/* More instances than a small document has. */
#define LARGE 5000

static void test_lists_of_any_number_of_services(void **state)
{
	char config[1024] = "[source s]\nendpoint=http://127.0.0.1:1\nservices=", name[16], own[64];
	char path[64];
	struct place place;

	(void)state;
	for (int i = 0; i < 12; i++) {
		snprintf(name, sizeof(name), "%ssvc%02d", i ? "," : "", i);
		strcat(config, name);
	}
	open_place(&place, strcat(config, "\n"));
	for (int i = 0; i < 12; i++) {
		snprintf(name, sizeof(name), "svc%02d", i);
		fixture_take_many(&place.fixture, name, LARGE, hundred);
	}
	publish(&place);
	for (int i = 0; i < 24; i++) {
		snprintf(path, sizeof(path), "/api/v1/servicediscovery/upstreams/svc%02d", i % 12);
		snprintf(own, sizeof(own), "{\"correlative\":[\"svc%02d\"]", i % 12);
		assert_holds(ASK(&place, .path = path), own);
		assert_int_equal(place.answer.status, 200);
		assert_true(place.answer.body->size > CROW_SHELF_LARGE);
	}
	close_place(&place);
}

/* A body that the shelf keeps for the rest of the test. */
static void fill(struct crow_shelf *shelf)
{
	struct crow_body *body = crow_body_new(calloc(1, CROW_SHELF_LARGE + 1), CROW_SHELF_LARGE);

	shelf->kept_max = CROW_SHELF_LARGE;
	crow_shelf_keep(shelf, "another", body, 0, crow_now_ns());
	crow_body_unref(body);
	assert_true(crow_shelf_is_full(shelf));
}

/* Searches for ever other texts have an end; all else is answered, though not kept. */
static void test_a_full_shelf(void **state)
{
	static const struct crow_request asked[] = {
		{.path = "/api/v1/status"},
		{.path = "/api/v1/status", .page = "3"},
		{.path = "/api/v1/status", .service = "one"},
		{.path = "/metrics"},
		{.path = "/api/v1/servicediscovery/upstreams/one"},
	};
	struct place place;

	(void)state;
	open_place(&place, FIXTURE_CONFIG);
	fixture_take_many(&place.fixture, "one", LARGE, hundred);
	publish(&place);
	fill(&place.site.statuses);
	fill(&place.site.searches);
	fill(&place.site.metrics);
	fill(&place.site.mirrors);
	for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
		ask(&place, asked[i]);
		assert_int_equal(place.answer.status, 200);
		assert_false(place.answer.body->kept);
	}
	ASK(&place, .path = "/api/v1/status", .query = "one");
	assert_int_equal(place.answer.status, 503);
	assert_int_equal(place.answer.retry_after_s, 1);
	assert_false(crow_site_is_crowded(&place.site));
	place.site.large_max = CROW_SHELF_LARGE;
	assert_true(crow_site_is_crowded(&place.site));
	close_place(&place);
}

/* What is kept is let go in time, whatever is asked then. */
static void test_kept_answers_go(void **state)
{
	struct crow_body *body = crow_body_new(calloc(1, CROW_SHELF_LARGE + 1), CROW_SHELF_LARGE);
	struct place place;

	(void)state;
	open_place(&place, FIXTURE_CONFIG);
	crow_shelf_keep(&place.site.searches, "another", body, 0, 1); /* long ago */
	crow_body_unref(body);
	assert_int_equal(place.site.searches.bytes, CROW_SHELF_LARGE);
	ASK(&place, .path = "/healthz");
	assert_int_equal(place.site.searches.bytes, 0);
	close_place(&place);
}

/* A page that is not there is the last one, and not made anew for each number. */
static void test_pages_that_are_the_same(void **state)
{
	struct place place;
	size_t bytes;

	(void)state;
	open_place(&place, FIXTURE_CONFIG);
	fixture_take_many(&place.fixture, "one", LARGE, hundred);
	publish(&place);
	ASK(&place, .path = "/api/v1/status", .page = "1");
	bytes = place.site.statuses.bytes;
	assert_true(bytes > CROW_SHELF_LARGE);
	ASK(&place, .path = "/api/v1/status", .page = "7");
	ASK(&place, .path = "/api/v1/status", .query = "");
	assert_int_equal(place.site.statuses.bytes, bytes);
	close_place(&place);
}

/* What was asked with other arguments is another document, however alike they look. */
static void test_large_documents_are_not_mixed_up(void **state)
{
	struct place place;

	(void)state;
	open_place(&place, FIXTURE_CONFIG);
	fixture_take_many(&place.fixture, "one", LARGE, hundred);
	publish(&place);
	assert_holds(ASK(&place, .path = "/api/v1/status", .query = "one", .page = "1/"),
		     "\"matching\":1,");
	assert_true(place.answer.body->kept);
	assert_holds(ASK(&place, .path = "/api/v1/status", .query = "one/1"), "\"matching\":0,");
	assert_holds(ASK(&place, .path = "/api/v1/status", .query = "one 1"), "\"matching\":0,");
	assert_null(strstr(ASK(&place, .path = "/api/v1/status", .service = "one"), "matching"));
	assert_null(strstr(ASK(&place, .path = "/api/v1/status"), "matching"));
	assert_holds(ASK(&place, .path = "/api/v1/status", .query = "one"), "\"matching\":1,");
	close_place(&place);
}

/* ---- metrics ---- */

static void test_metrics(void **state)
{
	static const struct fixture_item items[] = {{"10.0.0.1", 8001, 100}, {"10.0.0.2", 8001, 0}};
	struct place place;
	const char *text;

	(void)state;
	open_place(&place, FIXTURE_CONFIG);
	fixture_take(&place.fixture, "one", items, 2);
	publish(&place);
	text = ASK(&place, .path = "/metrics");
	assert_string_equal(place.answer.type, "text/plain; version=0.0.4; charset=utf-8");
	assert_holds(text, "\ncrowfly_build_info{version=\"" CROW_VERSION "\"} 1\n");
	assert_holds(text, "\ncrowfly_uptime_seconds 100\n");
	assert_holds(text, "# HELP crowfly_polls_ok_total polls that brought a list");
	assert_holds(text, "\n# TYPE crowfly_polls_ok_total counter\ncrowfly_polls_ok_total ");
	assert_holds(text, "\ncrowfly_service_instances{service=\"one\",state=\"up\"} 1\n");
	assert_holds(text, "\ncrowfly_service_instances{service=\"one\",state=\"drained\"} 1\n");
	assert_holds(text, "\ncrowfly_service_weight{service=\"one\"} 100\n");
	assert_holds(text, "\ncrowfly_service_stale{service=\"two_b\"} 0\n");
	assert_holds(text, "\ncrowfly_service_waiting{service=\"one\"} 0\n");
	assert_holds(text, "\ncrowfly_service_waiting{service=\"two_b\"} 1\n");
	assert_holds(text, "\ncrowfly_service_list_age_seconds{service=\"one\"} ");
	assert_null(strstr(text, "crowfly_service_list_age_seconds{service=\"two_b\"}"));
	close_place(&place);
}

/* ---- a page of services ---- */

static void test_selection(void **state)
{
	static const struct fixture_item items[] = {{"10.0.0.1", 8001, 100}, {"::1:2", 80, 1}};
	char config[4096] = "[source s]\nendpoint=http://127.0.0.1:1\nservices=", name[16];
	struct crow_selection shown;
	struct place place;
	struct crow_view view;

	(void)state;
	for (int i = 0; i < 120; i++) {
		snprintf(name, sizeof(name), "%ssvc%03d", i ? "," : "", i);
		strcat(config, name);
	}
	open_place(&place, strcat(config, "\n"));
	for (int i = 0; i < 119; i++) { /* svc119 has no list: it stands first */
		snprintf(name, sizeof(name), "svc%03d", i);
		fixture_take(&place.fixture, name, items, i == 7 ? 2 : 1);
	}
	publish(&place);
	view = (struct crow_view){.img = &place.published->image, .table = &place.fixture.table};
	crow_view_select(&view, "", 1, &shown);
	assert_int_equal(shown.total, 120);
	assert_int_equal(shown.pages, 3);
	assert_int_equal(shown.count, CROW_VIEW_PAGE);
	assert_int_equal(shown.services[0], 119);
	assert_int_equal(shown.services[1], 0);
	crow_view_select(&view, "", 7, &shown);
	assert_int_equal(shown.page, 3);
	assert_int_equal(shown.count, 20);
	assert_int_equal(shown.services[0], 99);
	crow_view_select(&view, "SVC00", 1, &shown);
	assert_int_equal(shown.total, 10);
	crow_view_select(&view, "10.0.0.1", 1, &shown);
	assert_int_equal(shown.total, 119);
	crow_view_select(&view, "10.0.0.1:8002", 1, &shown);
	assert_int_equal(shown.total, 0);
	assert_int_equal(shown.page, 1);
	crow_view_select(&view, "[::1:2]:80", 1, &shown);
	assert_int_equal(shown.total, 1);
	assert_int_equal(shown.services[0], 7);
	close_place(&place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ready),
		cmocka_unit_test(test_who_may_ask),
		cmocka_unit_test(test_status_of_some),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_a_name_too_long),
		cmocka_unit_test(test_lists_of_any_number_of_services),
		cmocka_unit_test(test_a_full_shelf),
		cmocka_unit_test(test_kept_answers_go),
		cmocka_unit_test(test_pages_that_are_the_same),
		cmocka_unit_test(test_large_documents_are_not_mixed_up),
		cmocka_unit_test(test_metrics),
		cmocka_unit_test(test_selection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
