/*
 * Where a daemon listens, as tools read it from an image.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/face.h"
#include "tests/unit/fixture.h"

static void assert_faces(const char *config, const char *kind, const char *const *expected,
			 size_t count)
{
	struct crow_face faces[CROW_FACES_MAX];
	struct crow_published *published;
	char text[CROW_ENDPOINT_TEXT];
	struct fixture f;

	fixture_init(&f, config);
	published = fixture_build(&f);
	assert_int_equal(crow_face_get(&published->image, kind, faces), count);
	for (size_t i = 0; i < count; i++) {
		crow_addr_format(&faces[i].addr, faces[i].port, text);
		assert_string_equal(text, expected[i]);
	}
	free(published);
	fixture_fini(&f);
}

#define SOURCE "[source s]\nendpoint=http://127.0.0.1:1\nservices=a\n"

static void test_all_addresses_are_told(void **state)
{
	static const char *const dns[] = {"127.0.0.55:53", "[::1]:5353"};
	static const char *const http[] = {"127.0.0.1:9550"};

	(void)state;
	assert_faces(SOURCE "[dns]\nlisten=127.0.0.55,[::1]:5353\n", "dns", dns, 2);
	assert_faces(SOURCE "[dns]\nlisten=127.0.0.55,[::1]:5353\n", "http", http, 1);
}

static void test_nothing_is_told_of_what_is_off(void **state)
{
	static const char *const http[] = {"127.0.0.1:9550"};

	(void)state;
	assert_faces(SOURCE "[dns]\nlisten=none\n", "dns", NULL, 0);
	assert_faces(SOURCE "[dns]\nlisten=none\n", "http", http, 1);
	assert_faces(SOURCE "[dns]\nlisten=none\n[http]\nlisten=none\n", "http", NULL, 0);
}

static void test_an_image_that_is_not_there(void **state)
{
	static const struct crow_image nothing;
	struct crow_face faces[CROW_FACES_MAX];

	(void)state;
	assert_int_equal(crow_face_get(&nothing, "dns", faces), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_addresses_are_told),
		cmocka_unit_test(test_nothing_is_told_of_what_is_off),
		cmocka_unit_test(test_an_image_that_is_not_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
