/*
 * What the snippets share. A snippet is a tiny client as people write them: it does one thing with
 * libc and prints what libc said, line by line, so that runs with and without libcrowfly.so can be
 * compared. It knows nothing of crowfly.
 */
#ifndef CROW_SNIPPET_H
#define CROW_SNIPPET_H

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define MUST(condition)                                                                            \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s: %s\n", #condition, strerror(errno));                  \
			exit(99);                                                                  \
		}                                                                                  \
	} while (0)

static inline struct sockaddr_in address_of(const char *ip, const char *port)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};

	MUST(inet_pton(AF_INET, ip, &addr.sin_addr) == 1);
	return addr;
}

static inline void *idle(void *unused)
{
	pause();
	return unused;
}

/* From here on the process has another thread, to which no signal goes. */
static inline void start_idle_thread(void)
{
	pthread_t thread;
	sigset_t all, own;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &own);
	MUST(pthread_create(&thread, NULL, idle, NULL) == 0);
	pthread_sigmask(SIG_SETMASK, &own, NULL);
}

static inline int stream_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	MUST(fd >= 0);
	return fd;
}

static inline int connect_to(int fd, const struct sockaddr_in *addr)
{
	return connect(fd, (const struct sockaddr *)addr, sizeof(*addr));
}

/* "0" or the errno's name. */
static inline const char *outcome(int result)
{
	return result == 0 ? "0" : strerrorname_np(errno);
}

/* "peer IP PORT", or "peer ENOTCONN". */
static inline void print_peer(int fd)
{
	struct sockaddr_storage peer = {0};
	socklen_t len = sizeof(peer);
	char host[NI_MAXHOST], port[NI_MAXSERV];

	if (getpeername(fd, (struct sockaddr *)&peer, &len) < 0) {
		printf("peer %s\n", strerrorname_np(errno));
		return;
	}
	MUST(getnameinfo((struct sockaddr *)&peer, len, host, sizeof(host), port, sizeof(port),
			 NI_NUMERICHOST | NI_NUMERICSERV) == 0);
	printf("peer %s %s\n", host, port);
}

static inline int int_option(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	getsockopt(fd, level, name, &value, &len);
	return value;
}

static inline void set_send_timeout(int fd, int64_t ms)
{
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	MUST(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) == 0);
}

static inline int64_t send_timeout_ms(int fd)
{
	struct timeval tv = {0};
	socklen_t len = sizeof(tv);

	MUST(getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, &len) == 0);
	return tv.tv_sec * 1000 + tv.tv_usec / 1000;
}

/* The lowest free descriptor: grows if somebody keeps one. */
static inline int free_descriptor(void)
{
	int fd = dup(STDIN_FILENO);

	MUST(fd >= 0);
	close(fd);
	return fd;
}

#endif
