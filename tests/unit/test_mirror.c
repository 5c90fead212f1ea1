/*
 * The mirror: what of a list is shown, in which order, and when it counts as the same. The document
 * is read back by the reader that discovery itself uses.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/http/mirror.h"
#include "tests/unit/fixture.h"

struct glass {
	struct fixture fixture;
	struct crow_published *published;
	struct crow_view view;
	struct crow_view_service service;
};

/* A service "one" with these items, of which those at `ejected` are out of picks: the image is what
 * health would have made of it, with the ejected behind the others. */
static void open_glass(struct glass *glass, const struct fixture_item *items, size_t count,
		       size_t ejected)
{
	struct crow_snap_service *snap;

	fixture_init(&glass->fixture, FIXTURE_CONFIG);
	fixture_take(&glass->fixture, "one", items, count);
	glass->published = fixture_build(&glass->fixture);
	glass->view =
		(struct crow_view){.img = &glass->published->image, .table = &glass->fixture.table};
	snap = (void *)(uintptr_t)crow_image_service(glass->view.img, 0);
	for (size_t i = 0; i < ejected; i++) {
		struct crow_snap_instance *instance = (void *)(uintptr_t)crow_image_instance(
			glass->view.img, snap->first + --snap->up4);

		instance->state = CROW_STATE_EJECTED;
	}
	assert_true(crow_view_find(&glass->view, "one", &glass->service));
}

static void close_glass(struct glass *glass)
{
	free(glass->published);
	fixture_fini(&glass->fixture);
}

static struct crow_mirror look(struct glass *glass)
{
	struct crow_mirror mirror;

	assert_true(crow_mirror_init(&mirror, &glass->view, &glass->service));
	return mirror;
}

static const struct fixture_item four[] = {
	{"10.0.0.1", 1, 100}, {"10.0.0.2", 2, 1000000}, {"10.0.0.3", 3, 1}, {"10.0.0.4", 4, 5}};

static void test_shape(void **state)
{
	struct crow_mirror mirror;
	struct crow_body *body;
	struct glass glass;

	(void)state;
	open_glass(&glass, four, 2, 0);
	mirror = look(&glass);
	body = crow_mirror_render(&mirror, &glass.view, &glass.service, 0);
	assert_string_equal(body->bytes,
			    "{\"correlative\":[\"one\"],\"endpoints\":{\"items\":["
			    "{\"app\":\"app\",\"ip\":\"10.0.0.1\",\"port\":1,\"weight\":100},"
			    "{\"app\":\"app\",\"ip\":\"10.0.0.2\",\"port\":2,\"weight\":1000000}"
			    "]}}\n");
	crow_body_unref(body);
	crow_mirror_fini(&mirror);
	close_glass(&glass);
}

/* Read back as discovery reads it, in every turn: the same list. */
static void test_read_back(void **state)
{
	const struct crow_service *service;
	struct crow_list_tally tally;
	struct crow_mirror mirror;
	struct crow_body *body;
	struct crow_list list;
	struct glass glass;

	(void)state;
	open_glass(&glass, four, 4, 0);
	service = crow_table_find(&glass.fixture.table, "one");
	mirror = look(&glass);
	for (uint64_t turn = 0; turn < 5; turn++) {
		crow_list_init(&list);
		body = crow_mirror_render(&mirror, &glass.view, &glass.service, turn);
		assert_int_equal(crow_list_read_json(&list, body->bytes, body->size, NULL, &tally),
				 CROW_LIST_OK);
		assert_int_equal(tally.dropped + tally.clamped + tally.merged, 0);
		assert_true(crow_list_equal(&list, &service->list));
		crow_list_fini(&list);
		crow_body_unref(body);
	}
	crow_mirror_fini(&mirror);
	close_glass(&glass);
}

static void test_each_turn_starts_elsewhere(void **state)
{
	struct crow_mirror mirror;
	struct glass glass;

	(void)state;
	open_glass(&glass, four, 4, 0);
	mirror = look(&glass);
	for (uint64_t turn = 0; turn < 8; turn++) {
		char first[64];
		struct crow_body *body =
			crow_mirror_render(&mirror, &glass.view, &glass.service, turn);

		snprintf(first, sizeof(first), "[{\"app\":\"app\",\"ip\":\"%s\"",
			 four[turn % 4].ip);
		assert_non_null(strstr(body->bytes, first));
		crow_body_unref(body);
	}
	crow_mirror_fini(&mirror);
	close_glass(&glass);
}

static size_t shown(const struct fixture_item *items, size_t count, size_t ejected)
{
	struct crow_mirror mirror;
	struct glass glass;

	open_glass(&glass, items, count, ejected);
	mirror = look(&glass);
	crow_mirror_fini(&mirror);
	close_glass(&glass);
	return mirror.count;
}

static void test_who_is_withheld(void **state)
{
	static const struct fixture_item drained[] = {
		{"10.0.0.1", 1, 100}, {"10.0.0.2", 2, 0}, {"10.0.0.3", 3, 0}};

	(void)state;
	assert_int_equal(shown(four, 4, 1), 3);
	assert_int_equal(shown(four, 4, 2), 2);
	assert_int_equal(shown(four, 4, 3), 2); /* never below half */
	assert_int_equal(shown(four, 4, 4), 2);
	assert_int_equal(shown(four, 3, 2), 2);
	assert_int_equal(shown(four, 1, 1), 1);
	assert_int_equal(shown(drained, 3, 0), 1);
	assert_int_equal(shown(drained, 3, 1), 1);
}

static void test_tag(void **state)
{
	struct crow_mirror all, other, fewer;
	struct glass a, b, c;
	char tags[80];

	(void)state;
	open_glass(&a, four, 4, 0);
	open_glass(&b, four, 4, 1);
	open_glass(&c, four, 3, 0);
	all = look(&a);
	fewer = look(&b);
	other = look(&c);
	assert_string_not_equal(all.etag, fewer.etag);
	assert_string_equal(fewer.etag, other.etag); /* the same set, though for another reason */
	assert_false(crow_mirror_is_known(&all, NULL));
	assert_false(crow_mirror_is_known(&all, ""));
	assert_false(crow_mirror_is_known(&all, fewer.etag));
	assert_true(crow_mirror_is_known(&all, "*"));
	assert_true(crow_mirror_is_known(&all, all.etag));
	assert_true(crow_mirror_is_known(&all, all.etag + 2)); /* without W/ */
	snprintf(tags, sizeof(tags), "\"x\", %s", all.etag);
	assert_true(crow_mirror_is_known(&all, tags));
	crow_mirror_fini(&all);
	crow_mirror_fini(&fewer);
	crow_mirror_fini(&other);
	close_glass(&a);
	close_glass(&b);
	close_glass(&c);
}

/* RFC 9110 13.1.2; %s is the service's own tag, with its quotes. */
static void test_what_the_asker_has(void **state)
{
	static const struct {
		const char *value;
		bool known;
	} cases[] = {
		{"%s", true},
		{"W/%s", true},
		{" \t W/%s \t", true},
		{"\"x\",%s", true},
		{"\"x\" , W/%s, W/\"y\"", true},
		{", ,%s,,", true},
		{"\"\", %s", true},
		{"\"with,comma\", %s", true},
		{"\"\x80\xff!\", %s", true},
		{" * ", true},
		{"*, %s", false},
		{"%s, *", false},
		{"W/%sx", false},
		{"w/%s", false},
		{"W/ %s", false},
		{"W/", false},
		{"x%s", false},
		{"%s%s", false},
		{"%s \"x\"", false},
		{"\"x%s", false},
		{"\"with blank\", %s", false},
		{"%s, \"no end", false},
		{"\"\x7f\", %s", false},
		{"x", false},
		{",", false},
	};
	struct crow_mirror mirror;
	struct glass glass;

	(void)state;
	open_glass(&glass, four, 4, 0);
	mirror = look(&glass);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char value[128] = "", *at = value;

		for (const char *from = cases[i].value; *from; from++) {
			if (from[0] != '%') {
				*at++ = *from;
				continue;
			}
			strcpy(at, mirror.etag + 2);
			at += strlen(at);
			from++;
		}
		*at = '\0';
		if (crow_mirror_is_known(&mirror, value) != cases[i].known)
			fail_msg("If-None-Match: %s", value);
	}
	crow_mirror_fini(&mirror);
	close_glass(&glass);
}

static void test_names(void **state)
{
	char longest[300];

	(void)state;
	assert_true(crow_mirror_is_name("mnist_saved_model_example"));
	assert_true(crow_mirror_is_name("group.item-2"));
	assert_false(crow_mirror_is_name(""));
	assert_false(crow_mirror_is_name(".hidden"));
	assert_false(crow_mirror_is_name("a/b"));
	assert_false(crow_mirror_is_name("../../etc/passwd"));
	assert_false(crow_mirror_is_name("a b"));
	assert_false(crow_mirror_is_name("<script>"));
	memset(longest, 'x', sizeof(longest));
	longest[CROW_NAME_MAX] = '\0';
	assert_true(crow_mirror_is_name(longest));
	longest[CROW_NAME_MAX] = 'x';
	longest[CROW_NAME_MAX + 1] = '\0';
	assert_false(crow_mirror_is_name(longest));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shape),
		cmocka_unit_test(test_read_back),
		cmocka_unit_test(test_each_turn_starts_elsewhere),
		cmocka_unit_test(test_who_is_withheld),
		cmocka_unit_test(test_tag),
		cmocka_unit_test(test_what_the_asker_has),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
