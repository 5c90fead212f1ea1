/*
 * What a reader pays when the snapshot has changed: open, fstat, read, check, close. "again" is
 * the usual case, a copy whose memory is there already; "first" is a process that starts.
 */
#include <time.h>
#include <unistd.h>

#include "daemon/runtime.h"
#include "resolver/attach.h"
#include "tests/unit/fixture.h"

static double hundred(unsigned i)
{
	(void)i;
	return 100;
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
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
		double start = seconds();

		FIXTURE_MUST(crow_copy_load(&copy, dir, NULL) == CROW_ATTACH_OK);
		took[i] = (seconds() - start) * 1e6;
	}
	crow_copy_fini(&copy);
	qsort(took, ROUNDS, sizeof(took[0]), compare);
	return took[ROUNDS / 2];
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
