/* IP PORT: connects that are nobody's business: other protocols, other states, bad arguments. */
#include <sys/un.h>

#include "snippet.h"

#ifndef TCP_FASTOPEN_CONNECT
#define TCP_FASTOPEN_CONNECT 30
#endif

int main(int argc, char **argv)
{
	struct sockaddr_in addr = address_of(argv[1], argv[2]);
	struct sockaddr_un path = {.sun_family = AF_UNIX, .sun_path = "/nonexistent/socket"};
	int udp = socket(AF_INET, SOCK_DGRAM, 0);
	int local = socket(AF_UNIX, SOCK_STREAM, 0);
	int listener = stream_socket();
	int fast = stream_socket();
	int one = 1;

	(void)argc;
	printf("udp %s\n", outcome(connect_to(udp, &addr)));
	print_peer(udp);
	printf("udp timeout %d\n", (int)send_timeout_ms(udp));
	printf("unix %s\n", outcome(connect(local, (struct sockaddr *)&path, sizeof(path))));
	printf("closed %s\n", outcome(connect_to(-1, &addr)));
	printf("no socket %s\n", outcome(connect_to(STDERR_FILENO, &addr)));
	printf("NULL %s\n", outcome(connect(listener, NULL, sizeof(addr))));
	/* What is no pointer at all, as tests of the kernel have it. */
	printf("-1 %s\n", outcome(connect(listener, (struct sockaddr *)-1, sizeof(addr))));
	printf("16 %s\n", outcome(connect(listener, (struct sockaddr *)16, sizeof(addr))));
	printf("short %s\n", outcome(connect(listener, (struct sockaddr *)&addr, 8)));
	printf("empty %s\n", outcome(connect(listener, (struct sockaddr *)&addr, 0)));
	MUST(listen(listener, 1) == 0);
	printf("listening %s\n", outcome(connect_to(listener, &addr)));
	MUST(setsockopt(fast, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &one, sizeof(one)) == 0);
	printf("fast open %s\n", outcome(connect_to(fast, &addr)));
	return 0;
}
