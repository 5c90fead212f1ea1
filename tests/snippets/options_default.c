/* IP PORT: a connect without options; nobody has set any after it. The figures of a connection are
 * its own, so the socket is taken back to unconnected before they are read. */
#include "snippet.h"

int main(int argc, char **argv)
{
	const struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
	struct sockaddr_in addr = address_of(argv[1], argv[2]);
	int fd = stream_socket();

	(void)argc;
	printf("connect %s\n", outcome(connect_to(fd, &addr)));
	printf("segment %s\n",
	       int_option(fd, IPPROTO_TCP, TCP_MAXSEG) > 1460 ? "large" : "limited");
	printf("peek %d\n", int_option(fd, SOL_SOCKET, SO_PEEK_OFF));
	printf("timeout %d\n", (int)send_timeout_ms(fd));
	MUST(connect(fd, &nowhere, sizeof(nowhere)) == 0);
	printf("clamp %d\n", int_option(fd, IPPROTO_TCP, TCP_WINDOW_CLAMP));
	return 0;
}
