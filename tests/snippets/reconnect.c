/* IP PORT IP PORT: a blocking connect that fails, and another one on the same socket. */
#include "snippet.h"

int main(int argc, char **argv)
{
	struct sockaddr_in first = address_of(argv[1], argv[2]);
	struct sockaddr_in second = address_of(argv[3], argv[4]);
	int fd = stream_socket();

	(void)argc;
	printf("connect %s\n", outcome(connect_to(fd, &first)));
	printf("error %d\n", int_option(fd, SOL_SOCKET, SO_ERROR));
	printf("second %s\n", outcome(connect_to(fd, &second)));
	print_peer(fd);
	printf("SO_SNDTIMEO %d\n", (int)send_timeout_ms(fd));
	return 0;
}
