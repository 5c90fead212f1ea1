/*
 * The one door to libmicrohttpd. Each address has a library daemon of its own, without a thread
 * and without a listening socket: connections are accepted here (listener.c) and handed to it, its
 * epoll descriptor stands in our loop, and one timer runs what is due by time.
 */
#include "daemon/http/http.h"

#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/counters.h"
#include "daemon/http/guest.h"
#include "daemon/http/listener.h"
#include "daemon/http/site.h"
#include "daemon/log.h"

/* Without a byte in either direction. */
#define IDLE_S 10u
/* The library's for one connection: its read buffer, headers and reply head. A longer request head
 * is answered 431 or 414. */
#define CONNECTION_MEMORY_MAX ((size_t)16384)

struct server {
	struct crow_http *http;
	struct crow_listener listener;
	struct crow_guests guests;
	struct MHD_Daemon *daemon;
	struct crow_watch watch;
	struct crow_timer timer;    /* the library's */
	struct crow_timer patience; /* the guests' */
};

struct crow_http {
	struct crow_http_house house;
	struct crow_site site;
	size_t count;
	struct server servers[];
};

static void turn(struct server *server);
static void run(struct server *server);

/* ---- answers ---- */

static void unref_body(void *body)
{
	crow_body_unref(body);
}

struct field {
	const char *name, *value; /* NULL: left out */
};

static bool add_fields(struct MHD_Response *response, const struct crow_answer *answer)
{
	char retry[16];
	const struct field fields[] = {
		{MHD_HTTP_HEADER_CONTENT_TYPE, answer->type},
		/* Whoever keeps a copy asks whether it still holds. */
		{MHD_HTTP_HEADER_CACHE_CONTROL, answer->etag[0] ? "no-cache" : "no-store"},
		{MHD_HTTP_HEADER_ETAG, answer->etag[0] ? answer->etag : NULL},
		{"X-Content-Type-Options", "nosniff"},
		{"Referrer-Policy", "no-referrer"},
		{"Content-Security-Policy", answer->policy},
		{MHD_HTTP_HEADER_ALLOW, answer->allow},
		{MHD_HTTP_HEADER_RETRY_AFTER, answer->retry_after_s ? retry : NULL},
	};

	snprintf(retry, sizeof(retry), "%u", answer->retry_after_s);
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (fields[i].value &&
		    MHD_add_response_header(response, fields[i].name, fields[i].value) == MHD_NO)
			return false;
	return true;
}

/* The body's reference becomes the response's. MHD_NO closes the connection. */
static enum MHD_Result send_answer(struct MHD_Connection *connection,
				   const struct crow_answer *answer)
{
	struct MHD_Response *response;
	enum MHD_Result result = MHD_NO;

	if (!answer->body)
		return MHD_NO;
	response = MHD_create_response_from_buffer_with_free_callback_cls(
		answer->body->size, answer->body->bytes, unref_body, answer->body);
	if (!response) {
		crow_body_unref(answer->body);
		return MHD_NO;
	}
	if (add_fields(response, answer))
		result = MHD_queue_response(connection, answer->status, response);
	MHD_destroy_response(response);
	return result;
}

/* ---- requests ---- */

static const char *header(struct MHD_Connection *connection, const char *name)
{
	return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

static const char *argument(struct MHD_Connection *connection, const char *name)
{
	return MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, name);
}

static void rearm_patience(struct server *server)
{
	int64_t next_ns = crow_guests_next_ns(&server->guests, crow_now_ns());

	if (next_ns == INT64_MAX)
		crow_timer_clear(server->http->house.loop, &server->patience);
	else
		crow_timer_set(server->http->house.loop, &server->patience, next_ns);
}

/* The answer comes with a later image; until then the library leaves the connection alone. */
static enum MHD_Result put_off(struct server *server, struct crow_guest *guest, int64_t until_ns)
{
	if (guest->wait_ns == 0) {
		crow_count(http_waited);
		guest->wait_ns = until_ns;
	}
	guest->suspended = true;
	MHD_suspend_connection(guest->connection);
	rearm_patience(server);
	return MHD_YES;
}

static enum MHD_Result answer(struct server *server, struct crow_guest *guest, const char *path,
			      const char *method)
{
	struct MHD_Connection *connection = guest->connection;
	struct crow_http *http = server->http;
	int64_t now_ns = crow_now_ns();
	const struct crow_request request = {
		.method = method,
		.path = path,
		.host = header(connection, MHD_HTTP_HEADER_HOST),
		/* Of several lines the first counts; who has the list of another one gets it again. */
		.if_none_match = header(connection, MHD_HTTP_HEADER_IF_NONE_MATCH),
		.query = argument(connection, "q"),
		.page = argument(connection, "page"),
		.service = argument(connection, "service"),
		.waited = guest->wait_ns != 0 && guest->wait_ns <= now_ns,
		.peer = guest->peer,
		.own = guest->own,
	};
	struct crow_answer reply;

	if (guest->wait_ns == 0)
		crow_count(http_requests);
	crow_site_answer(&http->site, crow_publisher_image(http->house.publisher), &request, now_ns,
			 &reply);
	if (reply.later_ns != 0)
		return put_off(server, guest, reply.later_ns);
	guest->reading = reply.body;
	return send_answer(connection, &reply);
}

static struct crow_guest *guest_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

/* The library calls this when the head is in, for each piece of a body, when all is in, and after a
 * suspension. A reply before the end of the body makes it close the connection, which is what a
 * body that nobody wants deserves; but it takes none while a piece is being handed over. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *upload,
				  size_t *upload_size, void **seen)
{
	struct server *server = context;
	struct crow_guest *guest = guest_of(connection);

	(void)version;
	(void)upload;
	if (!guest)
		return MHD_NO;
	if (!*seen) {
		*seen = server;
		crow_guests_ask(guest, crow_now_ns());
		return MHD_YES;
	}
	if (*upload_size) {
		*upload_size = 0;
		return MHD_YES;
	}
	return answer(server, guest, url, method);
}

static void on_completed(void *context, struct MHD_Connection *connection, void **seen,
			 enum MHD_RequestTerminationCode code)
{
	struct crow_guest *guest = guest_of(connection);

	(void)context;
	(void)seen;
	(void)code;
	if (guest)
		crow_guests_renew(guest, crow_now_ns());
}

/* ---- connections ---- */

static bool read_address(int fd, int (*get)(int fd, struct sockaddr *sa, socklen_t *length),
			 struct crow_addr *out)
{
	struct sockaddr_storage sa;
	socklen_t length = sizeof(sa);
	uint16_t port;

	return get(fd, (struct sockaddr *)&sa, &length) == 0 &&
	       crow_addr_from_sockaddr((struct sockaddr *)&sa, length, out, &port);
}

static int get_peer(int fd, struct sockaddr *sa, socklen_t *length)
{
	return getpeername(fd, sa, length);
}

static int get_own(int fd, struct sockaddr *sa, socklen_t *length)
{
	return getsockname(fd, sa, length);
}

static void on_connection(void *context, struct MHD_Connection *connection, void **guest_at,
			  enum MHD_ConnectionNotificationCode code)
{
	struct server *server = context;
	const union MHD_ConnectionInfo *info;
	struct crow_addr peer, own;

	if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
		if (*guest_at)
			crow_guests_leave(&server->guests, *guest_at);
		*guest_at = NULL;
		return;
	}
	info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	/* Who is gone already has no address, and gets no answer. */
	if (!info || crow_guests_is_full(&server->guests) ||
	    !read_address(info->connect_fd, get_peer, &peer) ||
	    !read_address(info->connect_fd, get_own, &own))
		return;
	*guest_at =
		crow_guests_enter(&server->guests, info->connect_fd, &peer, &own, crow_now_ns());
	((struct crow_guest *)*guest_at)->connection = connection;
}

/* ---- who makes room ---- */

/* The library owns the descriptor: to it, this is a client that has left. */
static void dismiss(struct crow_guest *guest)
{
	guest->leaving = true;
	shutdown(guest->fd, SHUT_RDWR);
}

/* The answer that waited is given, or put off again. */
static void resume_one(struct crow_guest *guest)
{
	guest->suspended = false;
	MHD_resume_connection(guest->connection);
}

/* Whether there is a place for one more, or somebody who makes room for him. */
static bool has_room(struct server *server)
{
	return !crow_guests_is_full(&server->guests) ||
	       crow_guests_yielding(&server->guests, crow_now_ns());
}

/* In one of the library's turns an answer is written, in the next its exchange ends, and in the one
 * after that the connection, if it is to: another one is in case the kernel tells of it late. */
#define FAREWELL_TURNS 4

/* An idle connection is closed when another one wants its place: whoever holds all of them and says
 * nothing keeps nobody out. Who waits for discovery first gets the answer that there is so far. */
static void make_room(struct server *server)
{
	int64_t now_ns = crow_now_ns();
	struct crow_guest *guest = crow_guests_yielding(&server->guests, now_ns);

	if (!crow_guests_is_full(&server->guests) || !guest)
		return;
	if (guest->suspended) {
		guest->wait_ns = now_ns;
		resume_one(guest);
		turn(server);
	}
	/* Nobody comes in meanwhile: while the house is full, the guest is the same. */
	if (crow_guests_is_full(&server->guests)) {
		crow_count(http_yielded);
		dismiss(guest);
	}
	for (int i = 0; i < FAREWELL_TURNS && crow_guests_is_full(&server->guests); i++)
		turn(server);
}

/* Whoever reads a large answer for longest lets go of it when others need the memory. */
static void free_memory(struct crow_http *http)
{
	while (crow_site_is_crowded(&http->site)) {
		struct crow_guest *first = NULL, *guest;
		struct server *of = NULL;

		for (size_t i = 0; i < http->count; i++) {
			guest = crow_guests_reading(&http->servers[i].guests);
			if (!guest || (first && first->asked_ns <= guest->asked_ns))
				continue;
			first = guest;
			of = &http->servers[i];
		}
		if (!first)
			return;
		crow_count(http_yielded);
		dismiss(first);
		turn(of);
	}
}

static bool on_accept(struct crow_listener *listener, int fd)
{
	struct server *server = crow_container(listener, struct server, listener);
	struct sockaddr_storage sa;
	socklen_t length = sizeof(sa);
	struct crow_addr peer;

	crow_count(http_accepted);
	if (getpeername(fd, (struct sockaddr *)&sa, &length) != 0 ||
	    !read_address(fd, get_peer, &peer)) {
		close(fd); /* gone already */
	} else if (!crow_guests_admits(&server->guests, &peer)) {
		crow_count(http_crowded);
		close(fd);
	} else {
		make_room(server);
		MHD_add_connection(server->daemon, fd, (struct sockaddr *)&sa, length);
		run(server);
	}
	return has_room(server);
}

/* ---- the loop ---- */

/* The library's descriptor is edge-triggered inside: bytes that it left unread do not wake it
 * again. Only MHD_get_timeout() tells of them, so it is asked after every run. */
static void turn(struct server *server)
{
	struct crow_loop *loop = server->http->house.loop;
	MHD_UNSIGNED_LONG_LONG wait_ms;

	MHD_run(server->daemon);
	if (MHD_get_timeout(server->daemon, &wait_ms) == MHD_YES)
		crow_timer_set(loop, &server->timer, crow_now_ns() + (int64_t)wait_ms * 1000000);
	else
		crow_timer_clear(loop, &server->timer);
	if (has_room(server))
		crow_listener_wake(&server->listener);
	rearm_patience(server);
}

static void run(struct server *server)
{
	turn(server);
	free_memory(server->http);
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

/* Those who wait until until_ns at most are answered, or put off again. */
static void resume(struct server *server, int64_t until_ns)
{
	for (size_t i = 0; i < CROW_GUESTS_MAX; i++) {
		struct crow_guest *guest = &server->guests.items[i];

		if (guest->fd >= 0 && guest->suspended && guest->wait_ns <= until_ns)
			resume_one(guest);
	}
}

static void on_impatient(struct crow_timer *timer, int64_t now_ns)
{
	struct server *server = crow_container(timer, struct server, patience);
	struct crow_guest *guest;

	while ((guest = crow_guests_late(&server->guests, now_ns))) {
		crow_count(http_slow);
		dismiss(guest);
	}
	resume(server, now_ns);
	run(server);
}

void crow_http_wake(struct crow_http *http)
{
	for (size_t i = 0; i < http->count; i++) {
		struct server *server = &http->servers[i];

		if (!server->daemon)
			continue;
		resume(server, INT64_MAX);
		run(server);
	}
}

void crow_http_note(struct crow_http *http, enum crow_history_kind kind,
		    const struct crow_addr *addr, uint16_t port)
{
	if (http->house.publisher)
		crow_site_note(&http->site, crow_publisher_image(http->house.publisher), kind, addr,
			       port, crow_now_ns());
}

void crow_http_narrow(struct crow_http *http, size_t kept_max, size_t large_max)
{
	http->site.large_max = large_max;
	http->site.statuses.kept_max = kept_max;
	http->site.searches.kept_max = kept_max;
	http->site.metrics.kept_max = kept_max;
	http->site.mirrors.kept_max = kept_max;
}

void crow_http_hurry(struct crow_http *http, int64_t exchange_ns)
{
	for (size_t i = 0; i < http->count; i++)
		http->servers[i].guests.exchange_ns = exchange_ns;
}

/* At %00 the library's own would end a path, and so serve another one than was asked for. The byte
 * that stands in its place is in no path or name that there is. */
static size_t unescape(void *context, struct MHD_Connection *connection, char *text)
{
	size_t length = MHD_http_unescape(text);

	(void)context;
	(void)connection;
	for (size_t i = 0; i < length; i++)
		if (text[i] == '\0')
			text[i] = '\x01';
	return length;
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

struct crow_http *crow_http_bind(const struct crow_config *config, struct crow_inherited *inherited,
				 char *complaint, size_t complaint_size)
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
		crow_guests_init(&server->guests, CROW_GUEST_EXCHANGE_NS);
		if (!crow_listener_open(&server->listener, &listens->items[http->count], inherited,
					complaint, complaint_size)) {
			crow_http_free(http);
			return NULL;
		}
	}
	return http;
}

static bool start_daemon(struct server *server)
{
	server->daemon = MHD_start_daemon(
		MHD_USE_EPOLL | MHD_USE_ERROR_LOG | MHD_USE_NO_LISTEN_SOCKET |
			MHD_ALLOW_SUSPEND_RESUME,
		0, NULL, NULL, on_request, server,
		/* first, so that nothing of the start goes to stderr unasked */
		MHD_OPTION_EXTERNAL_LOGGER, log_library, NULL, MHD_OPTION_NOTIFY_CONNECTION,
		on_connection, server, MHD_OPTION_NOTIFY_COMPLETED, on_completed, server,
		MHD_OPTION_CONNECTION_LIMIT, CROW_GUESTS_MAX, MHD_OPTION_CONNECTION_TIMEOUT, IDLE_S,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY_MAX,
		MHD_OPTION_UNESCAPE_CALLBACK, unescape, NULL, MHD_OPTION_END);
	return server->daemon;
}

static bool start_server(struct server *server)
{
	struct crow_loop *loop = server->http->house.loop;
	const union MHD_DaemonInfo *info;

	if (!start_daemon(server))
		return false;
	info = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	server->watch = (struct crow_watch){.fd = info ? info->epoll_fd : -1, .on_ready = on_ready};
	server->timer.on_due = on_due;
	server->patience.on_due = on_impatient;
	if (crow_loop_add(loop, &server->watch, EPOLLIN) == 0) {
		if (crow_listener_start(&server->listener, loop, on_accept) == 0)
			return true;
		crow_loop_remove(loop, &server->watch);
	}
	MHD_stop_daemon(server->daemon);
	server->daemon = NULL;
	return false;
}

bool crow_http_start(struct crow_http *http, const struct crow_http_house *house)
{
	http->house = *house;
	crow_site_init(&http->site, house->table, house->demand, house->context, crow_now_ns());
	http->site.health = house->health;
	http->site.follow = house->follow;
	if (house->publisher)
		http->site.given = crow_publisher_given(house->publisher);
	for (size_t i = 0; i < http->count; i++) {
		if (start_server(&http->servers[i]))
			continue;
		crow_log(CROW_LOG_ERROR, "cannot start the HTTP pages: %s", strerror(errno));
		return false;
	}
	return true;
}

/* The library does not stop while a connection is suspended. */
static void stop_server(struct server *server)
{
	struct crow_loop *loop = server->http->house.loop;

	crow_listener_close(&server->listener);
	if (!server->daemon)
		return;
	resume(server, INT64_MAX);
	crow_loop_remove(loop, &server->watch);
	crow_timer_clear(loop, &server->timer);
	crow_timer_clear(loop, &server->patience);
	MHD_stop_daemon(server->daemon);
}

void crow_http_free(struct crow_http *http)
{
	if (!http)
		return;
	for (size_t i = 0; i < http->count; i++)
		stop_server(&http->servers[i]);
	crow_site_fini(&http->site);
	free(http);
}
