/*
 * The limit for any DNS server: datagrams come back as they came, but for the bit that says reply.
 *
 *   echo plain|epoll ADDRESS PORT
 *
 * plain waits in recvmmsg(); epoll waits as a server does that has more to do than UDP. Prints
 * "ready" and serves until it is killed. libc alone.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define BATCH 32 /* as crowflyd's */
#define SIZE  1500

static struct mmsghdr messages[BATCH];
static struct iovec iov[BATCH];
static struct sockaddr_storage peers[BATCH];
static uint8_t bytes[BATCH][SIZE];

/* Returns how many there were. */
static int turn(int fd, int flags)
{
	int n;

	for (int i = 0; i < BATCH; i++) {
		iov[i] = (struct iovec){bytes[i], SIZE};
		messages[i].msg_hdr = (struct msghdr){.msg_name = &peers[i],
						      .msg_namelen = sizeof(peers[i]),
						      .msg_iov = &iov[i],
						      .msg_iovlen = 1};
	}
	n = recvmmsg(fd, messages, BATCH, flags, NULL);
	if (n <= 0)
		return 0;
	for (int i = 0; i < n; i++) {
		iov[i].iov_len = messages[i].msg_len;
		bytes[i][2] |= 0x80; /* QR */
	}
	sendmmsg(fd, messages, (unsigned)n, MSG_DONTWAIT);
	return n;
}

static void serve_plain(int fd)
{
	for (;;)
		turn(fd, MSG_WAITFORONE);
}

static void serve_epoll(int fd)
{
	struct epoll_event event = {.events = EPOLLIN};
	int epoll = epoll_create1(0);

	epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
	for (;;) {
		epoll_wait(epoll, &event, 1, -1);
		while (turn(fd, MSG_DONTWAIT) == BATCH)
			;
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_in at = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_DGRAM, 0), size = 1 << 20;

	if (argc != 4 || inet_pton(AF_INET, argv[2], &at.sin_addr) != 1)
		return 2;
	at.sin_port = htons((uint16_t)atoi(argv[3]));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)); /* as NSD: none may be lost */
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0) {
		perror("bind");
		return 1;
	}
	puts("ready");
	fflush(stdout);
	if (strcmp(argv[1], "epoll") == 0)
		serve_epoll(fd);
	serve_plain(fd);
}
