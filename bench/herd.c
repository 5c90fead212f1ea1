/*
 * Many processes that all resolve a name at the same moment, once each, by getaddrinfo().
 *
 *   herd PROCESSES PATTERN
 *
 * In PATTERN a `%` stands for the number of the process. All wait for one pipe to close. Prints
 * lines "NAME VALUE": failed, retried (took as long as the resolver waits before it asks again),
 * median_ms, slowest_ms. libc alone.
 */
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/measure.h"

#define RETRY_S 5 /* resolv.conf(5), "timeout" */

struct outcome {
	bool resolved;
	double took_s;
};

static const struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};

/* Loads the modules of nsswitch.conf before all processes do: their pages are shared then, and
 * thousands fit into memory. */
static void warm_up(void)
{
	struct addrinfo *found;

	if (getaddrinfo("localhost", "80", &hints, &found) == 0)
		freeaddrinfo(found);
}

static void resolve(const char *pattern, long number, struct outcome *outcome)
{
	const char *mark = strchr(pattern, '%');
	struct addrinfo *found = NULL;
	char name[256];
	double start;

	if (mark)
		snprintf(name, sizeof(name), "%.*s%ld%s", (int)(mark - pattern), pattern, number,
			 mark + 1);
	else
		snprintf(name, sizeof(name), "%s", pattern);
	start = seconds(CLOCK_MONOTONIC);
	outcome->resolved = getaddrinfo(name, "80", &hints, &found) == 0;
	outcome->took_s = seconds(CLOCK_MONOTONIC) - start;
}

static long start_all(long count, const char *pattern, const int gate[2], struct outcome *outcomes)
{
	char byte;

	for (long i = 0; i < count; i++) {
		pid_t child = fork();

		if (child < 0) {
			perror("fork");
			return i;
		}
		if (child > 0)
			continue;
		close(gate[1]);
		if (read(gate[0], &byte, 1) == 0)
			resolve(pattern, i, &outcomes[i]);
		_exit(0);
	}
	return count;
}

static void print_outcomes(const struct outcome *outcomes, long count)
{
	double *took = calloc((size_t)count, sizeof(*took));
	long failed = 0, retried = 0;

	for (long i = 0; took && i < count; i++) {
		failed += !outcomes[i].resolved;
		retried += outcomes[i].took_s >= RETRY_S;
		took[i] = outcomes[i].took_s * 1e3;
	}
	if (!took)
		return;
	printf("failed %ld\nretried %ld\nmedian_ms %.1f\n", failed, retried,
	       median(took, (size_t)count)); /* which sorts them */
	printf("slowest_ms %.1f\n", took[count - 1]);
	free(took);
}

int main(int argc, char **argv)
{
	long count = argc == 3 ? atol(argv[1]) : 0, started;
	struct outcome *outcomes;
	int gate[2];

	if (count < 1 || pipe(gate) < 0) {
		fputs("usage: herd PROCESSES PATTERN\n", stderr);
		return 2;
	}
	outcomes = mmap(NULL, (size_t)count * sizeof(*outcomes), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (outcomes == MAP_FAILED) {
		perror("mmap");
		return 1;
	}
	warm_up();
	started = start_all(count, argv[2], gate, outcomes);
	close(gate[0]);
	close(gate[1]);
	while (wait(NULL) > 0)
		;
	print_outcomes(outcomes, started);
	return started == count ? 0 : 1;
}
