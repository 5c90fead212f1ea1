/* A library that connects in its constructor, to $EARLY "IP PORT", as allocators and profilers do:
 * maybe before other libraries have been initialised. Blocking, and then not. */
#include "tests/snippets/waits.h"

static void connect_blocking(const struct sockaddr_in *addr)
{
	int fd = stream_socket();

	printf("connect %s\n", outcome(connect_to(fd, addr)));
	print_peer(fd);
	close(fd);
}

static void connect_pending(const struct sockaddr_in *addr)
{
	int fd = nonblocking_socket();
	struct pollfd ready = {.fd = fd, .events = POLLOUT};

	begin_connect(fd, addr);
	MUST(poll(&ready, 1, 10000) == 1);
	print_events("events", (uint32_t)ready.revents);
	print_end(fd);
	close(fd);
}

static __attribute__((constructor)) void connect_early(void)
{
	const char *where = getenv("EARLY");
	struct sockaddr_in addr;
	char ip[64], port[8];

	if (where == NULL || sscanf(where, "%63s %7s", ip, port) != 2)
		return;
	addr = address_of(ip, port);
	connect_blocking(&addr);
	connect_pending(&addr);
	fflush(stdout);
}
