/* IP PORT NAME: threads that are cancelled inside connect() and between look-ups; afterwards all
 * works as before, and no descriptor is left. */
#include <pthread.h>

#include "snippet.h"

#define CANCELS 50

static struct sockaddr_in addr;
static const char *name;

static void close_it(void *fd)
{
	int state;

	/* close() is a cancellation point, and may end the thread before it closes. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	close(*(int *)fd);
	pthread_setcancelstate(state, NULL);
}

static void *connect_for_ever(void *unused)
{
	(void)unused;
	for (;;) {
		int fd = stream_socket();

		pthread_cleanup_push(close_it, &fd);
		connect_to(fd, &addr);
		pthread_cleanup_pop(1);
		pthread_testcancel();
	}
	return NULL;
}

int main(int argc, char **argv)
{
	int before = free_descriptor();
	struct addrinfo *list;

	MUST(argc == 4);
	addr = address_of(argv[1], argv[2]);
	name = argv[3];
	for (int i = 0; i < CANCELS; i++) {
		pthread_t thread;
		void *result;

		MUST(pthread_create(&thread, NULL, connect_for_ever, NULL) == 0);
		usleep((useconds_t)(i % 10) * 100); /* to catch it at different places */
		MUST(pthread_cancel(thread) == 0);
		MUST(pthread_join(thread, &result) == 0);
		MUST(result == PTHREAD_CANCELED);
	}
	printf("look-up %d\n", getaddrinfo(name, "80", NULL, &list));
	printf("descriptors %s\n", free_descriptor() == before ? "kept" : "leaked");
	return 0;
}
