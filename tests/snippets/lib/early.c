/* A library that connects in its constructor, to $EARLY "IP PORT", as allocators and profilers do:
 * maybe before other libraries have been initialised. */
#include "tests/snippets/snippet.h"

static __attribute__((constructor)) void connect_early(void)
{
	const char *where = getenv("EARLY");
	struct sockaddr_in addr;
	char ip[64], port[8];
	int fd;

	if (where == NULL || sscanf(where, "%63s %7s", ip, port) != 2)
		return;
	addr = address_of(ip, port);
	fd = stream_socket();
	printf("connect %s\n", outcome(connect_to(fd, &addr)));
	print_peer(fd);
	fflush(stdout);
	close(fd);
}
