/* IP PORT: an IPv6 socket that connects to the v4-mapped address, as every JVM does; and what is
 * wrong with families stays wrong. */
#include "snippet.h"

int main(int argc, char **argv)
{
	struct sockaddr_in v4 = address_of(argv[1], argv[2]);
	struct sockaddr_in6 mapped = {.sin6_family = AF_INET6, .sin6_port = v4.sin_port};
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	int one = 1;

	(void)argc;
	mapped.sin6_addr.s6_addr[10] = mapped.sin6_addr.s6_addr[11] = 0xff;
	memcpy(mapped.sin6_addr.s6_addr + 12, &v4.sin_addr, 4);
	MUST(fd >= 0);
	printf("connect %s\n", outcome(connect(fd, (struct sockaddr *)&mapped, sizeof(mapped))));
	print_peer(fd);
	close(fd);
	fd = stream_socket();
	printf("mapped on IPv4 %s\n",
	       outcome(connect(fd, (struct sockaddr *)&mapped, sizeof(mapped))));
	fd = socket(AF_INET6, SOCK_STREAM, 0);
	printf("IPv4 on IPv6 %s\n", outcome(connect_to(fd, &v4)));
	fd = socket(AF_INET6, SOCK_STREAM, 0);
	MUST(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) == 0);
	printf("v6 only %s\n", outcome(connect(fd, (struct sockaddr *)&mapped, sizeof(mapped))));
	return 0;
}
