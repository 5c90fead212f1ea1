/*
 * The HTTP face over real sockets. The client is a thread, the loop is this one: the loop ends when
 * the client is done, and only then the replies are looked at.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/counters.h"
#include "daemon/http/guest.h"
#include "daemon/http/http.h"
#include "tests/unit/fixture.h"

#define REPLY_MAX 65536

struct site {
	struct fixture fixture;
	struct crow_loop *loop;
	struct crow_publisher *publisher;
	struct crow_listen listen_on;
	struct crow_http *http;
	char wanted[CROW_NAME_MAX + 1]; /* the last name asked for on demand */
	const struct rlimit *starve;    /* set once the client has its socket; NULL: not at all */
};

/* An address of this process alone (127/8 is all loopback) and a port that is free there. */
static struct sockaddr_in free_address(void)
{
	uint32_t host = 0x7f000000u | 0x400000u | ((uint32_t)getpid() & 0x3fffffu);
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(host)};
	socklen_t length = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &length), 0);
	close(fd);
	return sa;
}

static struct crow_http *bind_at(struct crow_listen *listen_on, char complaint[256])
{
	struct crow_config config = {.http_listen = {listen_on, 1}};

	complaint[0] = '\0';
	return crow_http_bind(&config, NULL, complaint, 256);
}

static void on_demand(void *context, const char *name)
{
	struct site *site = context;

	snprintf(site->wanted, sizeof(site->wanted), "%s", name);
}

static int open_site(void **state)
{
	struct site *site = calloc(1, sizeof(*site));
	struct sockaddr_in sa = free_address();
	char complaint[256];

	fixture_init(&site->fixture, FIXTURE_CONFIG);
	site->loop = crow_loop_new();
	site->publisher = crow_publisher_new(site->loop, &site->fixture.table, NULL, NULL, NULL);
	crow_publisher_flush(site->publisher);
	site->listen_on.addr = crow_addr_v4(&sa.sin_addr);
	site->listen_on.port = ntohs(sa.sin_port);
	site->http = bind_at(&site->listen_on, complaint);
	assert_string_equal(complaint, "");
	assert_true(crow_http_start(site->http, &(struct crow_http_house){
							.loop = site->loop,
							.publisher = site->publisher,
							.table = &site->fixture.table,
							.demand = on_demand,
							.context = site,
						}));
	*state = site;
	return 0;
}

static int close_site(void **state)
{
	struct site *site = *state;

	crow_http_free(site->http);
	crow_publisher_free(site->publisher);
	crow_loop_free(site->loop);
	fixture_fini(&site->fixture);
	free(site);
	return 0;
}

/* ---- the client ---- */

/* Connections that send nothing, more than are served at once. */
#define IDLE_MAX (CROW_GUESTS_MAX + 6)

/* Written by the client thread until it writes to `done`; read by the test after joining it. */
struct client {
	void (*script)(struct client *client);
	struct sockaddr_storage server;
	socklen_t server_length;
	const char *request;
	size_t idle; /* how many idle connections are opened before, and closed while it waits */
	const struct rlimit *starve;
	char reply[REPLY_MAX];
	int done;
	struct crow_watch watch;
	struct crow_loop *loop;
};

static int connect_to(const struct client *client)
{
	int fd = socket(client->server.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (client->starve)
		setrlimit(RLIMIT_NOFILE, client->starve);
	if (connect(fd, (const struct sockaddr *)&client->server, client->server_length) != 0)
		abort();
	return fd;
}

/* Until the server closes: every request here says that it should. */
static void read_reply(struct client *client, int fd)
{
	size_t size = 0;
	ssize_t got;

	while ((got = recv(fd, client->reply + size, REPLY_MAX - 1 - size, 0)) > 0)
		size += (size_t)got;
	client->reply[size] = '\0';
}

static void send_request(const struct client *client, int fd)
{
	if (send(fd, client->request, strlen(client->request), MSG_NOSIGNAL) < 0)
		abort();
}

/* One exchange, among connections that are idle. */
static void ask_once(struct client *client)
{
	int idle[IDLE_MAX], fd;

	for (size_t i = 0; i < client->idle; i++)
		idle[i] = connect_to(client);
	fd = connect_to(client);
	send_request(client, fd);
	for (size_t i = 0; i < client->idle; i++)
		close(idle[i]);
	read_reply(client, fd);
	close(fd);
}

static void *run_client(void *context)
{
	struct client *client = context;
	uint64_t one = 1;

	client->script(client);
	if (write(client->done, &one, sizeof(one)) != sizeof(one))
		abort();
	return NULL;
}

static void on_done(struct crow_watch *watch, uint32_t events)
{
	struct client *client = crow_container(watch, struct client, watch);

	(void)events;
	crow_loop_stop(client->loop);
}

/* The loop runs until the client's script has ended. */
static void run_script(struct site *site, struct client *client)
{
	pthread_t thread;

	client->loop = site->loop;
	client->starve = site->starve;
	client->server_length = crow_addr_to_sockaddr(&site->listen_on.addr, site->listen_on.port,
						      AF_INET, &client->server);
	client->done = eventfd(0, EFD_CLOEXEC);
	client->watch = (struct crow_watch){.fd = client->done, .on_ready = on_done};
	assert_int_equal(crow_loop_add(site->loop, &client->watch, EPOLLIN), 0);
	assert_int_equal(pthread_create(&thread, NULL, run_client, client), 0);
	crow_loop_run(site->loop);
	assert_int_equal(pthread_join(thread, NULL), 0);
	crow_loop_remove(site->loop, &client->watch);
	close(client->done);
}

static void exchange_with_idle(struct site *site, const char *request, size_t idle, char *reply)
{
	struct client client = {.script = ask_once, .request = request, .idle = idle};

	run_script(site, &client);
	memcpy(reply, client.reply, REPLY_MAX);
}

static void exchange(struct site *site, const char *request, char *reply)
{
	exchange_with_idle(site, request, 0, reply);
}

static void assert_status(const char *reply, const char *status)
{
	if (strncmp(reply, "HTTP/1.1 ", 9) != 0 || strncmp(reply + 9, status, 3) != 0)
		fail_msg("not %s: %s", status, reply);
}

static void assert_holds(const char *reply, const char *text)
{
	if (!strstr(reply, text))
		fail_msg("no \"%s\" in: %s", text, reply);
}

static const char *body(const char *reply)
{
	const char *end = strstr(reply, "\r\n\r\n");

	assert_non_null(end);
	return end + 4;
}

#define CLOSE "Connection: close\r\n\r\n"

/* ---- requests ---- */

static void test_health(void **state)
{
	char reply[REPLY_MAX];

	exchange(*state, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n" CLOSE, reply);
	assert_status(reply, "200");
	assert_string_equal(body(reply), "ok\n");
	assert_holds(reply, "Cache-Control: no-store\r\n");
	assert_holds(reply, "X-Content-Type-Options: nosniff\r\n");
	assert_holds(reply, "Content-Type: text/plain; charset=utf-8\r\n");
	exchange(*state, "GET /healthz?verbose HTTP/1.1\r\nHost: localhost\r\n" CLOSE, reply);
	assert_status(reply, "200");
}

static void test_status(void **state)
{
	char reply[REPLY_MAX];

	exchange(*state, "GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\n" CLOSE, reply);
	assert_status(reply, "200");
	assert_holds(reply, "Content-Type: application/json\r\n");
	assert_holds(body(reply), "\"services\":[{\"name\":\"one\"");
	assert_holds(body(reply), "\"name\":\"two_b\"");
}

static void test_head_has_no_body(void **state)
{
	char reply[REPLY_MAX];

	exchange(*state, "HEAD /healthz HTTP/1.1\r\nHost: localhost\r\n" CLOSE, reply);
	assert_status(reply, "200");
	assert_holds(reply, "Content-Length: 3\r\n");
	assert_string_equal(body(reply), "");
}

/* The head of a reply without its Date, which may be of another second. */
static void copy_head(const char *reply, char *out)
{
	const char *date = strstr(reply, "Date: ");
	size_t before;

	assert_non_null(date);
	before = (size_t)(date - reply);
	memcpy(out, reply, before);
	strcpy(out + before, strchr(date, '\n') + 1);
	*strstr(out, "\r\n\r\n") = '\0';
}

static void test_head_has_the_same_head(void **state)
{
	static const char *const paths[] = {"/", "/metrics", "/readyz", "/nothing",
					    "/api/v1/servicediscovery/upstreams/one"};
	char request[256], reply[REPLY_MAX], get[REPLY_MAX], head[REPLY_MAX];

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: localhost\r\n" CLOSE,
			 paths[i]);
		exchange(*state, request, reply);
		copy_head(reply, get);
		snprintf(request, sizeof(request), "HEAD %s HTTP/1.1\r\nHost: localhost\r\n" CLOSE,
			 paths[i]);
		exchange(*state, request, reply);
		copy_head(reply, head);
		*strstr(get, "Content-Length: ") = '\0'; /* the last but those of the connection */
		*strstr(head, "Content-Length: ") = '\0';
		assert_string_equal(head, get);
		assert_string_equal(body(reply), "");
	}
}

static void test_other_methods(void **state)
{
	static const char *const requests[] = {
		("POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n" CLOSE "body"),
		("PUT /healthz HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n" CLOSE
		 "4\r\nbody\r\n0\r\n\r\n"),
		("DELETE / HTTP/1.1\r\nHost: localhost\r\n" CLOSE),
	};
	char reply[REPLY_MAX];

	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		exchange(*state, requests[i], reply);
		assert_status(reply, "405");
		assert_holds(reply, "Allow: GET, HEAD\r\n");
	}
}

static void test_unknown_path(void **state)
{
	char reply[REPLY_MAX];

	exchange(*state, "GET /nothing HTTP/1.1\r\nHost: localhost\r\n" CLOSE, reply);
	assert_status(reply, "404");
	assert_holds(body(reply), "there is no such page; there are: ");
	assert_holds(body(reply), " /api/v1/status ");
	assert_int_equal(reply[strlen(reply) - 1], '\n');
}

/* DNS rebinding: a page of somebody's whose name leads to 127.0.0.1. */
static void test_host(void **state)
{
	static const struct {
		const char *host, *status;
	} cases[] = {
		{"localhost", "200"},
		{"LocalHost:9550", "200"},
		{"127.0.0.1:9550", "200"},
		{"10.1.2.3", "200"},
		{"[::1]", "200"},
		{"[::1]:9550", "200"},
		{"evil.example", "421"},
		{"localhost.evil:80", "421"},
		{"127.0.0.1.evil", "421"},
		{"[::1.evil]", "421"},
		{"[::1", "421"},
		{"[::1]evil.example", "421"},
		{"[]", "421"},
		{"[", "421"},
		{"::1", "421"},
		{"a-name-that-is-longer-than-any-address-could-ever-become.example", "421"},
	};
	char request[256], reply[REPLY_MAX];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(request, sizeof(request), "GET /healthz HTTP/1.1\r\nHost: %s\r\n" CLOSE,
			 cases[i].host);
		exchange(*state, request, reply);
		assert_status(reply, cases[i].status);
	}
	exchange(*state, "GET /healthz HTTP/1.0\r\n\r\n", reply);
	assert_holds(reply, " 200 OK\r\n");
}

static void test_two_requests_on_a_connection(void **state)
{
	char reply[REPLY_MAX];

	exchange(*state,
		 "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
		 "GET /nothing HTTP/1.1\r\nHost: localhost\r\n" CLOSE,
		 reply);
	assert_status(reply, "200");
	assert_holds(reply, "ok\nHTTP/1.1 404");
}

static void test_what_is_no_request(void **state)
{
	char reply[REPLY_MAX], request[40000];

	exchange(*state, "\x16\x03\x01 nonsense\r\n\r\n", reply);
	memset(request, 'x', sizeof(request));
	memcpy(request, "GET /", 5);
	strcpy(request + sizeof(request) - 14, " HTTP/1.1\r\n\r\n");
	exchange(*state, request, reply); /* longer than a connection's memory */
	assert_true(strncmp(reply, "HTTP/1.1 2", 10) != 0);
	exchange(*state, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n" CLOSE, reply);
	assert_status(reply, "200");
}

static void test_more_connections_than_are_served(void **state)
{
	char reply[REPLY_MAX];

	/* Several times: whether the last of them end in one run is a matter of luck. */
	for (int i = 0; i < 10; i++) {
		exchange_with_idle(*state, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n" CLOSE,
				   IDLE_MAX, reply);
		assert_status(reply, "200");
	}
}

/* ---- who makes room ---- */

/* Whether the server closed it; nothing was asked there, so that nothing else can come. */
static bool is_closed(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
}

/* All places are taken by connections that stay, and say nothing: `idle` of them are closed by the
 * server in the end. */
static void ask_in_a_full_house(struct client *client)
{
	int idle[CROW_GUESTS_MAX], fd;

	for (size_t i = 0; i < CROW_GUESTS_MAX; i++)
		idle[i] = connect_to(client);
	fd = connect_to(client);
	send_request(client, fd);
	read_reply(client, fd);
	close(fd);
	client->idle = 0;
	for (size_t i = 0; i < CROW_GUESTS_MAX; i++) {
		client->idle += is_closed(idle[i]);
		close(idle[i]);
	}
}

static void test_who_says_nothing_keeps_nobody_out(void **state)
{
	struct client client = {
		.script = ask_in_a_full_house,
		.request = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n" CLOSE,
	};
	uint64_t before = crow_counters.http_yielded;

	run_script(*state, &client);
	assert_status(client.reply, "200");
	assert_int_equal(client.idle, 1);
	assert_int_equal(crow_counters.http_yielded - before, 1);
}

static size_t read_all(int fd)
{
	char bytes[65536];
	size_t size = 0;
	ssize_t got;

	while ((got = recv(fd, bytes, sizeof(bytes), 0)) > 0)
		size += (size_t)got;
	close(fd);
	return size;
}

/* Three ask for the same, and the first two do not read until the third has. */
struct readers {
	struct client client;
	size_t got[3];
};

static void read_last_first(struct client *client)
{
	struct readers *readers = crow_container(client, struct readers, client);
	int fds[3], small = 4096;
	char byte;

	for (int i = 0; i < 3; i++) {
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		/* So that the kernel takes but a part of the answer off the server's hands. */
		setsockopt(fds[i], SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
		if (connect(fds[i], (struct sockaddr *)&client->server, client->server_length) != 0)
			abort();
		send_request(client, fds[i]);
		if (i < 2 && recv(fds[i], &byte, 1, MSG_PEEK) != 1)
			abort();
	}
	for (int i = 2; i >= 0; i--)
		readers->got[i] = read_all(fds[i]);
}

static double hundred(unsigned i)
{
	(void)i;
	return 100;
}

static void test_who_reads_slowly_keeps_nobody_out(void **state)
{
	struct site *site = *state;
	struct readers readers = {
		.client.script = read_last_first,
		.client.request = "GET /api/v1/servicediscovery/upstreams/one HTTP/1.1\r\n"
				  "Host: localhost\r\n" CLOSE,
	};
	uint64_t before = crow_counters.http_yielded;

	/* 100,000 instances are 6 MB of JSON: there is room for two such lists. */
	fixture_take_many(&site->fixture, "one", 100000, hundred);
	crow_publisher_schedule(site->publisher);
	crow_publisher_flush(site->publisher);
	crow_http_narrow(site->http, 0, (size_t)14 << 20);
	run_script(site, &readers.client);
	assert_true(readers.got[2] > (size_t)5 << 20);
	assert_int_equal(readers.got[1], readers.got[2]);
	assert_true(readers.got[0] < readers.got[2]);
	assert_int_equal(crow_counters.http_yielded - before, 1);
}

/* A head that does not come to its end: the connection does. */
static void test_slow_client(void **state)
{
	struct site *site = *state;
	uint64_t before = crow_counters.http_slow;
	char reply[REPLY_MAX];

	crow_http_hurry(site->http, 1000000);
	exchange(site, "GET /healthz HTTP/1.1\r\nHost: local", reply);
	assert_string_equal(reply, "");
	assert_int_equal(crow_counters.http_slow - before, 1);
}

/* Gives the descriptors back once somebody had to wait for one. */
struct famine {
	struct crow_timer timer;
	struct crow_loop *loop;
	struct rlimit limit;
	uint64_t before;
};

static void on_famine(struct crow_timer *timer, int64_t now_ns)
{
	struct famine *famine = crow_container(timer, struct famine, timer);

	if (crow_counters.http_unaccepted == famine->before)
		crow_timer_set(famine->loop, timer, now_ns + 20000000);
	else
		setrlimit(RLIMIT_NOFILE, &famine->limit);
}

/* A socket that stays ready must not be asked again and again: one failure, then a rest. */
static void test_no_descriptor_left(void **state)
{
	struct site *site = *state;
	struct famine famine = {
		.timer.on_due = on_famine,
		.loop = site->loop,
		.before = crow_counters.http_unaccepted,
	};
	struct rlimit none;
	char reply[REPLY_MAX];

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &famine.limit), 0);
	none = famine.limit;
	none.rlim_cur = 0;
	crow_timer_set(site->loop, &famine.timer, crow_now_ns() + 20000000);
	site->starve = &none;
	exchange(site, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n" CLOSE, reply);
	assert_status(reply, "200");
	assert_int_equal(crow_counters.http_unaccepted - famine.before, 1);
}

/* ---- binding ---- */

static void test_address_in_use(void **state)
{
	struct site *site = *state;
	char complaint[256], endpoint[CROW_ENDPOINT_TEXT];

	crow_addr_format(&site->listen_on.addr, site->listen_on.port, endpoint);
	assert_null(bind_at(&site->listen_on, complaint));
	assert_holds(complaint, endpoint);
	assert_holds(complaint, "another program listens there");
}

/* Bound, then given up before it served anyone: its port is free again. */
static void test_free_before_start(void **state)
{
	struct sockaddr_in sa = free_address();
	struct crow_listen listen_on = {crow_addr_v4(&sa.sin_addr), ntohs(sa.sin_port)};
	char complaint[256];

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct crow_http *http = bind_at(&listen_on, complaint);

		assert_non_null(http);
		crow_http_free(http);
	}
	crow_http_free(NULL);
}

static void test_no_address(void **state)
{
	struct crow_config config = {0};
	char complaint[256] = "";
	struct crow_http *http = crow_http_bind(&config, NULL, complaint, sizeof(complaint));

	(void)state;
	assert_non_null(http);
	assert_true(crow_http_start(http, &(struct crow_http_house){.loop = NULL}));
	crow_http_free(http);
}

int main(void)
{
#define SITE_TEST(test) cmocka_unit_test_setup_teardown(test, open_site, close_site)
	const struct CMUnitTest tests[] = {
		SITE_TEST(test_health),
		SITE_TEST(test_status),
		SITE_TEST(test_head_has_no_body),
		SITE_TEST(test_head_has_the_same_head),
		SITE_TEST(test_other_methods),
		SITE_TEST(test_unknown_path),
		SITE_TEST(test_host),
		SITE_TEST(test_two_requests_on_a_connection),
		SITE_TEST(test_what_is_no_request),
		SITE_TEST(test_more_connections_than_are_served),
		SITE_TEST(test_who_says_nothing_keeps_nobody_out),
		SITE_TEST(test_who_reads_slowly_keeps_nobody_out),
		SITE_TEST(test_slow_client),
		SITE_TEST(test_no_descriptor_left),
		SITE_TEST(test_address_in_use),
		cmocka_unit_test(test_free_before_start),
		cmocka_unit_test(test_no_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
