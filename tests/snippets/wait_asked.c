/* IP PORT: one thread waits for a connect while others ask for SO_ERROR again and again. Prints what
 * errors those were told, and what there was to see at the end. */
#include <pthread.h>
#include <stdbool.h>

#include "waits.h"

enum { ASKERS = 4 };

static int fd;
static _Atomic bool over;
static _Atomic bool told[256]; /* by errno */

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
	pthread_t threads[ASKERS];

	(void)argc;
	fd = ready.fd = nonblocking_socket();
	for (int i = 0; i < ASKERS; i++)
		MUST(pthread_create(&threads[i], NULL, ask, NULL) == 0);
	begin_connect(fd, &addr);
	MUST(poll(&ready, 1, 10000) == 1);
	over = true;
	for (int i = 0; i < ASKERS; i++)
		MUST(pthread_join(threads[i], NULL) == 0);
	for (int error = 1; error < 256; error++)
		if (told[error])
			printf("told %s\n", strerrorname_np(error));
	print_end(fd);
	return 0;
}
