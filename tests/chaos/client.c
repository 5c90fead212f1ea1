/*
 * WAY CLIENT COUNT SEED IP:PORT...: COUNT requests on non-blocking sockets, several at a time, each
 * to one of the addresses at random, waited for by poll, select, epoll (level-triggered, registered
 * after connect), edge (registered before connect and never again) or once (EPOLLONESHOT).
 *
 * It believes what the kernel promises: one event after connect(), then SO_ERROR says how it went.
 * Says a line for each failure, and at last "done SERVED LEAKED", counting requests and descriptors.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#define PARALLEL   8
#define PLACES_MAX 8
#define ANSWER_MAX 512
/* Far more than the attempts of one connect() take: nothing happened, nothing will. */
#define BOUND_MS 60000

#define MUST(condition)                                                                            \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			printf("failure %s: %s\n", #condition, strerror(errno));                   \
			exit(99);                                                                  \
		}                                                                                  \
	} while (0)

struct link {
	int fd; /* -1: unused */
	bool connected;
	unsigned number;
	size_t length;
	char answer[ANSWER_MAX];
};

struct way {
	const char *name;
	void (*before)(struct link *); /* connect() */
	void (*after)(struct link *);  /* connect() */
	void (*to_read)(struct link *);
	void (*wait)(bool ready[PARALLEL]);
};

static struct link links[PARALLEL];
static struct sockaddr_in places[PLACES_MAX];
static int place_count, epfd = -1;
static unsigned client, served;
static const struct way *way;

static void nothing(struct link *link)
{
	(void)link;
}

static void wait_poll(bool ready[PARALLEL])
{
	struct pollfd fds[PARALLEL];

	for (int i = 0; i < PARALLEL; i++)
		fds[i] = (struct pollfd){links[i].fd, links[i].connected ? POLLIN : POLLOUT, 0};
	MUST(poll(fds, PARALLEL, BOUND_MS) > 0);
	for (int i = 0; i < PARALLEL; i++)
		ready[i] = fds[i].revents != 0;
}

static void wait_select(bool ready[PARALLEL])
{
	struct timeval bound = {.tv_sec = BOUND_MS / 1000};
	fd_set in, out;
	int most = -1;

	FD_ZERO(&in);
	FD_ZERO(&out);
	for (int i = 0; i < PARALLEL; i++) {
		if (links[i].fd < 0)
			continue;
		FD_SET(links[i].fd, links[i].connected ? &in : &out);
		most = links[i].fd > most ? links[i].fd : most;
	}
	MUST(select(most + 1, &in, &out, NULL, &bound) > 0);
	for (int i = 0; i < PARALLEL; i++)
		ready[i] = links[i].fd >= 0 &&
			   (FD_ISSET(links[i].fd, &in) || FD_ISSET(links[i].fd, &out));
}

static void control(struct link *link, int operation, uint32_t mask)
{
	struct epoll_event event = {.events = mask, .data.u32 = (uint32_t)(link - links)};

	MUST(epoll_ctl(epfd, operation, link->fd, &event) == 0);
}

static void add_level(struct link *link)
{
	control(link, EPOLL_CTL_ADD, EPOLLOUT);
}

static void change_level(struct link *link)
{
	control(link, EPOLL_CTL_MOD, EPOLLIN);
}

static void add_edge(struct link *link)
{
	control(link, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
}

static void add_once(struct link *link)
{
	control(link, EPOLL_CTL_ADD, EPOLLOUT | EPOLLONESHOT);
}

static void change_once(struct link *link)
{
	control(link, EPOLL_CTL_MOD, EPOLLIN | EPOLLONESHOT);
}

static void wait_epoll(bool ready[PARALLEL])
{
	struct epoll_event events[PARALLEL];
	int count = epoll_wait(epfd, events, PARALLEL, BOUND_MS);

	MUST(count > 0);
	memset(ready, 0, PARALLEL * sizeof(*ready));
	for (int i = 0; i < count; i++)
		ready[events[i].data.u32] = true;
}

static const struct way WAYS[] = {
	{"poll", nothing, nothing, nothing, wait_poll},
	{"select", nothing, nothing, nothing, wait_select},
	{"epoll", nothing, add_level, change_level, wait_epoll},
	{"edge", add_edge, nothing, nothing, wait_epoll},
	{"once", nothing, add_once, change_once, wait_epoll},
};

static void end(struct link *link, const char *failed, int error)
{
	if (failed != NULL)
		printf("failure %u %s %s\n", link->number, failed, strerrorname_np(error));
	else
		served++;
	close(link->fd);
	*link = (struct link){.fd = -1};
}

static void start(struct link *link, unsigned number)
{
	const struct sockaddr_in *place = &places[random() % place_count];

	*link = (struct link){.number = number};
	link->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	MUST(link->fd >= 0);
	way->before(link);
	if (connect(link->fd, (const struct sockaddr *)place, sizeof(*place)) < 0 &&
	    errno != EINPROGRESS) {
		end(link, "connect", errno);
		return;
	}
	way->after(link);
}

static void request(struct link *link)
{
	char text[128], body[32];
	int error = 0, length = snprintf(body, sizeof(body), "%u %u", client, link->number);
	socklen_t size = sizeof(error);

	MUST(getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0);
	if (error != 0) {
		end(link, "SO_ERROR", error);
		return;
	}
	link->connected = true;
	length = snprintf(text, sizeof(text), "POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s",
			  length, body);
	if (send(link->fd, text, (size_t)length, MSG_NOSIGNAL) == length)
		way->to_read(link);
	else
		end(link, "send", errno);
}

static bool is_mine(const struct link *link)
{
	const char *body = strstr(link->answer, "\r\n\r\n");
	unsigned whose, number;

	return body != NULL && sscanf(body, "%u %u", &whose, &number) == 2 && whose == client &&
	       number == link->number;
}

static void read_answer(struct link *link)
{
	size_t room = ANSWER_MAX - 1 - link->length;
	ssize_t n;

	while ((n = recv(link->fd, link->answer + link->length, room, 0)) > 0) {
		link->length += (size_t)n;
		room -= (size_t)n;
	}
	if (n == 0)
		end(link, is_mine(link) ? NULL : "answer", 0);
	else if (errno != EAGAIN)
		end(link, "recv", errno);
	else
		way->to_read(link); /* EPOLLONESHOT is used up */
}

static void serve(unsigned count)
{
	unsigned started = 0, left = count;
	bool ready[PARALLEL];

	while (left > 0) {
		for (int i = 0; i < PARALLEL; i++)
			while (links[i].fd < 0 && started < count) {
				start(&links[i], started++);
				left -= links[i].fd < 0;
			}
		if (left == 0)
			break;
		way->wait(ready);
		for (int i = 0; i < PARALLEL; i++) {
			if (!ready[i] || links[i].fd < 0)
				continue;
			(links[i].connected ? read_answer : request)(&links[i]);
			left -= links[i].fd < 0;
		}
	}
}

static void read_place(char *text, struct sockaddr_in *place)
{
	char *colon = strchr(text, ':');

	MUST(colon != NULL);
	*colon = '\0';
	place->sin_family = AF_INET;
	place->sin_port = htons((uint16_t)atoi(colon + 1));
	MUST(inet_pton(AF_INET, text, &place->sin_addr) == 1);
}

static int free_descriptor(void)
{
	int fd = dup(STDIN_FILENO);

	MUST(fd >= 0);
	close(fd);
	return fd;
}

int main(int argc, char **argv)
{
	int first_free;

	setvbuf(stdout, NULL, _IOLBF, 0);
	MUST(argc > 5 && argc - 5 <= PLACES_MAX);
	for (size_t i = 0; i < sizeof(WAYS) / sizeof(*WAYS); i++)
		way = strcmp(argv[1], WAYS[i].name) == 0 ? &WAYS[i] : way;
	MUST(way != NULL);
	client = (unsigned)atoi(argv[2]);
	srandom((unsigned)atoi(argv[4]));
	for (place_count = 0; place_count < argc - 5; place_count++)
		read_place(argv[5 + place_count], &places[place_count]);
	for (int i = 0; i < PARALLEL; i++)
		links[i].fd = -1;
	epfd = epoll_create1(EPOLL_CLOEXEC);
	MUST(epfd >= 0);
	first_free = free_descriptor();
	serve((unsigned)atoi(argv[3]));
	printf("done %u %d\n", served, free_descriptor() - first_free);
	return 0;
}
