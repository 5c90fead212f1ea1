/* CALL IP PORT: a thread calls poll, recv, send or connect on a socket that another one connects, if
 * that takes long enough. Nothing is printed of the outcome of its call, which has to end. */
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/syscall.h>

#include "waits.h"

static int fd;
static _Atomic bool is_over;
static const char *call;
static struct sockaddr_in addr;

static int tcp_state(void)
{
	uint8_t state = 0; /* the first byte of struct tcp_info */
	socklen_t len = sizeof(state);

	MUST(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &state, &len) == 0);
	return state;
}

/* By the bare system calls: to TSan a descriptor that is used while another thread connects it is a
 * race. It is what is tested. */
static void *block(void *unused)
{
	struct pollfd ready = {.fd = fd, .events = POLLOUT};
	char byte = 'x';

	(void)unused;
	while (!is_over && tcp_state() == TCP_CLOSE)
		sched_yield();
	if (is_over)
		return NULL;
	if (strcmp(call, "poll") == 0)
		poll(&ready, 1, -1);
	else if (strcmp(call, "recv") == 0)
		syscall(SYS_recvfrom, fd, &byte, 1, 0, NULL, NULL);
	else if (strcmp(call, "send") == 0)
		syscall(SYS_sendto, fd, &byte, 1, MSG_NOSIGNAL, NULL, 0);
	else
		connect_to(fd, &addr);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	(void)argc;
	call = argv[1];
	addr = address_of(argv[2], argv[3]);
	fd = stream_socket();
	MUST(pthread_create(&thread, NULL, block, NULL) == 0);
	printf("connect %s\n", outcome(connect_to(fd, &addr)));
	is_over = true;
	print_peer(fd);
	printf("error %d\n", int_option(fd, SOL_SOCKET, SO_ERROR));
	printf("SO_SNDTIMEO %d\n", (int)send_timeout_ms(fd));
	shutdown(fd, SHUT_RDWR);
	MUST(pthread_join(thread, NULL) == 0);
	return 0;
}
