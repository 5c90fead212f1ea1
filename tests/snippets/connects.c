/* IP PORT COUNT [pending]: so many connects, one after the other; how many came through. */
#include "waits.h"

static int outcome_of_wait(int fd)
{
	struct pollfd ready = {.fd = fd, .events = POLLOUT};

	MUST(errno == EINPROGRESS);
	MUST(poll(&ready, 1, 10000) == 1);
	return int_option(fd, SOL_SOCKET, SO_ERROR);
}

int main(int argc, char **argv)
{
	struct sockaddr_in addr = address_of(argv[1], argv[2]);
	int good = 0;

	for (int i = atoi(argv[3]); i > 0; i--) {
		int fd = argc > 4 ? nonblocking_socket() : stream_socket();

		good += connect_to(fd, &addr) == 0 || (argc > 4 && outcome_of_wait(fd) == 0);
		close(fd);
	}
	printf("good %d\n", good);
	return 0;
}
