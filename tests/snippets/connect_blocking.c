/* IP PORT [SNDTIMEO_MS]: a blocking connect. errno must not change on success, nor SO_SNDTIMEO,
 * flags or free descriptors in any case. */
#include <fcntl.h>

#include "snippet.h"

int main(int argc, char **argv)
{
	struct sockaddr_in addr = address_of(argv[1], argv[2]);
	int free_before = free_descriptor();
	int fd = stream_socket();
	int flags = fcntl(fd, F_GETFL);
	int64_t before;
	int result;

	if (argc > 3)
		set_send_timeout(fd, strtoll(argv[3], NULL, 10));
	before = send_timeout_ms(fd);
	errno = EXDEV;
	result = connect_to(fd, &addr);
	printf("connect %s\n", outcome(result));
	if (result == 0)
		printf("errno %s\n", strerrorname_np(errno));
	print_peer(fd);
	printf("send timeout %s\n", send_timeout_ms(fd) == before ? "kept" : "changed");
	printf("flags %s\n", fcntl(fd, F_GETFL) == flags ? "kept" : "changed");
	printf("error %d\n", int_option(fd, SOL_SOCKET, SO_ERROR));
	close(fd);
	printf("descriptors %s\n", free_descriptor() == free_before ? "kept" : "leaked");
	return 0;
}
