/* IP PORT: one thread waits for a connect while another one asks for SO_ERROR again and again. Prints
 * what errors that one was told, and those of the end. */
#include <pthread.h>
#include <stdbool.h>

#include "waits.h"

static int fd;
static _Atomic bool over;
static bool told[256]; /* by errno */

static void *ask(void *unused)
{
	(void)unused;
	while (!over) {
		int error = int_option(fd, SOL_SOCKET, SO_ERROR);

		MUST(error >= 0 && error < 256);
		told[error] = true;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	struct sockaddr_in addr = address_of(argv[1], argv[2]);
	struct pollfd ready = {.events = POLLOUT};
	pthread_t thread;

	(void)argc;
	fd = ready.fd = nonblocking_socket();
	MUST(pthread_create(&thread, NULL, ask, NULL) == 0);
	begin_connect(fd, &addr);
	MUST(poll(&ready, 1, 10000) == 1);
	over = true;
	MUST(pthread_join(thread, NULL) == 0);
	for (int error = 1; error < 256; error++)
		if (told[error])
			printf("told %s\n", strerrorname_np(error));
	print_end(fd);
	return 0;
}
