/* IP PORT [pending]: a connect with many options set, and a local address and port of its own; on a
 * non-blocking socket if it is to be pending. After it, all of them are as they were. */
#include <fcntl.h>

#include "snippet.h"

#define TCP_RTO_MIN_US_45    45 /* linux/tcp.h of 6.15 */
#define TCP_DELACK_MAX_US_46 46

static const struct {
	const char *label;
	int level, name, value;
} options[] = {
	{"TCP_MAXSEG", IPPROTO_TCP, TCP_MAXSEG, 1000},
	{"TCP_WINDOW_CLAMP", IPPROTO_TCP, TCP_WINDOW_CLAMP, 20000},
	{"SO_PEEK_OFF", SOL_SOCKET, SO_PEEK_OFF, 5},
	{"TCP_RTO_MIN_US", IPPROTO_TCP, TCP_RTO_MIN_US_45, 100000},
	{"TCP_DELACK_MAX_US", IPPROTO_TCP, TCP_DELACK_MAX_US_46, 80000},
	{"TCP_NODELAY", IPPROTO_TCP, TCP_NODELAY, 1},
	{"TCP_USER_TIMEOUT", IPPROTO_TCP, TCP_USER_TIMEOUT, 7000},
	{"TCP_SYNCNT", IPPROTO_TCP, TCP_SYNCNT, 3},
	{"SO_KEEPALIVE", SOL_SOCKET, SO_KEEPALIVE, 1},
	{"IP_TOS", IPPROTO_IP, IP_TOS, 0x10},
};
#define OPTIONS (sizeof(options) / sizeof(options[0]))

static void bind_to_own_port(int fd)
{
	struct sockaddr_in own = address_of("127.0.0.1", "0");
	int one = 1;
	int holder = stream_socket();
	socklen_t len = sizeof(own);

	/* A port that is free now: the kernel's choice for another socket. */
	MUST(bind(holder, (struct sockaddr *)&own, len) == 0);
	MUST(getsockname(holder, (struct sockaddr *)&own, &len) == 0);
	close(holder);
	MUST(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0);
	MUST(bind(fd, (struct sockaddr *)&own, len) == 0);
}

static void wait_for(int fd)
{
	struct pollfd ready = {.fd = fd, .events = POLLOUT};

	MUST(poll(&ready, 1, 10000) == 1);
	printf("error %s\n", strerrorname_np(int_option(fd, SOL_SOCKET, SO_ERROR)));
}

int main(int argc, char **argv)
{
	struct sockaddr_in addr = address_of(argv[1], argv[2]), before, after;
	socklen_t len = sizeof(before);
	int wanted[OPTIONS];
	int fd = stream_socket();

	if (argc == 4)
		MUST(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
	for (size_t i = 0; i < OPTIONS; i++) {
		/* An option that this kernel does not know is as good as kept. */
		setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof(int));
		wanted[i] = int_option(fd, options[i].level, options[i].name);
	}
	set_send_timeout(fd, 3000);
	bind_to_own_port(fd);
	MUST(getsockname(fd, (struct sockaddr *)&before, &len) == 0);
	printf("connect %s\n", outcome(connect_to(fd, &addr)));
	if (argc == 4)
		wait_for(fd);
	print_peer(fd);
	MUST(getsockname(fd, (struct sockaddr *)&after, &len) == 0);
	printf("local address %s\n",
	       memcmp(&before, &after, sizeof(before)) == 0 ? "kept" : "lost");
	printf("SO_SNDTIMEO %d\n", (int)send_timeout_ms(fd));
	for (size_t i = 1; i < OPTIONS; i++) {
		int value = int_option(fd, options[i].level, options[i].name);

		printf("%s %s\n", options[i].label, value == wanted[i] ? "kept" : "lost");
	}
	/* Once connected, this tells what is in use: less the timestamps' 12 bytes. */
	printf("TCP_MAXSEG %d\n", int_option(fd, IPPROTO_TCP, TCP_MAXSEG));
	return 0;
}
