/* IP PORT: a socket whose options another program has set, the one that this one was before exec. */
#include <fcntl.h>

#include "snippet.h"

int main(int argc, char **argv)
{
	struct sockaddr_in addr = address_of(argv[1], argv[2]);
	int segment = 1000;
	char number[16];
	int fd;

	if (argc == 3) {
		fd = socket(AF_INET, SOCK_STREAM, 0);
		MUST(fd >= 0);
		set_send_timeout(fd, 3000);
		MUST(setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof(segment)) == 0);
		snprintf(number, sizeof(number), "%d", fd);
		execl(argv[0], argv[0], argv[1], argv[2], number, NULL);
		MUST(!"exec");
	}
	fd = atoi(argv[3]);
	printf("connect %s\n", outcome(connect_to(fd, &addr)));
	print_peer(fd);
	printf("SO_SNDTIMEO %d\n", (int)send_timeout_ms(fd));
	printf("TCP_MAXSEG %d\n", int_option(fd, IPPROTO_TCP, TCP_MAXSEG));
	return 0;
}
