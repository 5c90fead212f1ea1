/* The golden-ratio pick: shares, families, further draws. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/fixture.h"

#include "resolver/pick.h"

static struct fixture f;
static struct crow_published *published;

static void build_with(unsigned n, double (*weight)(unsigned))
{
	fixture_init(&f, FIXTURE_CONFIG);
	fixture_take_many(&f, "one", n, weight);
	published = fixture_build(&f);
}

static int teardown(void **state)
{
	(void)state;
	free(published);
	published = NULL;
	fixture_fini(&f);
	return 0;
}

static double mixed(unsigned i)
{
	static const double weights[] = {100, 50, 1, 1000000, 7, 0, 333};

	return weights[i % 7];
}

static double small(unsigned i)
{
	return 1 + i % 100;
}

static double equal_weights(unsigned i)
{
	(void)i;
	return 100;
}

/* Picks from a start, counted by instance; the largest distance from the ideal share at the end. */
static double deviation(uint32_t picks, uint64_t start)
{
	const struct crow_image *img = &published->image;
	const struct crow_snap_service *service = crow_image_service(img, 0);
	uint32_t *counts = calloc(service->count, sizeof(*counts));
	double worst = 0;

	for (uint64_t i = 0; i < picks; i++)
		counts[crow_pick_at(img, 0, CROW_ANY, crow_pick_point(start + i)) -
		       service->first]++;
	for (uint32_t i = 0; i < service->count; i++) {
		double share = (double)img->instances[service->first + i].weight * picks /
			       (double)service->total_weight;
		double off = share > counts[i] ? share - counts[i] : counts[i] - share;

		if (i >= service->up4 + service->up6)
			assert_int_equal(counts[i], 0);
		worst = off > worst ? off : worst;
	}
	free(counts);
	return worst;
}

/* Measured: at most 4 at 10^6 were measured; the product promises 6. */
static void test_deviation(void **state)
{
	(void)state;
	build_with(1000, small);
	assert_true(deviation(1000000, 0x123456789abcdefu) <= 6);
	teardown(NULL);
	build_with(7, mixed);
	assert_true(deviation(1000000, 42) <= 6);
	teardown(NULL);
	build_with(1000, equal_weights);
	assert_true(deviation(1000000, 42) <= 6);
}

/* The last point of the i-th of n equal parts: the largest p with p * n / 2^64 < i + 1. */
static uint64_t equal_upper(uint32_t i, uint32_t n)
{
	return (uint64_t)((((unsigned __int128)(i + 1) << 64) - 1) / n);
}

/* Every edge between two instances. */
static void check_every_edge(bool equal)
{
	const struct crow_image *img = &published->image;
	const struct crow_snap_service *service = crow_image_service(img, 0);

	assert_int_equal(!!(service->flags & CROW_SERVICE_EQUAL), equal);
	assert_int_equal(img->header->uppers.count, equal ? 0 : service->up4);
	for (uint32_t i = 0; i < service->up4; i++) {
		uint64_t upper =
			equal ? equal_upper(i, service->up4) : img->uppers[service->upper + i];

		assert_int_equal(crow_pick_at(img, 0, CROW_ANY, upper), service->first + i);
		if (i + 1 < service->up4)
			assert_int_equal(crow_pick_at(img, 0, CROW_ANY, upper + 1),
					 service->first + i + 1);
		else
			assert_true(upper == UINT64_MAX);
	}
	assert_int_equal(crow_pick_at(img, 0, CROW_ANY, 0), service->first);
}

static void test_every_point_agrees_with_the_distribution(void **state)
{
	(void)state;
	build_with(333, mixed);
	check_every_edge(false);
	teardown(NULL);
	build_with(333, equal_weights);
	check_every_edge(true);
}

static const struct fixture_item both[] = {
	{"10.0.0.1", 80, 300},   {"10.0.0.2", 80, 100},  {"2001:db8::1", 80, 10},
	{"2001:db8::2", 80, 30}, {"2001:db8::3", 80, 0},
};

static void test_families(void **state)
{
	const struct crow_image *img;
	uint32_t counts[5] = {0};

	(void)state;
	fixture_init(&f, FIXTURE_CONFIG);
	fixture_take(&f, "one", both, 5);
	published = fixture_build(&f);
	img = &published->image;
	for (uint64_t seq = 0; seq < 4000; seq++) {
		counts[crow_pick_at(img, 0, CROW_V4, crow_pick_point(seq))]++;
		counts[crow_pick_at(img, 0, CROW_V6, crow_pick_point(seq))]++;
	}
	assert_in_range(counts[0], 2994, 3006);
	assert_in_range(counts[1], 994, 1006);
	assert_in_range(counts[2], 994, 1006);
	assert_in_range(counts[3], 2994, 3006);
	assert_int_equal(counts[4], 0);
}

static void test_several_are_distinct(void **state)
{
	uint32_t out[CROW_PICK_SEVERAL_MAX];

	(void)state;
	build_with(7, mixed); /* one of the seven is drained, and one outweighs all others */
	for (uint64_t seq = 0; seq < 1000; seq++) {
		uint64_t point = crow_pick_point(seq);

		assert_int_equal(crow_pick_several(&published->image, 0, CROW_V4, point, out, 32),
				 6);
		assert_int_equal(out[0], crow_pick_at(&published->image, 0, CROW_V4, point));
		for (size_t i = 0; i < 6; i++)
			for (size_t j = 0; j < i; j++)
				assert_int_not_equal(out[i], out[j]);
	}
	assert_int_equal(
		crow_pick_several(&published->image, 0, CROW_V6, crow_pick_point(1), out, 3), 0);
}

/* The same of equals, a few and many, at once and in two goes. */
static void test_several_equals_are_distinct(void **state)
{
	static const unsigned sizes[] = {8, 33};
	uint32_t out[CROW_PICK_SEVERAL_MAX];

	(void)state;
	for (size_t s = 0; s < 2; s++) {
		if (s > 0)
			teardown(NULL);
		build_with(sizes[s], equal_weights);
		for (uint64_t seq = 0; seq < 1000; seq++) {
			uint64_t point = crow_pick_point(seq);
			uint32_t first = crow_pick_at(&published->image, 0, CROW_V4, point);
			size_t count = crow_pick_more(&published->image, 0, CROW_V4, &point, out, 0,
						      1 + seq % 8);

			assert_int_equal(count, 1 + seq % 8);
			count = crow_pick_more(&published->image, 0, CROW_V4, &point, out, count,
					       32);
			assert_int_equal(count, s == 0 ? 8 : 32);
			assert_int_equal(out[0], first);
			for (size_t i = 0; i < count; i++)
				for (size_t j = 0; j < i; j++)
					assert_int_not_equal(out[i], out[j]);
		}
	}
}

/* Who is second, given who is first: each of the three others a third. */
static void test_further_equals_are_even(void **state)
{
	uint32_t counts[4][4] = {0}, out[2];

	(void)state;
	build_with(4, equal_weights);
	for (uint64_t seq = 0; seq < 120000; seq++) {
		crow_pick_several(&published->image, 0, CROW_V4, crow_pick_point(seq), out, 2);
		counts[out[0]][out[1]]++;
	}
	for (size_t i = 0; i < 4; i++)
		for (size_t j = 0; j < 4; j++)
			assert_in_range(counts[i][j], i == j ? 0 : 9700, i == j ? 0 : 10300);
}

/* Each family is an arc of its own, and a share that health cut makes unequal what was equal. */
static void test_equals_of_both_families(void **state)
{
	static const struct fixture_item items[] = {{"10.0.0.1", 1, 5},
						    {"10.0.0.2", 2, 5},
						    {"10.0.0.3", 3, 5},
						    {"::4", 4, 5},
						    {"::5", 5, 5}};
	static const uint8_t shares[] = {100, 25, 100, 100, 100};
	const struct crow_image *img;
	unsigned seen[6] = {0};

	(void)state;
	fixture_init(&f, FIXTURE_CONFIG);
	fixture_take(&f, "one", items, 5);
	published = fixture_build(&f);
	img = &published->image;
	assert_true(img->services[0].flags & CROW_SERVICE_EQUAL);
	for (uint64_t seq = 0; seq < 6000; seq++) {
		seen[img->instances[crow_pick_at(img, 0, CROW_V4, crow_pick_point(seq))].port]++;
		seen[img->instances[crow_pick_at(img, 0, CROW_V6, crow_pick_point(seq))].port]++;
	}
	for (unsigned port = 1; port <= 5; port++)
		assert_in_range(seen[port], port < 4 ? 1994 : 2994, port < 4 ? 2006 : 3006);
	free(published);
	fixture_set_shares(&f, "one", shares);
	published = fixture_build(&f);
	assert_false(published->image.services[0].flags & CROW_SERVICE_EQUAL);
}

static double one_outweighs(unsigned i)
{
	return i == 0 ? 10000 : i == 1 ? 30 : 10;
}

/* By their weights, however little is left: after the first one 30 to 10 to 10. */
static void test_further_ones_follow_the_weights(void **state)
{
	uint32_t counts[4] = {0}, out[2];
	unsigned firsts = 0;

	(void)state;
	build_with(4, one_outweighs);
	for (uint64_t seq = 0; seq < 100000; seq++) {
		assert_int_equal(crow_pick_several(&published->image, 0, CROW_V4,
						   crow_pick_point(seq), out, 2),
				 2);
		if (out[0] != 0)
			continue;
		firsts++;
		counts[out[1]]++;
	}
	assert_in_range(firsts, 99000, 99999);
	assert_int_equal(counts[0], 0);
	assert_in_range(counts[1], firsts * 59 / 100, firsts * 61 / 100);
	assert_in_range(counts[2], firsts * 19 / 100, firsts * 21 / 100);
	assert_in_range(counts[3], firsts * 19 / 100, firsts * 21 / 100);
}

/* When one of four equal instances is avoided, the others share what it would have got. */
static void test_survivors_share_evenly(void **state)
{
	uint32_t counts[4] = {0}, dead = 1;

	(void)state;
	build_with(4, equal_weights);
	for (uint64_t seq = 0; seq < 300000; seq++)
		counts[crow_pick_other(&published->image, 0, CROW_ANY, crow_pick_point(seq), &dead,
				       1)]++;
	assert_int_equal(counts[dead], 0);
	for (unsigned i = 0; i < 4; i++)
		if (i != dead)
			assert_in_range(counts[i], 99000, 101000); /* within 1 %: FAULTS N2 */
}

static void test_nothing_left(void **state)
{
	uint32_t tried[4] = {0, 1, 2, 3};

	(void)state;
	build_with(4, equal_weights);
	assert_int_equal(crow_pick_other(&published->image, 0, CROW_ANY, 1, tried, 4),
			 CROW_SNAP_NONE);
	assert_int_equal(crow_pick_at(&published->image, 1, CROW_ANY, 1), CROW_SNAP_NONE);
	assert_int_equal(crow_pick_at(&published->image, 99, CROW_ANY, 1), CROW_SNAP_NONE);
}

/* What health says of a list is in the picks, and in the states that people see. */
static void test_shares_are_picked_by(void **state)
{
	static const struct fixture_item items[] = {
		{"10.0.0.1", 1, 100}, {"10.0.0.2", 2, 100}, {"10.0.0.3", 3, 100}, {"::5", 5, 7}};
	static const uint8_t shares[] = {0, 25, 100, 100};
	unsigned seen[6] = {0};
	const struct crow_image *img;

	(void)state;
	fixture_init(&f, FIXTURE_CONFIG);
	fixture_take(&f, "one", items, 4);
	fixture_set_shares(&f, "one", shares);
	published = fixture_build(&f);
	img = &published->image;
	assert_int_equal(img->instances[3].port, 1);
	assert_int_equal(img->instances[3].state, CROW_STATE_EJECTED);
	assert_int_equal(img->instances[3].weight, 100);
	for (uint64_t seq = 0; seq < 10000; seq++)
		seen[img->instances[crow_pick_at(img, 0, CROW_V4, crow_pick_point(seq))].port]++;
	assert_int_equal(seen[1], 0);
	assert_in_range(seen[2], 1994, 2006);
	assert_in_range(seen[3], 7994, 8006);
}

#define TEST(name) cmocka_unit_test_teardown(name, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_deviation),
		TEST(test_every_point_agrees_with_the_distribution),
		TEST(test_families),
		TEST(test_several_are_distinct),
		TEST(test_several_equals_are_distinct),
		TEST(test_further_ones_follow_the_weights),
		TEST(test_further_equals_are_even),
		TEST(test_equals_of_both_families),
		TEST(test_survivors_share_evenly),
		TEST(test_nothing_left),
		TEST(test_shares_are_picked_by),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
