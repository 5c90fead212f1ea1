/* IP PORT: fast open in its three forms. Its first bytes ride in the SYN, or may: it is the
 * kernel's and the program's alone. */
#include <fcntl.h>

#include "waits.h"

#ifndef TCP_FASTOPEN_CONNECT
#define TCP_FASTOPEN_CONNECT 30
#endif

static void send_first_bytes(const char *label, int fd, const struct sockaddr_in *addr)
{
	ssize_t sent = sendto(fd, "GET", 3, MSG_FASTOPEN | MSG_NOSIGNAL,
			      (const struct sockaddr *)addr, sizeof(*addr));

	printf("%s %s\n", label, sent >= 0 ? "sent" : strerrorname_np(errno));
}

static void wait_for(int fd)
{
	struct pollfd ready = {.fd = fd, .events = POLLOUT};

	MUST(poll(&ready, 1, 10000) == 1);
	print_events("events", (uint32_t)ready.revents);
	print_end(fd);
}

int main(int argc, char **argv)
{
	struct sockaddr_in addr = address_of(argv[1], argv[2]);
	int option = nonblocking_socket(), message = nonblocking_socket();
	int blocking = stream_socket();
	int one = 1;

	(void)argc;
	MUST(setsockopt(option, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &one, sizeof(one)) == 0);
	begin_connect(option, &addr);
	wait_for(option);
	send_first_bytes("not blocking", message, &addr);
	wait_for(message);
	send_first_bytes("blocking", blocking, &addr);
	print_peer(blocking);
	return 0;
}
