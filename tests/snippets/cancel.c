/* IP PORT NAME [pending]: threads that are cancelled inside connect(), and on a non-blocking socket if
 * it is to be pending; afterwards all works as before, and no descriptor is left. */
#include <pthread.h>
#include <stdbool.h>

#include "waits.h"

/* Each may catch its thread where it holds something that is bounded, such as the 1024 connects that
 * libcrowfly(7) names. */
#define CANCELS         50
#define CANCELS_PENDING 3000

static struct sockaddr_in addr;
static const char *name;
static bool is_pending;

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
		int fd = is_pending ? nonblocking_socket() : stream_socket();

		pthread_cleanup_push(close_it, &fd);
		connect_to(fd, &addr);
		pthread_cleanup_pop(1);
		pthread_testcancel();
	}
	return NULL;
}

static void connect_pending(void)
{
	int fd = nonblocking_socket();
	struct pollfd ready = {.fd = fd, .events = POLLOUT};

	begin_connect(fd, &addr);
	MUST(poll(&ready, 1, 10000) == 1);
	print_end(fd);
	close(fd);
}

int main(int argc, char **argv)
{
	int before = free_descriptor();
	struct addrinfo *list;

	MUST(argc >= 4);
	addr = address_of(argv[1], argv[2]);
	name = argv[3];
	is_pending = argc > 4;
	for (int i = 0; i < (is_pending ? CANCELS_PENDING : CANCELS); i++) {
		pthread_t thread;
		void *result;

		MUST(pthread_create(&thread, NULL, connect_for_ever, NULL) == 0);
		usleep((useconds_t)(i % 10) *
		       (is_pending ? 10 : 100)); /* to catch it at different places */
		MUST(pthread_cancel(thread) == 0);
		MUST(pthread_join(thread, &result) == 0);
		MUST(result == PTHREAD_CANCELED);
	}
	if (is_pending)
		connect_pending();
	printf("look-up %d\n", getaddrinfo(name, "80", NULL, &list));
	printf("descriptors %s\n", free_descriptor() == before ? "kept" : "leaked");
	return 0;
}
