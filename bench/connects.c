/*
 * What a program pays that connects to instances, under the library: its calls against those of
 * libc's own functions in the same process, in turn, so that what the machine does meanwhile hits
 * both. Times are medians, in ns: lines "NAME VALUE". libc alone.
 *
 *   connects serve                       prints "IP PORT", accepts and closes until stdin ends
 *   connects block GOOD PORT BAD PORT N  socket, connect, close: bare and with the library, to one
 *                                        that answers; bare to one that refuses; with the library
 *                                        to that one, which moves on; and to the good one, bare, with
 *                                        the system calls that no interposer can do without
 *   connects event GOOD PORT BAD PORT N  the same as event loops do it: non-blocking, registered
 *                                        with epoll before, waited for, SO_ERROR asked
 *   connects silent IP PORT N            all of this by the library, to one that answers nothing: the
 *                                        blocking connect, the event loop, and an event loop in
 *                                        another thread that waits already; until it is connected
 *   connects idle CALL N THREADS         one poll, epoll or select that has something to return,
 *                                        while nothing connects; or one connect to an address
 *                                        that is nobody's, on a bad descriptor: the cheapest
 *                                        there is, so that an addition shows. The threads do the
 *                                        same at the same time; the first one's times are told,
 *                                        and those with the least interposer that there can be
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/measure.h"

static void must(bool condition, const char *what)
{
	if (condition)
		return;
	perror(what);
	exit(1);
}

static void *accept_all(void *argument)
{
	int listener = *(int *)argument;

	for (;;) {
		int fd = accept(listener, NULL, NULL);

		if (fd >= 0)
			close(fd);
	}
	return NULL;
}

static int serve(void)
{
	struct sockaddr_in own = {.sin_family = AF_INET};
	socklen_t len = sizeof(own);
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	char text[INET_ADDRSTRLEN];
	pthread_t thread;

	own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	must(bind(listener, (struct sockaddr *)&own, len) == 0, "bind");
	must(listen(listener, 4096) == 0, "listen");
	must(getsockname(listener, (struct sockaddr *)&own, &len) == 0, "getsockname");
	must(pthread_create(&thread, NULL, accept_all, &listener) == 0, "pthread_create");
	printf("%s %d\n", inet_ntop(AF_INET, &own.sin_addr, text, sizeof(text)),
	       ntohs(own.sin_port));
	fflush(stdout);
	while (getchar() != EOF)
		;
	return 0;
}

/* Without the time-wait that would use up the ports. */
static void abort_connection(int fd)
{
	const struct linger now = {.l_onoff = 1};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
}

struct calls {
	int (*connect)(int, const struct sockaddr *, socklen_t);
	int (*epoll_ctl)(int, int, int, struct epoll_event *);
	int (*epoll_wait)(int, struct epoll_event *, int, int);
	int (*getsockopt)(int, int, int, void *, socklen_t *);
	int (*poll)(struct pollfd *, nfds_t, int);
	int (*select)(int, fd_set *, fd_set *, fd_set *, struct timeval *);
};

/* From a handle of libc, or as the program gets them. */
static struct calls calls_of(void *from)
{
	struct calls calls;

	*(void **)&calls.connect = dlsym(from, "connect");
	*(void **)&calls.epoll_ctl = dlsym(from, "epoll_ctl");
	*(void **)&calls.epoll_wait = dlsym(from, "epoll_wait");
	*(void **)&calls.getsockopt = dlsym(from, "getsockopt");
	*(void **)&calls.poll = dlsym(from, "poll");
	*(void **)&calls.select = dlsym(from, "select");
	return calls;
}

static struct calls bare, loaded, least;

/* The least that an interposer can be which has to look at something after the wait: libc's return
 * goes to it, and its own to the program. An empty asm keeps the compiler from jumping there. */
static int least_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
	int ready = bare.poll(fds, count, timeout_ms);

	__asm__ volatile("" : "+r"(ready));
	return ready;
}

static int least_epoll_wait(int epfd, struct epoll_event *events, int max, int timeout_ms)
{
	int ready = bare.epoll_wait(epfd, events, max, timeout_ms);

	__asm__ volatile("" : "+r"(ready));
	return ready;
}

static int least_select(int count, fd_set *in, fd_set *out, fd_set *except, struct timeval *timeout)
{
	int ready = bare.select(count, in, out, except, timeout);

	__asm__ volatile("" : "+r"(ready));
	return ready;
}

static void connect_blocking(const struct calls *calls, const struct sockaddr_in *to)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	calls->connect(fd, (const struct sockaddr *)to, sizeof(*to));
	abort_connection(fd);
}

static int (*bare_setsockopt)(int, int, int, const void *, socklen_t);

static void set_limit(int fd, time_t us)
{
	struct timeval limit = {.tv_usec = us};

	bare_setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
}

/* A blocking connect() that is to end in time has its limit on the socket, and it must not stay. */
static int connect_within_limit(int fd, const struct sockaddr *to, socklen_t len)
{
	int result;

	set_limit(fd, 250000);
	result = bare.connect(fd, to, len);
	set_limit(fd, 0);
	return result;
}

/* Whether the socket waits decides what may be done with it; and what fails on this machine has
 * failed by the time that connect() returns, when nobody has seen it yet. */
static int connect_and_look(int fd, const struct sockaddr *to, socklen_t len)
{
	struct pollfd ready = {.fd = fd, .events = POLLOUT};
	int result, error;

	if ((fcntl(fd, F_GETFL) & O_NONBLOCK) == 0)
		return -1;
	result = bare.connect(fd, to, len);
	error = errno;
	bare.poll(&ready, 1, 0);
	errno = error;
	return result;
}

static void connect_in_event_loop(const struct calls *calls, const struct sockaddr_in *to)
{
	static int epfd;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct epoll_event event = {.events = EPOLLOUT | EPOLLET, .data.fd = fd};
	int error = 0;
	socklen_t len = sizeof(error);

	if (epfd == 0)
		epfd = epoll_create1(0);
	calls->epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event);
	calls->connect(fd, (const struct sockaddr *)to, sizeof(*to));
	must(calls->epoll_wait(epfd, &event, 1, 5000) == 1, "epoll_wait");
	calls->getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
	abort_connection(fd);
}

static double time_connect(bool events, const struct calls *calls, const struct sockaddr_in *to)
{
	double start = seconds(CLOCK_MONOTONIC);

	if (events)
		connect_in_event_loop(calls, to);
	else
		connect_blocking(calls, to);
	return (seconds(CLOCK_MONOTONIC) - start) * 1e9;
}

/* A thread that waits for the event of a socket which another one connects. */
struct waiter {
	int epfd;
	_Atomic bool waits;
	double done; /* when, in seconds */
};

static void *wait_inside(void *argument)
{
	struct waiter *waiter = argument;
	struct epoll_event event;

	atomic_store(&waiter->waits, true);
	must(loaded.epoll_wait(waiter->epfd, &event, 1, 10000) == 1, "epoll_wait");
	waiter->done = seconds(CLOCK_MONOTONIC);
	return NULL;
}

static double time_inside(const struct sockaddr_in *to)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct epoll_event event = {.events = EPOLLOUT | EPOLLET};
	struct waiter waiter = {.epfd = epoll_create1(0)};
	pthread_t thread;
	double start;

	loaded.epoll_ctl(waiter.epfd, EPOLL_CTL_ADD, fd, &event);
	/* A fresh socket reports that it is hung up: an edge that is over by the second wait. */
	loaded.epoll_wait(waiter.epfd, &event, 1, 0);
	must(pthread_create(&thread, NULL, wait_inside, &waiter) == 0, "pthread_create");
	while (!atomic_load(&waiter.waits))
		usleep(1000);
	usleep(20000); /* from the word to the kernel */
	start = seconds(CLOCK_MONOTONIC);
	loaded.connect(fd, (const struct sockaddr *)to, sizeof(*to));
	pthread_join(thread, NULL);
	close(waiter.epfd);
	abort_connection(fd);
	return (waiter.done - start) * 1e9;
}

static struct sockaddr_in address_of(const char *ip, const char *port)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};

	must(inet_pton(AF_INET, ip, &to.sin_addr) == 1, ip);
	return to;
}

static int time_connects(bool events, char **addresses, size_t count)
{
	enum { BARE, HEALTHY, REFUSED, MOVED, LEAST, KINDS };
	static const char *const names[] = {"bare", "healthy", "refused", "moved", "least"};
	const struct calls *const calls[] = {&bare, &loaded, &bare, &loaded, &least};
	struct sockaddr_in good = address_of(addresses[0], addresses[1]);
	struct sockaddr_in bad = address_of(addresses[2], addresses[3]);
	double *took[KINDS];

	least = bare;
	least.connect = events ? connect_and_look : connect_within_limit;
	for (int i = 0; i < KINDS; i++)
		must((took[i] = calloc(count, sizeof(double))) != NULL, "calloc");
	for (size_t i = 0; i < count; i++) {
		/* Each comes after each of the others, 5 being a prime: a connect leaves caches, and
		 * a server, that are good or bad for the next one. */
		for (size_t j = 0; j < KINDS; j++) {
			size_t which = (j * (1 + i % (KINDS - 1)) + i) % KINDS;

			took[which][i] =
				time_connect(events, calls[which],
					     which == REFUSED || which == MOVED ? &bad : &good);
		}
	}
	for (int i = 0; i < KINDS; i++) {
		printf("%s %.1f\n", names[i], median(took[i], count));
		free(took[i]);
	}
	return 0;
}

static int time_silent(char **address, size_t count)
{
	static const char *const names[] = {"blocking", "events", "inside"};
	struct sockaddr_in silent = address_of(address[0], address[1]);
	double *took[3];

	for (int i = 0; i < 3; i++)
		must((took[i] = calloc(count, sizeof(double))) != NULL, "calloc");
	for (size_t i = 0; i < count; i++) {
		took[0][i] = time_connect(false, &loaded, &silent);
		took[1][i] = time_connect(true, &loaded, &silent);
		took[2][i] = time_inside(&silent);
	}
	for (int i = 0; i < 3; i++) {
		printf("%s %.1f\n", names[i], median(took[i], count));
		free(took[i]);
	}
	return 0;
}

static void connect_elsewhere(const struct calls *calls)
{
	static uint32_t host = 0xc6336400; /* 198.51.100.0/24, of RFC 5737 */
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(1)};

	host = (host & 0xffffff00) | ((host + 1) & 0xff);
	to.sin_addr.s_addr = htonl(host);
	calls->connect(-1, (const struct sockaddr *)&to, sizeof(to));
}

static void call_once(const struct calls *calls, char call, int fd, int epfd)
{
	struct pollfd ready = {.fd = fd, .events = POLLIN};
	struct timeval timeout = {.tv_sec = 1};
	struct epoll_event event;
	fd_set set;

	if (call == 'c') {
		connect_elsewhere(calls);
	} else if (call == 'p') {
		calls->poll(&ready, 1, 1000);
	} else if (call == 'e') {
		calls->epoll_wait(epfd, &event, 1, 1000);
	} else {
		FD_ZERO(&set);
		FD_SET(fd, &set);
		calls->select(fd + 1, &set, NULL, NULL, &timeout);
	}
}

#define CALLS 1000 /* in one slice */

static double time_calls(const struct calls *calls, char call, int fd, int epfd)
{
	double start = seconds(CLOCK_MONOTONIC);

	for (int i = 0; i < CALLS; i++)
		call_once(calls, call, fd, epfd);
	return (seconds(CLOCK_MONOTONIC) - start) / CALLS * 1e9;
}

/* The same code for both: a compiler that made one for each would align one of them better. */
static double (*volatile time_them)(const struct calls *, char, int, int) = time_calls;

struct idle {
	char call;
	size_t slices;
	double without, with, with_least; /* medians */
};

static void *time_slices(void *argument)
{
	struct idle *idle = argument;
	size_t slices = idle->slices;
	int fd = eventfd(1, 0);
	int epfd = epoll_create1(0);
	struct epoll_event event = {.events = EPOLLIN};
	double *without = calloc(slices, sizeof(double)), *with = calloc(slices, sizeof(double));
	double *with_least = calloc(slices, sizeof(double));

	must(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
	must(without != NULL && with != NULL && with_least != NULL, "calloc");
	for (size_t i = 0; i < slices; i++) {
		bool bare_first = i % 2 == 0;

		if (bare_first)
			without[i] = time_them(&bare, idle->call, fd, epfd);
		with[i] = time_them(&loaded, idle->call, fd, epfd);
		with_least[i] = time_them(&least, idle->call, fd, epfd);
		if (!bare_first)
			without[i] = time_them(&bare, idle->call, fd, epfd);
	}
	idle->without = median(without, slices);
	idle->with = median(with, slices);
	idle->with_least = median(with_least, slices);
	free(without);
	free(with);
	free(with_least);
	return NULL;
}

#define THREADS_MAX 16

static int time_idle(char call, size_t slices, int threads)
{
	struct idle idle[THREADS_MAX];
	pthread_t others[THREADS_MAX];

	must(threads >= 1 && threads <= THREADS_MAX, "threads");
	for (int i = 0; i < threads; i++)
		idle[i] = (struct idle){.call = call, .slices = slices};
	for (int i = 1; i < threads; i++)
		must(pthread_create(&others[i], NULL, time_slices, &idle[i]) == 0,
		     "pthread_create");
	time_slices(&idle[0]);
	for (int i = 1; i < threads; i++)
		pthread_join(others[i], NULL);
	printf("bare %.2f\nloaded %.2f\nleast %.2f\n", idle[0].without, idle[0].with,
	       idle[0].with_least);
	return 0;
}

int main(int argc, char **argv)
{
	void *libc;

	if (argc == 2 && strcmp(argv[1], "serve") == 0)
		return serve();
	libc = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
	bare = calls_of(libc);
	loaded = calls_of(RTLD_DEFAULT);
	*(void **)&bare_setsockopt = dlsym(libc, "setsockopt");
	least = bare;
	least.poll = least_poll;
	least.epoll_wait = least_epoll_wait;
	least.select = least_select;
	if (argc == 7 && (strcmp(argv[1], "block") == 0 || strcmp(argv[1], "event") == 0))
		return time_connects(argv[1][0] == 'e', argv + 2, (size_t)atol(argv[6]));
	if (argc == 5 && strcmp(argv[1], "silent") == 0)
		return time_silent(argv + 2, (size_t)atol(argv[4]));
	if (argc == 5 && strcmp(argv[1], "idle") == 0)
		return time_idle(argv[2][0], (size_t)atol(argv[3]), atoi(argv[4]));
	fputs("usage: connects serve | block|event GOOD PORT BAD PORT N | silent IP PORT N | idle "
	      "connect|poll|epoll|"
	      "select N THREADS\n",
	      stderr);
	return 2;
}
