/*
 * What a reader pays when the snapshot has changed: open, fstat, read, check, close. "again" is
 * the usual case, a copy whose memory is there already; "first" is a process that starts.
 */
#include <unistd.h>

#include "bench/measure.h"
#include "daemon/runtime.h"
#include "resolver/attach.h"
#include "tests/unit/fixture.h"

static double hundred(unsigned i)
{
	(void)i;
	return 100;
}

/* The median of several loads, in microseconds. */
static double cost_us(const char *dir, bool anew)
{
	enum { ROUNDS = 301 };
	struct crow_copy copy = {0};
	double took[ROUNDS];

	FIXTURE_MUST(crow_copy_load(&copy, dir, NULL) == CROW_ATTACH_OK);
	for (int i = 0; i < ROUNDS; i++) {
		if (anew)
			crow_copy_fini(&copy);
		double start = seconds(CLOCK_MONOTONIC);

		FIXTURE_MUST(crow_copy_load(&copy, dir, NULL) == CROW_ATTACH_OK);
		took[i] = (seconds(CLOCK_MONOTONIC) - start) * 1e6;
	}
	crow_copy_fini(&copy);
	return median(took, ROUNDS);
}

static void measure(const char *dir, unsigned n)
{
	struct crow_published *published;
	struct stat identity;
	struct fixture f;

	fixture_init(&f, FIXTURE_CONFIG);
	fixture_take_many(&f, "one", n, hundred);
	published = fixture_build(&f);
	FIXTURE_MUST(crow_runtime_write_snapshot(dir, published->bytes, published->image.size,
						 &identity));
	printf("image_%u %zu bytes\n", n, published->image.size);
	printf("attach_again_%u %.2f us\n", n, cost_us(dir, false));
	printf("attach_first_%u %.2f us\n", n, cost_us(dir, true));
	free(published);
	fixture_fini(&f);
}

int main(void)
{
	char dir[] = "/dev/shm/crowfly-bench-XXXXXX", path[64];

	FIXTURE_MUST(mkdtemp(dir) != NULL);
	measure(dir, 4);
	measure(dir, 1000);
	measure(dir, 100000);
	snprintf(path, sizeof(path), "%s/snapshot", dir);
	unlink(path);
	return rmdir(dir);
}
