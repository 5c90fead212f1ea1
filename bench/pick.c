/*
 * What a pick costs, for 4 to 100,000 instances, and how far its counts stray from the weights.
 * Prints lines "<name> <value> <unit>" for bench/run.py.
 */
#include <math.h>

#include "bench/measure.h"
#include "resolver/pick.h"
#include "tests/unit/fixture.h"

static double mixed(unsigned i)
{
	return 1 + i * 2654435761u % 1000;
}

static volatile uint32_t sink;

/* The median of several rounds. */
static double cost_ns(const struct crow_image *img)
{
	enum { PICKS = 1000000, ROUNDS = 9 };
	double took[ROUNDS];
	uint64_t seq = 12345;

	for (int round = 0; round < ROUNDS; round++) {
		double start = seconds(CLOCK_MONOTONIC);

		for (int i = 0; i < PICKS; i++)
			sink = crow_pick_at(img, 0, CROW_V4, crow_pick_point(seq++));
		took[round] = (seconds(CLOCK_MONOTONIC) - start) / PICKS * 1e9;
	}
	return median(took, ROUNDS);
}

static double deviation(const struct crow_image *img)
{
	enum { PICKS = 1000000 };
	const struct crow_snap_service *service = crow_image_service(img, 0);
	uint32_t *counts = calloc(service->count, sizeof(*counts));
	double worst = 0;

	for (uint64_t seq = 0; seq < PICKS; seq++)
		counts[crow_pick_at(img, 0, CROW_V4, crow_pick_point(0xabcdef + seq)) -
		       service->first]++;
	for (uint32_t i = 0; i < service->count; i++)
		worst = fmax(worst, fabs(counts[i] - (double)PICKS * img->instances[i].weight /
							     (double)service->total_weight));
	free(counts);
	return worst;
}

int main(void)
{
	static const unsigned sizes[] = {4, 100, 1000, 100000};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct crow_published *published;
		struct fixture f;

		fixture_init(&f, FIXTURE_CONFIG);
		fixture_take_many(&f, "one", sizes[i], mixed);
		published = fixture_build(&f);
		printf("pick_%u %.2f ns\n", sizes[i], cost_ns(&published->image));
		printf("deviation_%u %.2f picks\n", sizes[i], deviation(&published->image));
		free(published);
		fixture_fini(&f);
	}
	return 0;
}
