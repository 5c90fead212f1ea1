/* IP PORT [SNDTIMEO_MS]: blocking and non-blocking connects in turn, as a program has them that
 * talks to some servers in the one way and to some in the other. SO_SNDTIMEO stays as it was. */
#include "snippet.h"

static void connect_once(const struct sockaddr_in *addr, int type, int64_t timeout_ms)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | type, 0);
	struct pollfd ready = {.fd = fd, .events = POLLOUT};

	MUST(fd >= 0);
	if (timeout_ms > 0)
		set_send_timeout(fd, timeout_ms);
	printf("%s %s\n", type == 0 ? "blocking" : "non-blocking", outcome(connect_to(fd, addr)));
	if (type != 0) {
		printf("send timeout %lld\n", (long long)send_timeout_ms(fd));
		MUST(poll(&ready, 1, 10000) == 1);
		printf("events %x\n", (unsigned)ready.revents);
		printf("error %s\n", strerrorname_np(int_option(fd, SOL_SOCKET, SO_ERROR)));
	}
	print_peer(fd);
	printf("send timeout %lld\n", (long long)send_timeout_ms(fd));
	close(fd);
}

int main(int argc, char **argv)
{
	struct sockaddr_in addr = address_of(argv[1], argv[2]);
	int64_t timeout_ms = argc > 3 ? strtoll(argv[3], NULL, 10) : 0;

	for (int i = 0; i < 6; i++) /* each after each, itself too */
		connect_once(&addr, i == 1 || i == 2 || i == 5 ? SOCK_NONBLOCK : 0, timeout_ms);
	return 0;
}
