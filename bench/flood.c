/*
 * Load for a DNS server on this machine, at the least cost a query: bursts by sendmmsg() and
 * recvmmsg() on several sockets, each of which sends again once it has all its replies. So the
 * server always finds a queue, and no more than SOCKETS * BURST queries are ever in flight.
 *
 *   flood [-t] [-n QUERIES] [-s SOCKETS] [-b BURST] (-f FILE | -m SUFFIX) ADDRESS PORT
 *
 * -t pipelines over TCP. Names (all of type A) come from a file, one a line, in turn, or are
 * made new: the n-th is <random of this run>-<n>.SUFFIX. Prints lines "NAME VALUE": answered, lost,
 * the replies by rcode, records (in answer sections), wrong (ids that nobody asked for and, of every
 * 16th reply, other questions), wall_us. libc alone.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/measure.h"

#define HEADER      12
#define NAME_MAX_   255
#define QUERY_MAX   (HEADER + NAME_MAX_ + 4)
#define REPLY_MAX   1500 /* bytes; no OPT is sent, so 512 is what a server may use */
#define BURST_MAX   256  /* ids: 8 bits of slot, 8 bits that change with each use of it */
#define SOCKETS_MAX 64
#define SAMPLE      16   /* every so manyth reply is compared with its question */
#define WAIT_MS     2000 /* without any reply; what is in flight then is lost */

struct slot {
	bool pending;
	uint8_t use;
	uint16_t size;
	uint8_t frame[2 + QUERY_MAX]; /* the length that TCP wants, and the query */
};

struct lane {
	int fd;
	unsigned pending;
	struct slot slots[BURST_MAX];
	size_t stream_used;
	uint8_t stream[BURST_MAX * REPLY_MAX]; /* TCP: replies that are not whole yet */
};

static struct {
	bool tcp;
	long queries;
	unsigned lanes, burst;
	struct sockaddr_in to;
	uint8_t (*names)[NAME_MAX_]; /* as labels */
	size_t name_count;
	const char *suffix;
	char run[9];
} load = {.queries = 100000, .lanes = 3, .burst = 32};

static struct {
	long sent, answered, lost, wrong, records;
	long rcodes[16];
} seen;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* ---- queries ---- */

static size_t put_name(uint8_t *out, const char *dotted)
{
	uint8_t *start = out;

	while (*dotted) {
		size_t length = strcspn(dotted, ".");

		*out = (uint8_t)length;
		memcpy(out + 1, dotted, length);
		out += 1 + length;
		dotted += length + (dotted[length] == '.');
	}
	*out++ = 0;
	return (size_t)(out - start);
}

static size_t name_size(const uint8_t *name)
{
	size_t size = 0;

	while (name[size])
		size += 1u + name[size];
	return size + 1;
}

static void read_names(const char *path)
{
	char line[NAME_MAX_];
	FILE *file = fopen(path, "r");

	if (!file)
		die(path);
	while (fscanf(file, "%253s", line) == 1) {
		load.names = realloc(load.names, (load.name_count + 1) * sizeof(*load.names));
		if (!load.names)
			die("names");
		put_name(load.names[load.name_count++], line);
	}
	fclose(file);
	if (load.name_count == 0)
		exit(2);
}

static size_t next_name(uint8_t *out)
{
	char dotted[NAME_MAX_];
	const uint8_t *name;
	size_t size;

	if (load.suffix) {
		snprintf(dotted, sizeof(dotted), "%s-%ld.%s", load.run, seen.sent, load.suffix);
		return put_name(out, dotted);
	}
	name = load.names[(size_t)seen.sent % load.name_count];
	size = name_size(name);
	memcpy(out, name, size);
	return size;
}

static void fill(struct slot *slot, unsigned index)
{
	static const uint8_t header[HEADER] = {[2] = 1 /* RD */, [5] = 1 /* question */};
	static const uint8_t type_class[4] = {0, 1, 0, 1};
	uint8_t *query = slot->frame + 2;
	size_t size = HEADER;

	memcpy(query, header, HEADER);
	query[0] = (uint8_t)index;
	query[1] = ++slot->use;
	size += next_name(query + size);
	memcpy(query + size, type_class, 4);
	slot->size = (uint16_t)(size + 4);
	slot->frame[0] = (uint8_t)(slot->size >> 8);
	slot->frame[1] = (uint8_t)slot->size;
	slot->pending = true;
	seen.sent++;
}

/* ---- replies ---- */

static bool is_question_same(const struct slot *slot, const uint8_t *reply, size_t size)
{
	return size >= slot->size &&
	       memcmp(slot->frame + 2 + HEADER, reply + HEADER, slot->size - HEADER) == 0;
}

static void take(struct lane *lane, const uint8_t *reply, size_t size)
{
	struct slot *slot = &lane->slots[reply[0]];

	if (size < HEADER || reply[0] >= load.burst || !slot->pending || reply[1] != slot->use) {
		seen.wrong++;
		return;
	}
	if (seen.answered++ % SAMPLE == 0 && !is_question_same(slot, reply, size))
		seen.wrong++;
	seen.rcodes[reply[3] & 15]++;
	seen.records += reply[6] << 8 | reply[7];
	slot->pending = false;
	lane->pending--;
}

/* ---- UDP ---- */

static void send_datagrams(struct lane *lane, unsigned count)
{
	struct mmsghdr messages[BURST_MAX] = {{{0}, 0}};
	struct iovec iov[BURST_MAX];
	unsigned sent = 0;

	for (unsigned i = 0; i < count; i++) {
		iov[i] = (struct iovec){lane->slots[i].frame + 2, lane->slots[i].size};
		messages[i].msg_hdr.msg_iov = &iov[i];
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	while (sent < count) {
		int n = sendmmsg(lane->fd, messages + sent, count - sent, 0);

		if (n < 0 && errno != EINTR)
			die("sendmmsg");
		sent += n > 0 ? (unsigned)n : 0;
	}
}

static bool receive_datagrams(struct lane *lane)
{
	static uint8_t replies[BURST_MAX][REPLY_MAX];
	struct mmsghdr messages[BURST_MAX] = {{{0}, 0}};
	struct iovec iov[BURST_MAX];
	int n;

	for (unsigned i = 0; i < load.burst; i++) {
		iov[i] = (struct iovec){replies[i], REPLY_MAX};
		messages[i].msg_hdr.msg_iov = &iov[i];
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	n = recvmmsg(lane->fd, messages, load.burst, MSG_DONTWAIT, NULL);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		die("recvmmsg");
	for (int i = 0; i < n; i++)
		take(lane, replies[i], messages[i].msg_len);
	return n > 0;
}

/* ---- TCP ---- */

static void send_frames(struct lane *lane, unsigned count)
{
	uint8_t bytes[BURST_MAX * (2 + QUERY_MAX)];
	size_t size = 0;

	for (unsigned i = 0; i < count; i++) {
		memcpy(bytes + size, lane->slots[i].frame, 2u + lane->slots[i].size);
		size += 2u + lane->slots[i].size;
	}
	for (size_t sent = 0; sent < size;) {
		ssize_t n = send(lane->fd, bytes + sent, size - sent, MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR)
			die("send");
		sent += n > 0 ? (size_t)n : 0;
	}
}

static bool receive_frames(struct lane *lane)
{
	int on = 1;
	size_t at = 0;
	ssize_t n = recv(lane->fd, lane->stream + lane->stream_used,
			 sizeof(lane->stream) - lane->stream_used, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0)
		die("the server closed a connection");
	/* A server that sends replies one by one, with Nagle's delay, waits for our ACK each time. */
	setsockopt(lane->fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
	lane->stream_used += (size_t)n;
	while (lane->stream_used - at >= 2) {
		size_t size = (size_t)lane->stream[at] << 8 | lane->stream[at + 1];

		if (lane->stream_used - at < 2 + size)
			break;
		take(lane, lane->stream + at + 2, size);
		at += 2 + size;
	}
	lane->stream_used -= at;
	memmove(lane->stream, lane->stream + at, lane->stream_used);
	return true;
}

/* ---- the run ---- */

static void open_lane(struct lane *lane)
{
	int on = 1;

	lane->fd = socket(AF_INET, load.tcp ? SOCK_STREAM : SOCK_DGRAM, 0);
	if (lane->fd < 0 || connect(lane->fd, (struct sockaddr *)&load.to, sizeof(load.to)) < 0)
		die("connect");
	if (load.tcp)
		setsockopt(lane->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static void refill(struct lane *lane)
{
	long left = load.queries - seen.sent;
	unsigned count = left < (long)load.burst ? (unsigned)left : load.burst;

	for (unsigned i = 0; i < count; i++)
		fill(&lane->slots[i], i);
	lane->pending = count;
	if (load.tcp)
		send_frames(lane, count);
	else
		send_datagrams(lane, count);
}

static void give_up(struct lane *lane)
{
	for (unsigned i = 0; i < load.burst; i++)
		lane->slots[i].pending = false;
	seen.lost += lane->pending;
	lane->pending = 0;
}

static void wait_readable(struct lane *lanes)
{
	struct pollfd polled[SOCKETS_MAX];

	for (unsigned i = 0; i < load.lanes; i++)
		polled[i] = (struct pollfd){.fd = lanes[i].fd, .events = POLLIN};
	if (poll(polled, load.lanes, WAIT_MS) != 0)
		return;
	for (unsigned i = 0; i < load.lanes; i++)
		give_up(&lanes[i]);
}

static void run(struct lane *lanes)
{
	for (;;) {
		bool moved = false, pending = false;

		for (unsigned i = 0; i < load.lanes; i++) {
			struct lane *lane = &lanes[i];

			if (lane->pending > 0)
				moved |= load.tcp ? receive_frames(lane) : receive_datagrams(lane);
			if (lane->pending == 0 && seen.sent < load.queries)
				refill(lane);
			pending |= lane->pending > 0;
		}
		if (!pending)
			return;
		if (!moved)
			wait_readable(lanes);
	}
}

static bool read_arguments(int argc, char **argv)
{
	uint32_t random;
	int option;

	while ((option = getopt(argc, argv, "tn:s:b:f:m:")) != -1) {
		switch (option) {
		case 't':
			load.tcp = true;
			break;
		case 'n':
			load.queries = atol(optarg);
			break;
		case 's':
			load.lanes = (unsigned)atoi(optarg);
			break;
		case 'b':
			load.burst = (unsigned)atoi(optarg);
			break;
		case 'f':
			read_names(optarg);
			break;
		case 'm':
			load.suffix = optarg;
			break;
		default:
			return false;
		}
	}
	if (argc - optind != 2 || (load.suffix == NULL) == (load.name_count == 0) ||
	    load.lanes - 1 >= SOCKETS_MAX || load.burst - 1 >= BURST_MAX)
		return false;
	if (getrandom(&random, sizeof(random), 0) < 0)
		die("getrandom");
	snprintf(load.run, sizeof(load.run), "%08x", random);
	load.to.sin_family = AF_INET;
	load.to.sin_port = htons((uint16_t)atoi(argv[optind + 1]));
	return inet_pton(AF_INET, argv[optind], &load.to.sin_addr) == 1;
}

static void print_seen(double wall_s)
{
	static const char *const names[16] = {"noerror",  "formerr", "servfail",
					      "nxdomain", "notimp",  "refused"};

	printf("answered %ld\nlost %ld\nwrong %ld\nrecords %ld\nwall_us %.0f\n", seen.answered,
	       seen.lost, seen.wrong, seen.records, wall_s * 1e6);
	for (int i = 0; i < 16; i++)
		if (names[i])
			printf("%s %ld\n", names[i], seen.rcodes[i]);
}

int main(int argc, char **argv)
{
	struct lane *lanes;
	double start;

	if (!read_arguments(argc, argv)) {
		fputs("usage: flood [-t] [-n QUERIES] [-s SOCKETS] [-b BURST] (-f FILE | -m "
		      "SUFFIX) ADDRESS PORT\n",
		      stderr);
		return 2;
	}
	lanes = calloc(load.lanes, sizeof(*lanes));
	if (!lanes)
		die("memory");
	for (unsigned i = 0; i < load.lanes; i++)
		open_lane(&lanes[i]);
	start = seconds(CLOCK_MONOTONIC);
	run(lanes);
	print_seen(seconds(CLOCK_MONOTONIC) - start);
	return 0;
}
