/* NAME PORT THREADS TIMES: resolve and connect from many threads. */
#include <pthread.h>
#include <stdatomic.h>

#include "snippet.h"

static const char *name, *port;
static int times;
static atomic_int unresolved, failed;

static void *client(void *unused)
{
	(void)unused;
	for (int i = 0; i < times; i++) {
		struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
		struct addrinfo *list;
		int fd = stream_socket();

		if (getaddrinfo(name, port, &hints, &list) != 0) {
			atomic_fetch_add(&unresolved, 1);
		} else {
			if (connect(fd, list->ai_addr, list->ai_addrlen) < 0)
				atomic_fetch_add(&failed, 1);
			freeaddrinfo(list);
		}
		close(fd);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	int before = free_descriptor();
	int count;
	pthread_t *threads;

	MUST(argc == 5);
	name = argv[1];
	port = argv[2];
	count = atoi(argv[3]);
	times = atoi(argv[4]);
	threads = calloc((size_t)count, sizeof(*threads));
	for (int i = 0; i < count; i++)
		MUST(pthread_create(&threads[i], NULL, client, NULL) == 0);
	for (int i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	free(threads);
	printf("unresolved %d\nfailed %d\n", atomic_load(&unresolved), atomic_load(&failed));
	printf("descriptors %s\n", free_descriptor() == before ? "kept" : "leaked");
	return 0;
}
