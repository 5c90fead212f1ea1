/*
 * What an unmodified program pays; bench/run.py runs it with and without the library. libc alone.
 *
 *   client resolve NAME COUNT    ns of one getaddrinfo() + freeaddrinfo()
 *   client notours COUNT         ns of one connect() to an address that is nobody's, the median of
 *                                slices. On a bad fd: the cheapest connect() there is, so that an
 *                                addition shows
 *   client first NAME            the first address of NAME, for first picks of fresh processes
 */
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "bench/measure.h"

static struct addrinfo *resolve(const char *name)
{
	const struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
	struct addrinfo *found;

	if (getaddrinfo(name, "80", &hints, &found) == 0)
		return found;
	fprintf(stderr, "client: %s does not resolve\n", name);
	exit(1);
}

static int time_resolve(const char *name, long count)
{
	double start = seconds(CLOCK_MONOTONIC);

	for (long i = 0; i < count; i++)
		freeaddrinfo(resolve(name));
	printf("%.1f\n", (seconds(CLOCK_MONOTONIC) - start) / (double)count * 1e9);
	return 0;
}

static int time_notours(long count)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(1)};
	enum { SLICES = 21 };
	double took[SLICES];

	for (int slice = 0; slice < SLICES; slice++) {
		double start = seconds(CLOCK_MONOTONIC);

		for (long i = 0; i < count / SLICES; i++) {
			to.sin_addr.s_addr = htonl(0xc6336400u + (unsigned)(i & 255));
			connect(-1, (struct sockaddr *)&to, sizeof(to));
		}
		took[slice] = (seconds(CLOCK_MONOTONIC) - start) / (double)(count / SLICES) * 1e9;
	}
	printf("%.2f\n", median(took, SLICES));
	return 0;
}

static int first(const char *name)
{
	struct addrinfo *found = resolve(name);
	char text[INET_ADDRSTRLEN];
	struct sockaddr_in *sin = (void *)found->ai_addr;

	puts(inet_ntop(AF_INET, &sin->sin_addr, text, sizeof(text)));
	freeaddrinfo(found);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "resolve") == 0)
		return time_resolve(argv[2], atol(argv[3]));
	if (argc == 3 && strcmp(argv[1], "notours") == 0)
		return time_notours(atol(argv[2]));
	if (argc == 3 && strcmp(argv[1], "first") == 0)
		return first(argv[2]);
	fputs("usage: client resolve NAME COUNT | notours COUNT | first NAME\n", stderr);
	return 2;
}
