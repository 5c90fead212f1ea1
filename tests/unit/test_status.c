/*
 * /api/v1/status, read back by json-c's reader.
 */
#include <json-c/json.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/counters.h"
#include "daemon/http/status.h"
#include "resolver/utf8.h"
#include "tests/unit/fixture.h"

#define SECOND INT64_C(1000000000)

struct status {
	struct fixture fixture;
	struct crow_body *body;
	const char *text; /* the body's */
	struct json_object *root;
};

static void render(struct status *status, int64_t now_ns)
{
	struct crow_published *published =
		crow_publish_build(&status->fixture.table, 7, 100 * SECOND, 1000);
	struct json_tokener *parser = json_tokener_new();

	assert_non_null(published);
	const struct crow_view view = {
		.img = &published->image, .table = &status->fixture.table, .now_ns = now_ns};

	status->body = crow_status_render(&view, &(struct crow_status_scope){0});
	assert_non_null(status->body);
	status->text = status->body->bytes;
	assert_int_equal(strlen(status->text), status->body->size);
	json_tokener_set_flags(parser, JSON_TOKENER_STRICT);
	status->root = json_tokener_parse_ex(parser, status->text, (int)status->body->size);
	assert_non_null(status->root);
	json_tokener_free(parser);
	free(published);
}

static void finish(struct status *status)
{
	json_object_put(status->root);
	crow_body_unref(status->body);
	fixture_fini(&status->fixture);
}

/* The value at a path such as /services/0/name (RFC 6901). */
static struct json_object *at(const struct status *status, const char *path)
{
	struct json_object *value = NULL;

	if (json_pointer_get(status->root, path, &value) != 0)
		fail_msg("nothing at %s in %s", path, status->text);
	return value;
}

static void assert_text(const struct status *status, const char *path, const char *expected)
{
	assert_string_equal(json_object_get_string(at(status, path)), expected);
}

static void assert_number(const struct status *status, const char *path, int64_t expected)
{
	assert_int_equal(json_object_get_type(at(status, path)), json_type_int);
	assert_int_equal(json_object_get_int64(at(status, path)), expected);
}

static void test_empty_table(void **state)
{
	struct status status;
	struct crow_counter_value counter;
	char path[80];

	(void)state;
	fixture_init(&status.fixture, FIXTURE_CONFIG);
	render(&status, 104 * SECOND);
	assert_text(&status, "/version", CROW_VERSION);
	assert_number(&status, "/pid", getpid());
	assert_number(&status, "/generation", 7);
	assert_number(&status, "/built_s_ago", 4);
	assert_text(&status, "/services/0/name", "one");
	assert_null(at(&status, "/services/0/list_age_s"));
	assert_null(at(&status, "/services/0/poll/ended_s_ago"));
	assert_null(at(&status, "/services/0/poll/failing_s"));
	assert_text(&status, "/services/0/poll/outcome", "never");
	assert_int_equal(json_object_array_length(at(&status, "/services/0/instances")), 0);
	assert_int_equal(json_object_array_length(at(&status, "/denied")), 0);
	for (size_t i = 0; crow_counter_get(i, &counter); i++) {
		snprintf(path, sizeof(path), "/counters/%s", counter.name);
		assert_number(&status, path, (int64_t)counter.value);
	}
	finish(&status);
}

static void test_service(void **state)
{
	static const struct fixture_item first[] = {{"10.0.0.1", 8001, 100}, {"10.0.0.9", 8009, 5}};
	static const struct fixture_item second[] = {
		{"10.0.0.1", 8001, 100}, {"10.0.0.2", 8002, 0}, {"2001:db8::1", 8003, 7}};
	struct crow_service *service;
	struct status status;

	(void)state;
	fixture_init(&status.fixture,
		     FIXTURE_CONFIG "[service one]\nport=81\nattempt-timeout=120ms\n");
	fixture_take(&status.fixture, "one", first, 2);
	fixture_take(&status.fixture, "one", second, 3);
	service = crow_table_find(&status.fixture.table, "one");
	crow_table_fail(&status.fixture.table, service, CROW_POLL_STATUS, "the answer was 500",
			NULL, 60 * SECOND);
	render(&status, 104 * SECOND);
	assert_text(&status, "/services/0/source", "s");
	assert_text(&status, "/services/0/zone", "eas.internal");
	assert_number(&status, "/services/0/port", 81);
	assert_number(&status, "/services/0/attempt_timeout_ms", 120);
	assert_true(json_object_get_boolean(at(&status, "/services/0/stale")));
	assert_text(&status, "/services/0/state", "stale");
	assert_number(&status, "/services/0/list_age_s", 103);
	assert_int_equal(json_object_array_length(at(&status, "/services/0/instances")), 3);
	assert_text(&status, "/services/0/instances/0/address", "10.0.0.1");
	assert_number(&status, "/services/0/instances/0/port", 8001);
	assert_number(&status, "/services/0/instances/0/weight", 100);
	assert_text(&status, "/services/0/instances/0/state", "up");
	assert_text(&status, "/services/0/instances/0/app", "app");
	assert_text(&status, "/services/0/instances/1/address", "2001:db8::1");
	assert_text(&status, "/services/0/instances/2/state", "drained");
	assert_text(&status, "/services/0/tombstones/0/address", "10.0.0.9");
	assert_number(&status, "/services/0/tombstones/0/port", 8009);
	assert_text(&status, "/services/0/poll/outcome", "status");
	assert_text(&status, "/services/0/poll/detail", "the answer was 500");
	assert_number(&status, "/services/0/poll/ended_s_ago", 44);
	assert_number(&status, "/services/0/poll/failing_s", 44);
	finish(&status);
}

/* What never came cannot be old: a service without a list waits, however long polls fail. */
static void test_a_service_that_waits(void **state)
{
	static const struct fixture_item items[] = {{"10.0.0.1", 8001, 100}};
	struct crow_service *service;
	struct status status;

	(void)state;
	fixture_init(&status.fixture, FIXTURE_CONFIG);
	fixture_take(&status.fixture, "one", items, 1);
	service = crow_table_find(&status.fixture.table, "two_b");
	crow_table_fail(&status.fixture.table, service, CROW_POLL_STATUS, "the answer was 500",
			NULL, 60 * SECOND);
	render(&status, 104 * SECOND);
	assert_text(&status, "/services/0/state", "good");
	assert_false(json_object_get_boolean(at(&status, "/services/0/stale")));
	assert_text(&status, "/services/1/state", "waiting");
	assert_false(json_object_get_boolean(at(&status, "/services/1/stale")));
	assert_number(&status, "/services/1/poll/failing_s", 44);
	finish(&status);
}

static void test_tally(void **state)
{
	struct status status;
	struct crow_service *service;

	(void)state;
	fixture_init(&status.fixture, FIXTURE_CONFIG);
	service = crow_table_find(&status.fixture.table, "two_b");
	service->tally =
		(struct crow_list_tally){.dropped = 1, .outside = 2, .merged = 3, .clamped = 4};
	render(&status, 0);
	assert_number(&status, "/services/1/poll/dropped", 1);
	assert_number(&status, "/services/1/poll/outside", 2);
	assert_number(&status, "/services/1/poll/merged", 3);
	assert_number(&status, "/services/1/poll/clamped", 4);
	finish(&status);
}

/* Labels come from the network, and a sentence about them may be cut in the middle of a letter. */
static void test_bytes_that_are_not_utf8(void **state)
{
	struct status status;
	struct crow_service *service;
	const char *end;

	(void)state;
	fixture_init(&status.fixture, FIXTURE_CONFIG);
	service = crow_table_find(&status.fixture.table, "one");
	strcpy(service->detail, "a\xff\"\\\n\x01/\xe2\x82\xac\xc3");
	crow_table_deny(&status.fixture.table, "\x80.eas.internal", CROW_NAME_UNKNOWN, INT64_MAX);
	render(&status, 0);
	for (end = status.text; crow_utf8_length(end) > 0;)
		end += crow_utf8_length(end);
	assert_int_equal(*end, '\0');
	assert_text(&status, "/services/0/poll/detail",
		    "a\xef\xbf\xbd\"\\\n\x01/\xe2\x82\xac\xef\xbf\xbd");
	assert_text(&status, "/denied/0", "\xef\xbf\xbd.eas.internal");
	finish(&status);
}

/* The image is older than the table by a reload: what it alone knows is still told. */
static void test_service_that_left_the_table(void **state)
{
	static const struct fixture_item items[] = {{"10.0.0.1", 8001, 100}};
	struct crow_published *published;
	struct crow_table empty;
	struct status status;

	(void)state;
	fixture_init(&status.fixture, FIXTURE_CONFIG);
	fixture_take(&status.fixture, "one", items, 1);
	published = fixture_build(&status.fixture);
	crow_table_init(&empty, NULL, NULL);
	const struct crow_view view = {.img = &published->image, .table = &empty};

	status.body = crow_status_render(&view, &(struct crow_status_scope){0});
	status.text = status.body->bytes;
	status.root = json_tokener_parse(status.text);
	assert_text(&status, "/services/0/instances/0/address", "10.0.0.1");
	assert_null(at(&status, "/services/0/poll"));
	crow_table_fini(&empty);
	free(published);
	finish(&status);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty_table),
		cmocka_unit_test(test_service),
		cmocka_unit_test(test_a_service_that_waits),
		cmocka_unit_test(test_tally),
		cmocka_unit_test(test_bytes_that_are_not_utf8),
		cmocka_unit_test(test_service_that_left_the_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
