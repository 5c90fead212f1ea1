/*
 * A scripted TCP server on a free port of the loopback, for tests of those who ask it: a thread
 * that accepts, and one more for each connection, which reads a request and runs the script.
 */
#ifndef CROW_TEST_HTTP_SCRIPT_H
#define CROW_TEST_HTTP_SCRIPT_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SERVER_CONNECTIONS_MAX 512

struct server;
/* Answers a request (its head alone). The connection is closed afterwards. */
typedef void server_script(struct server *server, int fd, const char *request);

struct connection {
	struct server *server;
	int fd;
	pthread_t thread;
};

struct server {
	server_script *script;
	int fd;
	uint16_t port;
	pthread_t thread;
	struct connection connections[SERVER_CONNECTIONS_MAX];
	size_t count; /* of connections; the accepting thread's alone until it was joined */
	atomic_uint requests;
	atomic_bool ending;
	pthread_mutex_t lock;
	char request[4096]; /* the last one; guarded by lock */
};

/* False when the peer has gone. */
static inline bool server_send(int fd, const void *bytes, size_t size)
{
	const char *at = bytes;

	while (size > 0) {
		ssize_t n = send(fd, at, size, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		at += n;
		size -= (size_t)n;
	}
	return true;
}

static inline bool server_say(int fd, const char *text)
{
	return server_send(fd, text, strlen(text));
}

/* A whole answer: status is "200 OK", headers are "Name: value\r\n"... or "". */
static inline void server_answer(int fd, const char *status, const char *headers, const char *body)
{
	char head[1024];

	snprintf(head, sizeof(head),
		 "HTTP/1.1 %s\r\n%sContent-Length: %zu\r\nConnection: close\r\n\r\n", status,
		 headers, strlen(body));
	server_say(fd, head);
	server_say(fd, body);
}

/* Waits until the peer has gone, or for ms. True: it has gone. */
static inline bool server_peer_gone(int fd, int ms)
{
	struct pollfd peer = {.fd = fd, .events = POLLRDHUP};

	return poll(&peer, 1, ms) > 0;
}

static inline void *server_connection_run(void *context)
{
	struct connection *connection = context;
	struct server *server = connection->server;
	char request[sizeof(server->request)];
	size_t size = 0;
	ssize_t n;

	do {
		n = recv(connection->fd, request + size, sizeof(request) - 1 - size, 0);
		if (n <= 0)
			return NULL;
		size += (size_t)n;
		request[size] = '\0';
	} while (!strstr(request, "\r\n\r\n") && size < sizeof(request) - 1);
	pthread_mutex_lock(&server->lock);
	memcpy(server->request, request, size + 1);
	pthread_mutex_unlock(&server->lock);
	atomic_fetch_add(&server->requests, 1);
	server->script(server, connection->fd, request);
	/* Not close(): shutdown() sends FIN and keeps the number until the server stops. */
	shutdown(connection->fd, SHUT_RDWR);
	return NULL;
}

static inline void *server_run(void *context)
{
	struct server *server = context;

	while (server->count < SERVER_CONNECTIONS_MAX) {
		struct connection *connection = &server->connections[server->count];

		connection->server = server;
		/* accept() takes its descriptor before it waits, and a test may have left none. */
		do {
			connection->fd = accept(server->fd, NULL, NULL);
		} while (connection->fd < 0 && errno == EMFILE && sched_yield() == 0);
		if (connection->fd < 0)
			return NULL;
		if (pthread_create(&connection->thread, NULL, server_connection_run, connection))
			abort();
		server->count++;
	}
	return NULL;
}

/* A listening socket on a free port, which goes to *port. */
static inline int server_listen(uint16_t *port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, length) < 0 || listen(fd, 512) < 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &length) < 0)
		abort();
	*port = ntohs(address.sin_port);
	return fd;
}

static inline void server_start(struct server *server, server_script *script)
{
	memset(server, 0, sizeof(*server));
	pthread_mutex_init(&server->lock, NULL);
	server->script = script;
	server->fd = server_listen(&server->port);
	if (pthread_create(&server->thread, NULL, server_run, server) != 0)
		abort();
}

static inline void server_stop(struct server *server)
{
	atomic_store(&server->ending, true);
	shutdown(server->fd, SHUT_RDWR); /* accept() returns */
	pthread_join(server->thread, NULL);
	for (size_t i = 0; i < server->count; i++) {
		shutdown(server->connections[i].fd, SHUT_RDWR);
		pthread_join(server->connections[i].thread, NULL);
		close(server->connections[i].fd);
	}
	close(server->fd);
	pthread_mutex_destroy(&server->lock);
}

#endif
