/* Look-ups in an image, and that no bytes whatever make them crash or hang. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/fixture.h"

#include "resolver/name.h"
#include "resolver/pick.h"

#define CONFIG                                                                                     \
	"[source s]\nendpoint=http://127.0.0.1:1\nservices=one,two_b,empty,a.dotted\n"             \
	"[source d]\nendpoint=http://127.0.0.1:1\nservices=*\nzone=d.test\ntimeout=1500ms\n"       \
	"[service one]\nalias=Alias.Example\nport=81\n"

static struct fixture f;
static struct crow_published *published;
static const struct crow_image *img;

static const struct fixture_item one[] = {
	{"10.0.0.1", 8000, 100}, {"10.0.0.1", 8001, 100},   {"10.0.0.2", 8000, 50},
	{"10.0.0.3", 8000, 0},   {"2001:db8::1", 8000, 10},
};
static const struct fixture_item two[] = {{"10.0.0.2", 9000, 1}, {"10.0.0.2", 8000, 1}};
static const struct fixture_item one_later[] = {
	{"10.0.0.2", 8000, 50}, {"10.0.0.3", 8000, 0}, {"2001:db8::1", 8000, 10}};

static int setup(void **state)
{
	(void)state;
	fixture_init(&f, CONFIG);
	fixture_take(&f, "one", one, 5);
	fixture_take(&f, "two_b", two, 2);
	published = fixture_build(&f);
	img = &published->image;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(published);
	fixture_fini(&f);
	return 0;
}

static const struct crow_snap_name *find(const char *text)
{
	char folded[CROW_NAME_MAX + 1];
	size_t len = crow_name_fold(text, strlen(text), folded);

	return crow_image_find_name(img, folded, len);
}

static const char *service_of(const char *text)
{
	const struct crow_snap_name *name = find(text);

	if (name == NULL)
		return "none";
	return crow_image_string(img, crow_image_service(img, name->service)->name);
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(service_of("one.eas.internal"), "one");
	assert_string_equal(service_of("ONE.Eas.Internal."), "one");
	assert_string_equal(service_of("alias.example"), "one");
	assert_string_equal(service_of("two_b.eas.internal"), "two_b");
	assert_string_equal(service_of("two-b.eas.internal"), "two_b");
	assert_string_equal(service_of("empty.eas.internal"), "empty");
	assert_string_equal(service_of("three.eas.internal"), "none");
	assert_string_equal(service_of("one.eas.internal.x"), "none");
	assert_string_equal(service_of("eas.internal"), "none");
}

static void test_parents(void **state)
{
	(void)state;
	assert_true(crow_image_is_parent(img, "dotted.eas.internal", 19));
	assert_null(find("dotted.eas.internal"));
	assert_false(crow_image_is_parent(img, "otted.eas.internal", 18));
	assert_false(crow_image_is_parent(img, "a.dotted.eas.internal", 21));
	assert_false(crow_image_is_parent(img, "one.eas.internal", 16));
	assert_false(crow_image_is_parent(img, "eas.internal", 12)); /* the zone is no name in it */
	assert_false(crow_image_is_parent(img, "example", 7));
}

static void test_denied_names(void **state)
{
	(void)state;
	crow_table_deny(&f.table, "gone.d.test", CROW_NAME_UNKNOWN, INT64_MAX);
	free(published);
	published = fixture_build(&f);
	img = &published->image;
	assert_int_equal(find("gone.d.test")->kind, CROW_NAME_UNKNOWN);
	assert_int_equal(find("gone.d.test")->service, CROW_SNAP_NONE);
}

static void test_zones(void **state)
{
	const struct crow_snap_zone *zone = crow_image_find_zone(img, "a.b.d.test", 10);

	(void)state;
	assert_string_equal(crow_image_string(img, zone->name), "d.test");
	assert_int_equal(zone->timeout_ms, 1500);
	zone = crow_image_find_zone(img, "eas.internal", 12);
	assert_string_equal(crow_image_string(img, zone->name), "eas.internal");
	assert_int_equal(zone->timeout_ms, 0);
	assert_null(crow_image_find_zone(img, "xeas.internal", 13));
	assert_null(crow_image_find_zone(img, "internal", 8));
}

#define OWNERS_MAX 4

/* How many there are, all of them exact or none. */
static size_t owners(const char *ip, uint16_t port, bool exact, struct crow_owner out[OWNERS_MAX])
{
	struct crow_addr addr;
	uint32_t probe = 0;
	size_t count = 0;

	assert_true(crow_addr_parse(ip, strlen(ip), &addr));
	while (count < OWNERS_MAX && crow_image_next_owner(img, &addr, port, &probe, &out[count]))
		assert_int_equal(out[count++].exact, exact);
	return count;
}

static const char *owner_name(const struct crow_owner *owner)
{
	return crow_image_string(img, crow_image_service(img, owner->service)->name);
}

static void test_exact_owner(void **state)
{
	struct crow_owner out[OWNERS_MAX];

	(void)state;
	assert_int_equal(owners("10.0.0.1", 8001, true, out), 1);
	assert_string_equal(owner_name(&out[0]), "one");
	assert_int_equal(crow_image_instance(img, out[0].instance)->port, 8001);
	assert_int_equal(owners("10.0.0.2", 8000, true, out), 2); /* both services have it */
	assert_int_equal(owners("10.0.0.9", 8000, false, out), 0);
	assert_int_equal(owners("10.0.0.1", 9999, false, out), 0);
	assert_int_equal(owners("2001:db8::1", 8000, true, out), 1);
}

static void test_translated_owner(void **state)
{
	struct crow_owner out[OWNERS_MAX];

	(void)state;
	assert_int_equal(owners("10.0.0.3", 81, false, out), 1);
	assert_int_equal(crow_image_instance(img, out[0].instance)->state, CROW_STATE_DRAINED);
	/* Two instances of one service share this address: it does not tell which is meant. */
	assert_int_equal(owners("10.0.0.1", 81, false, out), 1);
	assert_int_equal(out[0].instance, CROW_SNAP_NONE);
	assert_int_equal(owners("10.0.0.2", 80, false, out),
			 1); /* two_b's own port is the default */
	assert_string_equal(owner_name(&out[0]), "two_b");
}

static void test_tombstone_owner(void **state)
{
	struct crow_owner out[OWNERS_MAX];

	(void)state;
	fixture_take(&f, "one", one_later, 3);
	free(published);
	published = fixture_build(&f);
	img = &published->image;
	assert_int_equal(owners("10.0.0.1", 8001, false, out), 1);
	assert_int_equal(crow_image_instance(img, out[0].instance)->state, CROW_STATE_TOMBSTONE);
	assert_int_equal(owners("10.0.0.1", 81, false, out), 1);
	assert_int_equal(out[0].instance, CROW_SNAP_NONE);
}

static void test_has_address(void **state)
{
	struct crow_addr addr;

	(void)state;
	crow_addr_parse("10.0.0.3", 8, &addr);
	assert_true(crow_image_has_address(img, &addr));
	crow_addr_parse("10.0.0.4", 8, &addr);
	assert_false(crow_image_has_address(img, &addr));
}

/* Everything that a reader may ask of an image. */
static void exercise(const struct crow_image *any)
{
	struct crow_owner owner;
	struct crow_addr addr;
	uint32_t picks[CROW_PICK_SEVERAL_MAX];

	crow_image_find_name(any, "one.eas.internal", 16);
	crow_image_find_zone(any, "one.eas.internal", 16);
	crow_addr_parse("10.0.0.2", 8, &addr);
	for (uint32_t probe = 0; crow_image_next_owner(any, &addr, 8000, &probe, &owner);)
		crow_image_instance(any, owner.instance);
	for (uint32_t probe = 0; crow_image_next_owner(any, &addr, 80, &probe, &owner);)
		crow_image_instance(any, owner.instance);
	crow_image_has_address(any, &addr);
	for (uint32_t s = 0; s < crow_image_service_count(any) && s < 8; s++)
		for (uint64_t seq = 0; seq < 4; seq++)
			for (enum crow_family family = CROW_ANY; family <= CROW_V6; family++)
				for (size_t i = crow_pick_several(any, s, family,
								  crow_pick_point(seq), picks, 4);
				     i > 0; i--)
					assert_non_null(crow_image_instance(any, picks[i - 1]));
}

/* Each 32-bit word of an image replaced by awkward values, with the checksum made right again: as
 * an attacker, and not a bad disk, would leave it. */
static void test_hostile_bytes(void **state)
{
	static const uint32_t values[] = {0,          1,          7,          8,
					  0x7fffffff, 0x80000000, 0xfffffff8, 0xffffffff};
	size_t size = img->size;
	uint64_t *copy = malloc(size);
	struct crow_snap_header *header = (void *)copy;
	struct crow_image broken;

	(void)state;
	for (size_t at = 0; at + 4 <= size; at += 4) {
		for (size_t v = 0; v < sizeof(values) / sizeof(values[0]); v++) {
			memcpy(copy, img->bytes, size);
			memcpy((uint8_t *)copy + at, &values[v], 4);
			header->checksum = crow_image_checksum(&header->generation, size - 32);
			if (crow_image_init(&broken, copy, size) == CROW_IMAGE_OK)
				exercise(&broken);
			else
				assert_null(broken.header);
		}
	}
	free(copy);
}

static void test_every_truncation_and_flip_is_refused(void **state)
{
	size_t size = img->size;
	uint64_t *copy = malloc(size);
	struct crow_image broken;

	(void)state;
	for (size_t shorter = 0; shorter < size; shorter++)
		assert_int_not_equal(crow_image_init(&broken, img->bytes, shorter), CROW_IMAGE_OK);
	for (size_t bit = 0; bit < size * 8; bit++) {
		memcpy(copy, img->bytes, size);
		((uint8_t *)copy)[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_not_equal(crow_image_init(&broken, copy, size), CROW_IMAGE_OK);
	}
	free(copy);
}

static void test_empty_image(void **state)
{
	struct crow_image empty;

	(void)state;
	assert_int_equal(crow_image_init(&empty, "", 0), CROW_IMAGE_SHORT);
	exercise(&empty);
	assert_string_equal(crow_image_string(&empty, 0), "");
}

static void test_same_table_same_bytes(void **state)
{
	struct crow_published *again = fixture_build(&f);

	(void)state;
	assert_int_equal(again->image.size, img->size);
	assert_memory_equal(again->image.bytes, img->bytes, img->size);
	free(again);
}

/* ---- the corpus of fuzz_image ---- */

#define CORPUS "tests/fuzz/corpus/image" /* tests run at the top of the tree */

static struct crow_published *make_seed(const char *name)
{
	if (strcmp(name, "empty") != 0)
		fixture_take(&f, "one", one, 5);
	if (strcmp(name, "graves") == 0)
		fixture_take(&f, "one", one_later, 3);
	if (strcmp(name, "equal") == 0)
		fixture_take(&f, "two_b", two, 2);
	return fixture_build(&f);
}

static const char *const seeds[] = {"empty", "uneven", "graves", "equal"};

/* A seed of another version of the format would be refused, and the fuzzer begin at nothing. */
static void test_the_corpus_is_of_this_format(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(seeds) / sizeof(seeds[0]); i++) {
		uint64_t bytes[1024];
		struct crow_image seed;
		char path[64];
		size_t size;
		FILE *in;

		snprintf(path, sizeof(path), CORPUS "/%s", seeds[i]);
		in = fopen(path, "rb");
		assert_non_null(in);
		size = fread(bytes, 1, sizeof(bytes), in);
		fclose(in);
		assert_int_equal(crow_image_init(&seed, bytes, size), CROW_IMAGE_OK);
	}
}

/* Makes the corpus anew: build/tests/unit/test_image tests/fuzz/corpus/image */
static int write_corpus(const char *directory)
{
	for (size_t i = 0; i < sizeof(seeds) / sizeof(seeds[0]); i++) {
		struct crow_published *seed;
		char path[256];
		FILE *out;

		fixture_init(&f, CONFIG);
		seed = make_seed(seeds[i]);
		snprintf(path, sizeof(path), "%s/%s", directory, seeds[i]);
		out = fopen(path, "wb");
		FIXTURE_MUST(out != NULL);
		fwrite(seed->bytes, 1, seed->image.size, out);
		FIXTURE_MUST(fclose(out) == 0);
		free(seed);
		fixture_fini(&f);
	}
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(test_names),
		TEST(test_parents),
		TEST(test_denied_names),
		TEST(test_zones),
		TEST(test_exact_owner),
		TEST(test_translated_owner),
		TEST(test_tombstone_owner),
		TEST(test_has_address),
		TEST(test_hostile_bytes),
		TEST(test_every_truncation_and_flip_is_refused),
		TEST(test_empty_image),
		TEST(test_same_table_same_bytes),
		cmocka_unit_test(test_the_corpus_is_of_this_format),
	};

	if (argc > 1)
		return write_corpus(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
