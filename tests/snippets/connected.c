/* IP PORT [beside]: a second connect() on a connected socket, and one after AF_UNSPEC; with another
 * thread in the process, or without. */
#include "snippet.h"

int main(int argc, char **argv)
{
	const struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
	struct sockaddr_in addr = address_of(argv[1], argv[2]);
	int fd = stream_socket();

	if (argc > 3)
		start_idle_thread();
	printf("first %s\n", outcome(connect_to(fd, &addr)));
	print_peer(fd);
	printf("second %s\n", outcome(connect_to(fd, &addr)));
	print_peer(fd);
	printf("nowhere %s\n", outcome(connect(fd, &nowhere, sizeof(nowhere))));
	printf("third %s\n", outcome(connect_to(fd, &addr)));
	print_peer(fd);
	return 0;
}
