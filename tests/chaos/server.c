/*
 * IP...: an instance on each address, and a memory of every request body that any of them was sent.
 *
 * Prints the port of each, then obeys lines of standard input, each answered by one line:
 *
 *   open I        instance I answers
 *   blackhole I   it leaves connects unanswered
 *   refuse I      it refuses them
 *   report        "CONNECTIONS BODIES DUPLICATES BROKEN"
 *
 * However an instance goes, it finishes what it has accepted, and whoever has connected is accepted:
 * only connect() may fail here. A filter on the listening socket takes the SYNs away and nothing
 * else, from one packet to the next; closing the socket right away would reset connections that wait
 * to be accepted. The bodies are "CLIENT NUMBER"; the answer repeats them.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define INSTANCES_MAX 8
#define CLIENTS_MAX   256
#define NUMBERS_MAX   65536
#define REQUEST_MAX   2048
#define BACKLOG       4096
#define EVENTS_MAX    64
/* From SYN to established is one softirq on loopback, microseconds; a connection that has not shown
 * up in the queue after this long is none. */
#define SETTLE_MS 20

#define MUST(condition)                                                                            \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s: %s\n", #condition, strerror(errno));                  \
			exit(99);                                                                  \
		}                                                                                  \
	} while (0)

enum kind { CONTROL, LISTENER, CONNECTION };

struct station {
	enum kind kind;
	int fd; /* of an instance that refuses: -1 */
};

struct instance {
	struct station station;
	struct sockaddr_in addr;
	bool silent;
};

struct connection {
	struct station station;
	size_t length;
	char request[REQUEST_MAX];
};

static int epfd;
static struct instance instances[INSTANCES_MAX];
static int instance_count;
static uint8_t seen[CLIENTS_MAX][NUMBERS_MAX];
static struct {
	unsigned long connections, bodies, duplicates, broken;
} counts;

static void watch(struct station *station)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = station};

	MUST(epoll_ctl(epfd, EPOLL_CTL_ADD, station->fd, &event) == 0);
}

static void instance_listen(struct instance *instance)
{
	socklen_t len = sizeof(instance->addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int one = 1;

	MUST(fd >= 0);
	MUST(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0);
	MUST(bind(fd, (struct sockaddr *)&instance->addr, len) == 0);
	MUST(listen(fd, BACKLOG) == 0);
	MUST(getsockname(fd, (struct sockaddr *)&instance->addr, &len) == 0);
	instance->station = (struct station){LISTENER, fd};
	instance->silent = false;
	watch(&instance->station);
}

static void accept_all(const struct instance *instance)
{
	int fd;

	while ((fd = accept4(instance->station.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >=
	       0) {
		struct connection *connection = calloc(1, sizeof(*connection));

		MUST(connection != NULL);
		connection->station = (struct station){CONNECTION, fd};
		counts.connections++;
		watch(&connection->station);
	}
	MUST(errno == EAGAIN || errno == ECONNABORTED);
}

/* Takes the connections that wait, and those whose handshake is under way. */
static void settle(const struct instance *instance)
{
	for (int ms = 0; ms < SETTLE_MS; ms++) {
		accept_all(instance);
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	accept_all(instance);
}

static void instance_blackhole(struct instance *instance)
{
	/* A filter of a TCP socket sees packets from the TCP header on: byte 13 has the flags. */
	static struct sock_filter drop_syns[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0x12),    /* SYN, ACK */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 2, 0, 1), /* SYN alone */
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
	};
	struct sock_fprog program = {.len = sizeof(drop_syns) / sizeof(*drop_syns),
				     .filter = drop_syns};

	if (instance->station.fd < 0)
		instance_listen(instance);
	MUST(setsockopt(instance->station.fd, SOL_SOCKET, SO_ATTACH_FILTER, &program,
			sizeof(program)) == 0);
	instance->silent = true;
}

static void instance_refuse(struct instance *instance)
{
	if (instance->station.fd < 0)
		return;
	if (!instance->silent)
		instance_blackhole(instance);
	settle(instance);
	MUST(close(instance->station.fd) == 0);
	instance->station.fd = -1;
}

static void instance_open(struct instance *instance)
{
	int none = 0;

	if (instance->station.fd < 0)
		instance_listen(instance);
	else if (instance->silent)
		MUST(setsockopt(instance->station.fd, SOL_SOCKET, SO_DETACH_FILTER, &none,
				sizeof(none)) == 0);
	instance->silent = false;
}

static void obey(void)
{
	char line[64], word[16];
	int index = 0;

	if (fgets(line, sizeof(line), stdin) == NULL)
		exit(0);
	MUST(sscanf(line, "%15s %d", word, &index) >= 1);
	MUST(index >= 0 && index < instance_count);
	if (strcmp(word, "open") == 0)
		instance_open(&instances[index]);
	else if (strcmp(word, "blackhole") == 0)
		instance_blackhole(&instances[index]);
	else if (strcmp(word, "refuse") == 0)
		instance_refuse(&instances[index]);
	printf("%lu %lu %lu %lu\n", counts.connections, counts.bodies, counts.duplicates,
	       counts.broken);
	fflush(stdout);
}

static void note(const char *body)
{
	unsigned client, number;

	if (sscanf(body, "%u %u", &client, &number) != 2 || client >= CLIENTS_MAX ||
	    number >= NUMBERS_MAX) {
		counts.broken++;
		return;
	}
	counts.bodies++;
	counts.duplicates += seen[client][number];
	seen[client][number] = 1;
}

/* The body once it is there whole, else NULL. */
static const char *body_of(const char *request)
{
	const char *length = strcasestr(request, "\r\nContent-Length:");
	const char *end = strstr(request, "\r\n\r\n");

	if (end == NULL)
		return NULL;
	if (length == NULL || length > end)
		return end + 4;
	return strlen(end + 4) >= strtoul(length + 17, NULL, 10) ? end + 4 : NULL;
}

static void answer(const struct connection *connection, const char *body)
{
	char text[REQUEST_MAX + 128];
	int length =
		snprintf(text, sizeof(text),
			 "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
			 strlen(body), body);

	note(body);
	if (send(connection->station.fd, text, (size_t)length, MSG_NOSIGNAL) != length)
		counts.broken++;
}

static void connection_read(struct connection *connection)
{
	const char *body;
	ssize_t n = recv(connection->station.fd, connection->request + connection->length,
			 sizeof(connection->request) - 1 - connection->length, 0);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n > 0) {
		connection->length += (size_t)n;
		body = body_of(connection->request);
		if (body == NULL)
			return;
		answer(connection, body);
	} else if (n < 0 || connection->length > 0) {
		counts.broken++;
	}
	close(connection->station.fd);
	free(connection);
}

static void dispatch(struct station *station)
{
	if (station->kind == CONTROL)
		obey();
	else if (station->kind == CONNECTION)
		connection_read((struct connection *)station);
	else if (station->fd >= 0)
		accept_all((struct instance *)station);
}

int main(int argc, char **argv)
{
	static struct station control = {CONTROL, STDIN_FILENO};
	struct epoll_event events[EVENTS_MAX];

	MUST(argc > 1 && argc - 1 <= INSTANCES_MAX);
	setvbuf(stdin, NULL, _IONBF, 0); /* a line that is read ahead wakes nobody */
	epfd = epoll_create1(EPOLL_CLOEXEC);
	MUST(epfd >= 0);
	watch(&control);
	for (instance_count = 0; instance_count < argc - 1; instance_count++) {
		struct instance *instance = &instances[instance_count];

		instance->addr.sin_family = AF_INET;
		MUST(inet_pton(AF_INET, argv[instance_count + 1], &instance->addr.sin_addr) == 1);
		instance_listen(instance);
		printf("%d%c", ntohs(instance->addr.sin_port),
		       instance_count < argc - 2 ? ' ' : '\n');
	}
	fflush(stdout);
	for (;;) {
		int count = epoll_wait(epfd, events, EVENTS_MAX, -1);

		for (int i = 0; i < count; i++)
			dispatch(events[i].data.ptr);
	}
}
