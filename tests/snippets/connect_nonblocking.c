/* IP PORT: a non-blocking connect, as event loops do it. */
#include "snippet.h"

int main(int argc, char **argv)
{
	struct sockaddr_in addr = address_of(argv[1], argv[2]);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct pollfd ready = {.fd = fd, .events = POLLOUT};

	(void)argc;
	printf("connect %s\n", outcome(connect_to(fd, &addr)));
	MUST(poll(&ready, 1, 10000) == 1);
	printf("error %s\n", strerrorname_np(int_option(fd, SOL_SOCKET, SO_ERROR)));
	/* The idiom that asks connect() for the outcome. */
	printf("again %s\n", outcome(connect_to(fd, &addr)));
	print_peer(fd);
	return 0;
}
