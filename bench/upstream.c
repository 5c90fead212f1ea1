/*
 * A resolver that knows every name: whatever is asked for, it answers at once (by UDP).
 *
 *   upstream ADDRESS PORT
 *
 * A has one record, 192.0.2.1 with a TTL of an hour; all other types have none. An OPT record is
 * answered by one. Prints "ready"; for each line that it reads it prints "QUERIES PORTS": how many
 * queries came since the last line, and from how many source ports. Ends with its input. libc alone.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH  32
#define HEADER 12
#define SIZE   1500

/* Owner: a pointer to the question; A, IN, 3600 s, 192.0.2.1. */
static const uint8_t record_a[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0x0e, 0x10, 0, 4, 192, 0, 2, 1};
/* Root, OPT, 1232 bytes, no flags, no options. */
static const uint8_t record_opt[] = {0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0};

static long queries;
static uint8_t ports[65536];

static struct mmsghdr in[BATCH], out[BATCH];
static struct iovec in_iov[BATCH], out_iov[BATCH];
static struct sockaddr_in peers[BATCH];
static uint8_t bytes[BATCH][SIZE];

/* Makes a query of `size` bytes its reply, in place; its size, 0 if it is none. */
static size_t answer(uint8_t *message, size_t size)
{
	size_t at = HEADER;
	uint8_t opt = message[11];
	uint16_t type;

	while (at < size && message[at] != 0)
		at += 1u + message[at];
	at += 5;
	if (size < HEADER || at > size || message[2] & 0x80)
		return 0;
	type = (uint16_t)(message[at - 4] << 8 | message[at - 3]);
	message[2] = (uint8_t)(0x80 | (message[2] & 1)); /* QR, RD as it came */
	message[3] = 0x80;                               /* RA */
	memset(message + 6, 0, 6);
	if (type == 1) {
		message[7] = 1;
		memcpy(message + at, record_a, sizeof(record_a));
		at += sizeof(record_a);
	}
	if (opt) {
		message[11] = 1;
		memcpy(message + at, record_opt, sizeof(record_opt));
		at += sizeof(record_opt);
	}
	return at;
}

static void prepare(void)
{
	for (int i = 0; i < BATCH; i++) {
		in_iov[i] = (struct iovec){bytes[i], SIZE - sizeof(record_a) - sizeof(record_opt)};
		in[i].msg_hdr = (struct msghdr){.msg_name = &peers[i],
						.msg_namelen = sizeof(peers[i]),
						.msg_iov = &in_iov[i],
						.msg_iovlen = 1};
	}
}

static void serve(int fd)
{
	unsigned replies = 0;
	int n;

	prepare();
	n = recvmmsg(fd, in, BATCH, MSG_DONTWAIT, NULL);
	for (int i = 0; i < n; i++) {
		size_t size = answer(bytes[i], in[i].msg_len);

		queries++;
		ports[ntohs(peers[i].sin_port)] = 1;
		if (size == 0)
			continue;
		out_iov[replies] = (struct iovec){bytes[i], size};
		out[replies].msg_hdr = in[i].msg_hdr;
		out[replies].msg_hdr.msg_iov = &out_iov[replies];
		replies++;
	}
	sendmmsg(fd, out, replies, MSG_DONTWAIT);
}

static void report(void)
{
	char line[16];
	int count = 0;

	if (!fgets(line, sizeof(line), stdin))
		exit(0);
	for (int i = 0; i < 65536; i++)
		count += ports[i];
	printf("%ld %d\n", queries, count);
	fflush(stdout);
	queries = 0;
	memset(ports, 0, sizeof(ports));
}

int main(int argc, char **argv)
{
	struct sockaddr_in at = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_DGRAM, 0), size = 4 << 20;

	if (argc != 3 || inet_pton(AF_INET, argv[1], &at.sin_addr) != 1)
		return 2;
	at.sin_port = htons((uint16_t)atoi(argv[2]));
	/* Whatever a forwarder sends at once: what is lost here would be held against it. */
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0) {
		perror("bind");
		return 1;
	}
	puts("ready");
	fflush(stdout);
	for (;;) {
		struct pollfd polled[] = {{.fd = fd, .events = POLLIN}, {.events = POLLIN}};

		poll(polled, 2, -1);
		if (polled[0].revents)
			serve(fd);
		if (polled[1].revents)
			report();
	}
}
