/*
 * The one door to libmicrohttpd. Each address has a library daemon of its own, without a thread:
 * the library's epoll descriptor stands in our loop, and one timer runs what is due by time.
 *
 * The pages tell addresses and names of services, so only this host may ask: sockets are bound to
 * loopback alone, and a Host header that is neither an address nor localhost is refused. That
 * header is what a browser sends when a page of somebody's has its own name pointed at 127.0.0.1
 * ("DNS rebinding").
 */
#include "daemon/http/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/counters.h"
#include "daemon/log.h"

#define BACKLOG 64

/* People, a scraper and a health check: this many at once on an address, none for longer than
 * this without a byte. The memory is the library's for one connection: its read buffer, headers
 * and reply head. */
#define CONNECTIONS_MAX       64u
#define IDLE_S                10u
#define CONNECTION_MEMORY_MAX ((size_t)16384)

struct server {
	struct crow_http *http;
	int listener; /* -1 once the library owns it */
	struct MHD_Daemon *daemon;
	struct crow_watch watch;
	struct crow_timer timer;
};

struct crow_http {
	struct crow_loop *loop;
	struct crow_publisher *publisher;
	const struct crow_table *table;
	size_t count;
	struct server servers[];
};

/* ---- replies ---- */

struct reply {
	unsigned status;
	const char *type;
	const char *allow; /* value of Allow, or NULL */
	char *body;        /* malloc'ed; taken over */
	size_t size;
};

static enum MHD_Result send_reply(struct MHD_Connection *connection, const struct reply *reply)
{
	struct MHD_Response *response =
		MHD_create_response_from_buffer(reply->size, reply->body, MHD_RESPMEM_MUST_FREE);
	enum MHD_Result result;

	if (!response) {
		free(reply->body);
		return MHD_NO; /* closes the connection */
	}
	if (MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, reply->type) ==
		    MHD_NO ||
	    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store") ==
		    MHD_NO ||
	    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff") == MHD_NO ||
	    (reply->allow &&
	     MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, reply->allow) == MHD_NO))
		result = MHD_NO;
	else
		result = MHD_queue_response(connection, reply->status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result send_text(struct MHD_Connection *connection, unsigned status,
				 const char *allow, const char *text)
{
	struct reply reply = {
		.status = status,
		.type = "text/plain; charset=utf-8",
		.allow = allow,
		.body = strdup(text),
		.size = strlen(text),
	};

	return reply.body ? send_reply(connection, &reply) : MHD_NO;
}

/* ---- pages ---- */

static enum MHD_Result send_health(struct crow_http *http, struct MHD_Connection *connection)
{
	(void)http; /* that the loop turns is the answer */
	return send_text(connection, MHD_HTTP_OK, NULL, "ok\n");
}

static enum MHD_Result send_status(struct crow_http *http, struct MHD_Connection *connection)
{
	struct reply reply = {.status = MHD_HTTP_OK, .type = "application/json"};

	reply.body = crow_status_json(crow_publisher_image(http->publisher), http->table,
				      crow_now_ns(), &reply.size);
	if (!reply.body)
		return send_text(connection, MHD_HTTP_SERVICE_UNAVAILABLE, NULL, "no memory\n");
	return send_reply(connection, &reply);
}

static const struct page {
	const char *path;
	enum MHD_Result (*send)(struct crow_http *http, struct MHD_Connection *connection);
} pages[] = {
	{"/healthz", send_health},
	{"/api/v1/status", send_status},
};

#define PAGE_COUNT (sizeof(pages) / sizeof(pages[0]))

static enum MHD_Result send_not_found(struct MHD_Connection *connection)
{
	char text[256] = "there is no such page; there are:";
	size_t length = strlen(text);

	for (size_t i = 0; i < PAGE_COUNT; i++)
		length += (size_t)snprintf(text + length, sizeof(text) - length, " %s",
					   pages[i].path);
	snprintf(text + length, sizeof(text) - length, "\n");
	return send_text(connection, MHD_HTTP_NOT_FOUND, NULL, text);
}

/* ---- requests ---- */

/* Of "name", "name:port", "[v6]" or "[v6]:port". */
static bool is_own_host(const char *authority)
{
	bool bracketed = authority[0] == '[';
	const char *start = authority + bracketed;
	size_t length = strcspn(start, bracketed ? "]" : ":");
	const char *rest = start + length + bracketed;
	char host[INET6_ADDRSTRLEN];
	struct in6_addr addr;

	if (length >= sizeof(host) || (bracketed && start[length] != ']') ||
	    (*rest != '\0' && *rest != ':'))
		return false;
	memcpy(host, start, length);
	host[length] = '\0';
	if (bracketed)
		return inet_pton(AF_INET6, host, &addr) == 1;
	return strcasecmp(host, "localhost") == 0 || inet_pton(AF_INET, host, &addr) == 1;
}

static enum MHD_Result send_page(struct crow_http *http, struct MHD_Connection *connection,
				 const char *url, const char *method)
{
	const char *host =
		MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST);

	crow_count(http_requests);
	if (host && !is_own_host(host))
		return send_text(connection, MHD_HTTP_MISDIRECTED_REQUEST, NULL,
				 "the Host header must be an address or localhost\n");
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return send_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "GET, HEAD",
				 "GET and HEAD are all that is served here\n");
	for (size_t i = 0; i < PAGE_COUNT; i++) {
		if (strcmp(url, pages[i].path) == 0)
			return pages[i].send(http, connection);
	}
	return send_not_found(connection);
}

/* The library calls this when the head is in, for each piece of a body, and when all is in. A
 * reply before the end of the body makes it close the connection, which is what a body that
 * nobody wants deserves; but it takes none while a piece is being handed over. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *upload,
				  size_t *upload_size, void **seen)
{
	struct server *server = context;

	(void)version;
	(void)upload;
	if (!*seen) {
		*seen = server;
		return MHD_YES;
	}
	if (*upload_size) {
		*upload_size = 0;
		return MHD_YES;
	}
	return send_page(server->http, connection, url, method);
}

/* ---- the loop ---- */

/* At the limit the library takes the listener out of its descriptor, and puts it back at the start
 * of a run alone. The run in which connections end is too early for that, and nothing would wake
 * the next. */
static bool is_full(const struct server *server)
{
	const union MHD_DaemonInfo *info =
		MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);

	return info && info->num_connections >= CONNECTIONS_MAX;
}

/* The library's descriptor is edge-triggered inside: bytes that it left unread do not wake it
 * again. Only MHD_get_timeout() tells of them, so it is asked after every run. */
static void run(struct server *server)
{
	MHD_UNSIGNED_LONG_LONG wait_ms;
	bool was_full = is_full(server);

	MHD_run(server->daemon);
	if (was_full && !is_full(server))
		MHD_run(server->daemon);
	if (MHD_get_timeout(server->daemon, &wait_ms) == MHD_YES)
		crow_timer_set(server->http->loop, &server->timer,
			       crow_now_ns() + (int64_t)wait_ms * 1000000);
	else
		crow_timer_clear(server->http->loop, &server->timer);
}

static void on_ready(struct crow_watch *watch, uint32_t events)
{
	(void)events;
	run(crow_container(watch, struct server, watch));
}

static void on_due(struct crow_timer *timer, int64_t now_ns)
{
	(void)now_ns;
	run(crow_container(timer, struct server, timer));
}

static void log_library(void *context, const char *format, va_list args)
{
	char line[256];

	(void)context;
	vsnprintf(line, sizeof(line), format, args);
	line[strcspn(line, "\n")] = '\0';
	crow_log(CROW_LOG_DEBUG, "http: %s", line);
}

/* ---- binding, starting, ending ---- */

static bool is_loopback(const struct crow_addr *addr)
{
	static const uint8_t v6[16] = {[15] = 1};

	return crow_addr_is_v4(addr) ? crow_addr_v4_bytes(addr)[0] == 127
				     : memcmp(addr->bytes, v6, sizeof(v6)) == 0;
}

/* A bound, listening socket: clients that come before crow_http_start() wait in its backlog. */
static int open_listener(const struct crow_listen *listen_on)
{
	sa_family_t family = crow_addr_is_v4(&listen_on->addr) ? AF_INET : AF_INET6;
	struct sockaddr_storage sa;
	socklen_t length = crow_addr_to_sockaddr(&listen_on->addr, listen_on->port, family, &sa);
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1, error;

	if (fd < 0)
		return -1;
	/* Without it a restart fails while connections of the last one are in TIME_WAIT. */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
	    bind(fd, (struct sockaddr *)&sa, length) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

static const char *remedy(int error)
{
	switch (error) {
	case EADDRINUSE:
		return "another program listens there; stop it, or choose another [http] listen";
	case EACCES:
	case EPERM:
		return "ports below 1024 need root or CAP_NET_BIND_SERVICE; or choose another "
		       "[http] listen";
	case EADDRNOTAVAIL:
		return "this host has no such address; choose another [http] listen";
	default:
		return "choose another [http] listen";
	}
}

static bool bind_server(struct server *server, const struct crow_listen *listen_on, char *complaint,
			size_t complaint_size)
{
	char endpoint[CROW_ENDPOINT_TEXT];

	crow_addr_format(&listen_on->addr, listen_on->port, endpoint);
	if (!is_loopback(&listen_on->addr)) {
		snprintf(
			complaint, complaint_size,
			"[http] listen=%s is refused: the pages name services and their addresses, "
			"and are for this host alone; use 127.0.0.0/8 or ::1",
			endpoint);
		return false;
	}
	server->listener = open_listener(listen_on);
	if (server->listener < 0) {
		snprintf(complaint, complaint_size, "cannot listen for HTTP on %s: %s; %s",
			 endpoint, strerror(errno), remedy(errno));
		return false;
	}
	return true;
}

struct crow_http *crow_http_bind(const struct crow_config *config, char *complaint,
				 size_t complaint_size)
{
	const struct crow_listens *listens = &config->http_listen;
	struct crow_http *http = calloc(1, sizeof(*http) + listens->count * sizeof(struct server));

	if (!http) {
		snprintf(complaint, complaint_size, "no memory for HTTP");
		return NULL;
	}
	for (; http->count < listens->count; http->count++) {
		struct server *server = &http->servers[http->count];

		server->http = http;
		if (!bind_server(server, &listens->items[http->count], complaint, complaint_size)) {
			crow_http_free(http);
			return NULL;
		}
	}
	return http;
}

static bool start_server(struct server *server)
{
	const union MHD_DaemonInfo *info;

	/* When it fails, the listener stays ours. */
	server->daemon = MHD_start_daemon(
		MHD_USE_EPOLL | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request, server,
		/* first, so that nothing of the start goes to stderr unasked */
		MHD_OPTION_EXTERNAL_LOGGER, log_library, NULL, MHD_OPTION_LISTEN_SOCKET,
		server->listener, MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX,
		MHD_OPTION_CONNECTION_TIMEOUT, IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		CONNECTION_MEMORY_MAX, MHD_OPTION_END);
	if (!server->daemon)
		return false;
	server->listener = -1;
	info = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	server->watch = (struct crow_watch){.fd = info ? info->epoll_fd : -1, .on_ready = on_ready};
	server->timer.on_due = on_due;
	if (crow_loop_add(server->http->loop, &server->watch, EPOLLIN) != 0) {
		MHD_stop_daemon(server->daemon);
		server->daemon = NULL;
		return false;
	}
	run(server);
	return true;
}

bool crow_http_start(struct crow_http *http, struct crow_loop *loop,
		     struct crow_publisher *publisher, const struct crow_table *table)
{
	http->loop = loop;
	http->publisher = publisher;
	http->table = table;
	for (size_t i = 0; i < http->count; i++) {
		if (start_server(&http->servers[i]))
			continue;
		crow_log(CROW_LOG_ERROR, "cannot start the HTTP pages: %s", strerror(errno));
		return false;
	}
	return true;
}

static void stop_server(struct server *server)
{
	if (server->daemon) {
		crow_loop_remove(server->http->loop, &server->watch);
		crow_timer_clear(server->http->loop, &server->timer);
		MHD_stop_daemon(server->daemon);
	} else if (server->listener >= 0) {
		close(server->listener);
	}
}

void crow_http_free(struct crow_http *http)
{
	if (!http)
		return;
	for (size_t i = 0; i < http->count; i++)
		stop_server(&http->servers[i]);
	free(http);
}
