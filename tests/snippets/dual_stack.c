/* PORT [only]: an IPv6 socket that connects to ::1, and takes IPv4 addresses too unless it is for
 * IPv6 only; blocking, and then not. */
#include "waits.h"

static int ipv6_socket(int flags, int only)
{
	int fd = socket(AF_INET6, SOCK_STREAM | flags, 0);

	MUST(fd >= 0);
	MUST(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only)) == 0);
	return fd;
}

int main(int argc, char **argv)
{
	struct sockaddr_in6 addr = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	int blocking = ipv6_socket(0, argc > 2);
	int pending = ipv6_socket(SOCK_NONBLOCK, argc > 2);
	struct pollfd ready = {.fd = pending, .events = POLLOUT};

	addr.sin6_port = htons((uint16_t)atoi(argv[1]));
	printf("connect %s\n", outcome(connect(blocking, (struct sockaddr *)&addr, sizeof(addr))));
	print_peer(blocking);
	printf("connect %s\n", outcome(connect(pending, (struct sockaddr *)&addr, sizeof(addr))));
	MUST(poll(&ready, 1, 10000) == 1);
	print_end(pending);
	return 0;
}
