/* Fetching: every way in which a server can answer, and not answer. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/discovery/fetch.h"
#include "daemon/discovery/poll.h"
#include "tests/unit/http_script.h"

/* Long enough never to end a fetch that is expected to be answered. */
#define PATIENT_MS 20000

static struct server server;
static struct crow_loop *loop;
static struct crow_hosts *hosts;
static const struct crow_listens nowhere;
static struct crow_fetcher *fetcher;

/* epoll_ctl(2) as the loop calls it: what was registered, and what was not there to be taken out. */
static unsigned registered, missed;

extern int __real_epoll_ctl(int epoll_fd, int operation, int fd, struct epoll_event *event);

int __wrap_epoll_ctl(int epoll_fd, int operation, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int epoll_fd, int operation, int fd, struct epoll_event *event)
{
	int result = __real_epoll_ctl(epoll_fd, operation, fd, event);

	registered += operation == EPOLL_CTL_ADD;
	missed += operation == EPOLL_CTL_DEL && result < 0;
	return result;
}

struct outcome {
	int calls;
	struct crow_fetch_answer answer;
	char *body; /* a copy */
};

static void on_done(void *context, const struct crow_fetch_answer *answer)
{
	struct outcome *outcome = context;

	outcome->calls++;
	outcome->answer = *answer;
	outcome->body = malloc(answer->size + 1);
	assert_non_null(outcome->body);
	memcpy(outcome->body, answer->body, answer->size);
	outcome->body[answer->size] = '\0';
	crow_loop_stop(loop);
}

static void on_never(void *context, const struct crow_fetch_answer *answer)
{
	(void)context;
	(void)answer;
	fail();
}

static struct outcome fetch_url(const char *url, uint32_t timeout_ms, size_t body_max)
{
	struct outcome outcome = {0};

	assert_non_null(crow_fetch_start(fetcher, url, timeout_ms, body_max, on_done, &outcome));
	assert_int_equal(outcome.calls, 0);
	crow_loop_run(loop);
	assert_int_equal(outcome.calls, 1);
	return outcome;
}

/* Fetches /x of a server that runs the script; the body is freed unless it is taken. */
static struct outcome fetch(server_script *script, uint32_t timeout_ms, size_t body_max)
{
	struct outcome outcome;
	char url[64];

	server_start(&server, script);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/x", server.port);
	outcome = fetch_url(url, timeout_ms, body_max);
	server_stop(&server);
	return outcome;
}

/* For tests that look at the body no more. */
static struct crow_fetch_answer fetch_answer(server_script *script, uint32_t timeout_ms)
{
	struct outcome outcome = fetch(script, timeout_ms, 1u << 20);

	free(outcome.body);
	return outcome.answer;
}

static int set_up(void **state)
{
	(void)state;
	loop = crow_loop_new();
	hosts = loop ? crow_hosts_new(loop, &nowhere) : NULL;
	fetcher = hosts ? crow_fetcher_new(loop, hosts) : NULL;
	return fetcher ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	crow_fetcher_free(fetcher);
	crow_hosts_free(hosts);
	crow_loop_free(loop);
	return 0;
}

/* ---- answers ---- */

static void script_ok(struct server *s, int fd, const char *request)
{
	(void)s;
	(void)request;
	server_answer(fd, "200 OK", "", "{\"a\":1}");
}

static void test_ok(void **state)
{
	struct outcome outcome = fetch(script_ok, PATIENT_MS, 100);

	(void)state;
	assert_int_equal(outcome.answer.end, CROW_FETCH_ANSWERED);
	assert_int_equal(outcome.answer.status, 200);
	assert_int_equal(outcome.answer.size, 7);
	assert_string_equal(outcome.body, "{\"a\":1}");
	assert_string_equal(outcome.answer.cause, "");
	assert_non_null(strstr(server.request, "GET /x HTTP/1.1\r\n"));
	assert_non_null(strstr(server.request, "User-Agent: crowfly/" CROW_VERSION "\r\n"));
	assert_non_null(strstr(server.request, "Accept-Encoding: gzip\r\n"));
	free(outcome.body);
}

static void script_missing(struct server *s, int fd, const char *request)
{
	(void)s;
	(void)request;
	server_answer(fd, "404 Not Found", "", "nobody here");
}

static void test_not_found(void **state)
{
	struct crow_fetch_answer answer = fetch_answer(script_missing, PATIENT_MS);

	(void)state;
	assert_int_equal(answer.end, CROW_FETCH_ANSWERED);
	assert_int_equal(answer.status, 404);
	assert_int_equal(answer.size, 0);
	assert_string_equal(answer.cause, "answered 404");
}

static void script_busy(struct server *s, int fd, const char *request)
{
	(void)s;
	(void)request;
	server_answer(fd, "503 Busy", "Retry-After: 7\r\n", "later");
}

/* RFC 9110 10.2.3: seconds, or a date, here one that has passed. */
static void script_busy_until_a_date(struct server *s, int fd, const char *request)
{
	(void)s;
	(void)request;
	server_answer(fd, "503 Busy", "Retry-After: Thu, 01 Jan 2026 00:00:00 GMT\r\n", "later");
}

static void script_busy_until_a_far_date(struct server *s, int fd, const char *request)
{
	(void)s;
	(void)request;
	server_answer(fd, "503 Busy", "Retry-After: Fri, 01 Jan 2100 00:00:00 GMT\r\n", "later");
}

static void test_retry_after(void **state)
{
	struct crow_fetch_answer answer = fetch_answer(script_busy, PATIENT_MS);

	(void)state;
	assert_int_equal(answer.status, 503);
	assert_int_equal(answer.retry_after_s, 7);
	assert_int_equal(fetch_answer(script_busy_until_a_date, PATIENT_MS).retry_after_s, 0);
	assert_true(fetch_answer(script_busy_until_a_far_date, PATIENT_MS).retry_after_s > 3600);
	assert_int_equal(fetch_answer(script_missing, PATIENT_MS).retry_after_s, 0);
}

static void script_redirect(struct server *s, int fd, const char *request)
{
	(void)s;
	(void)request;
	server_answer(fd, "302 Found", "Location: /elsewhere\r\n", "");
}

static void test_redirect_is_not_followed(void **state)
{
	struct crow_fetch_answer answer = fetch_answer(script_redirect, PATIENT_MS);

	(void)state;
	assert_int_equal(answer.status, 302);
	assert_int_equal(server.requests, 1);
	assert_non_null(strstr(answer.cause, "redirects are not followed"));
	assert_non_null(strstr(answer.cause, "/elsewhere"));
}

static void script_large_error(struct server *s, int fd, const char *request)
{
	char line[1024];

	(void)s;
	(void)request;
	memset(line, 'x', sizeof(line));
	server_say(fd, "HTTP/1.1 500 Sorry\r\n\r\n");
	while (server_send(fd, line, sizeof(line)))
		;
}

static void test_endless_error_is_an_answer(void **state)
{
	struct crow_fetch_answer answer = fetch_answer(script_large_error, PATIENT_MS);

	(void)state;
	assert_int_equal(answer.end, CROW_FETCH_ANSWERED);
	assert_int_equal(answer.status, 500);
	assert_string_equal(answer.cause, "answered 500");
}

/* ---- encodings ---- */

/* {"endpoints":{"items":[]}} by gzip(1) */
static const char gzipped[] =
	"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\x56\x4a\xcd\x4b\x29\xc8\xcf\xcc\x2b\x29\x56"
	"\xb2\xaa\x56\xca\x2c\x49\xcd\x05\x32\xa2\x63\x6b\x6b\x01\xa4\x30\x63\x15\x1a\x00\x00\x00";

static void script_gzip(struct server *s, int fd, const char *request)
{
	char head[128];

	(void)s;
	(void)request;
	snprintf(head, sizeof(head),
		 "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %zu\r\n\r\n",
		 sizeof(gzipped) - 1);
	server_say(fd, head);
	server_send(fd, gzipped, sizeof(gzipped) - 1);
}

static void test_gzip(void **state)
{
	struct outcome outcome = fetch(script_gzip, PATIENT_MS, 100);

	(void)state;
	assert_int_equal(outcome.answer.end, CROW_FETCH_ANSWERED);
	assert_string_equal(outcome.body, "{\"endpoints\":{\"items\":[]}}");
	free(outcome.body);
}

/* RFC 1951 3.2.6: with the fixed codes, 258 times the byte before are 13 bits: 11000101 00000.
 * Thirteen bytes hold eight such, 2064 bytes decoded; they may follow each other for ever. */
static void put_bits(uint8_t *bytes, size_t *at, const char *bits)
{
	for (; *bits; bits++, ++*at)
		if (*bits == '1')
			bytes[*at / 8] |= (uint8_t)(1u << (*at % 8));
}

static void script_bomb(struct server *s, int fd, const char *request)
{
	static const uint8_t head[10] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255};
	uint8_t bytes[13 * 64 + 2] = {0};
	size_t at = 0;

	(void)s;
	(void)request;
	server_say(fd, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n");
	server_send(fd, head, sizeof(head));
	/* A final block of fixed codes and its first literal, 0x00: 11 bits, of which the last three
	 * are zeros as are those of the pattern, so that from the second byte on it repeats. */
	put_bits(bytes, &at,
		 "1"
		 "10"
		 "00110000");
	for (int i = 0; i < 8 * 64; i++)
		put_bits(bytes, &at,
			 "11000101"
			 "00000");
	server_send(fd, bytes, 1);
	while (server_send(fd, bytes + 1, 13 * 63))
		;
}

static void test_gzip_bomb(void **state)
{
	struct outcome outcome = fetch(script_bomb, PATIENT_MS, CROW_POLL_BODY_MAX);

	(void)state;
	assert_int_equal(outcome.answer.end, CROW_FETCH_OVERSIZE);
	assert_string_equal(outcome.answer.cause, "the body is larger than 32 MiB");
	assert_int_equal(outcome.answer.size, 0);
	free(outcome.body);
}

static void script_encoded_twice(struct server *s, int fd, const char *request)
{
	(void)s;
	(void)request;
	server_answer(fd, "200 OK", "Content-Encoding: gzip, gzip\r\n", "x");
}

static void script_encoded_in_two_lines(struct server *s, int fd, const char *request)
{
	(void)s;
	(void)request;
	server_answer(fd, "200 OK", "Content-Encoding: gzip\r\ncontent-encoding: gzip\r\n", "x");
}

static void script_bad_gzip(struct server *s, int fd, const char *request)
{
	(void)s;
	(void)request;
	server_answer(fd, "200 OK", "Content-Encoding: gzip\r\n", "this is not gzip at all");
}

static void test_bad_encodings(void **state)
{
	struct crow_fetch_answer answer = fetch_answer(script_encoded_twice, PATIENT_MS);

	(void)state;
	assert_int_equal(answer.end, CROW_FETCH_GARBLED);
	assert_string_equal(answer.cause, "the body is encoded more than once");
	answer = fetch_answer(script_encoded_in_two_lines, PATIENT_MS);
	assert_int_equal(answer.end, CROW_FETCH_GARBLED);
	answer = fetch_answer(script_bad_gzip, PATIENT_MS);
	assert_int_equal(answer.end, CROW_FETCH_GARBLED);
	assert_true(answer.cause[0] != '\0');
}

/* ---- no end, or too early an end ---- */

static void script_endless_chunks(struct server *s, int fd, const char *request)
{
	(void)s;
	(void)request;
	server_say(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
	while (server_say(fd,
			  "40\r\n"
			  "0123456789012345678901234567890123456789012345678901234567890123\r\n"))
		;
}

static void test_endless_chunks(void **state)
{
	(void)state;
	assert_int_equal(fetch_answer(script_endless_chunks, PATIENT_MS).end, CROW_FETCH_OVERSIZE);
}

/* A byte now and then keeps the connection alive: only the deadline of the whole ends it. */
static void script_trickle(struct server *s, int fd, const char *request)
{
	(void)request;
	server_say(fd, "HTTP/1.1 200 OK\r\n\r\n");
	while (!s->ending && server_say(fd, " ") && !server_peer_gone(fd, 5))
		;
}

static void test_trickle_ends_by_the_deadline(void **state)
{
	struct crow_fetch_answer answer = fetch_answer(script_trickle, 150);

	(void)state;
	assert_int_equal(answer.end, CROW_FETCH_TIMEOUT);
	assert_string_equal(answer.cause, "no whole answer within 150 ms");
}

static void script_silence(struct server *s, int fd, const char *request)
{
	(void)request;
	while (!s->ending && !server_peer_gone(fd, 5))
		;
}

static void test_silence_ends_by_the_deadline(void **state)
{
	struct crow_fetch_answer answer = fetch_answer(script_silence, 150);

	(void)state;
	assert_int_equal(answer.end, CROW_FETCH_TIMEOUT);
	assert_string_equal(answer.cause, "no answer within 150 ms");
}

static void script_truncated(struct server *s, int fd, const char *request)
{
	(void)s;
	(void)request;
	server_say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"endpoints\"");
}

static void script_hangup(struct server *s, int fd, const char *request)
{
	(void)s;
	(void)fd;
	(void)request;
}

static void test_lost_connections(void **state)
{
	struct crow_fetch_answer answer = fetch_answer(script_truncated, PATIENT_MS);

	(void)state;
	assert_int_equal(answer.end, CROW_FETCH_CONNECT);
	assert_int_equal(answer.size, 0);
	assert_int_equal(fetch_answer(script_hangup, PATIENT_MS).end, CROW_FETCH_CONNECT);
}

static void script_no_http(struct server *s, int fd, const char *request)
{
	(void)s;
	(void)request;
	server_say(fd, "{\"endpoints\":{\"items\":[]}}\r\n\r\n");
}

static void test_http_0_9_is_refused(void **state)
{
	struct crow_fetch_answer answer = fetch_answer(script_no_http, PATIENT_MS);

	(void)state;
	assert_int_equal(answer.end, CROW_FETCH_GARBLED);
	assert_int_equal(answer.size, 0);
}

/* ---- no connection ---- */

/* A port on which nobody listens, and nobody will while `fd` is open. */
static uint16_t dead_port(int *fd)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);

	*fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(*fd, (struct sockaddr *)&address, length), 0);
	assert_int_equal(getsockname(*fd, (struct sockaddr *)&address, &length), 0);
	return ntohs(address.sin_port);
}

static void test_refused(void **state)
{
	struct outcome outcome;
	char url[64];
	int fd;

	(void)state;
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/", dead_port(&fd));
	outcome = fetch_url(url, PATIENT_MS, 100);
	assert_int_equal(outcome.answer.end, CROW_FETCH_CONNECT);
	assert_string_equal(outcome.answer.cause, "connection refused");
	free(outcome.body);
	close(fd);
}

static void expect_timeout(const char *url, const char *cause)
{
	struct outcome outcome = fetch_url(url, 20, 100);

	assert_string_equal(outcome.answer.cause, cause);
	free(outcome.body);
}

static void on_turn(struct crow_timer *timer, int64_t now_ns)
{
	if (registered > 0)
		crow_loop_stop(loop);
	else
		crow_timer_set(loop, timer, now_ns);
}

/* libcurl closes a socket that is still connecting before it says so. Whatever has the number by
 * then is not touched: all that is taken out of the loop is still in it. */
static void test_sockets_that_never_connected(void **state)
{
	struct crow_timer turn = {.on_due = on_turn};
	struct crow_fetch *fetch;
	char url[64];
	int fd;

	(void)state;
	/* The kernel takes one connection more than it is told, and answers no other SYN. */
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/", dead_port(&fd));
	assert_int_equal(listen(fd, 0), 0);
	expect_timeout(url, "no answer within 20 ms");
	missed = 0;
	expect_timeout(url, "no connection within 20 ms");
	assert_int_equal(missed, 0);

	registered = 0;
	fetch = crow_fetch_start(fetcher, url, PATIENT_MS, 100, on_never, NULL);
	crow_timer_set(loop, &turn, 0);
	crow_loop_run(loop);
	crow_fetch_cancel(fetch);
	assert_int_equal(missed, 0);
	close(fd);
}

static void test_proxy_variables_are_ignored(void **state)
{
	static const char *const names[] = {"http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"};
	char proxy[64];
	int fd;

	(void)state;
	snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%u", dead_port(&fd));
	for (size_t i = 0; i < 4; i++)
		setenv(names[i], proxy, 1);
	assert_int_equal(fetch_answer(script_ok, PATIENT_MS).status, 200);
	for (size_t i = 0; i < 4; i++)
		unsetenv(names[i]);
	close(fd);
}

static void test_no_descriptors_left(void **state)
{
	struct rlimit limit, none;
	struct outcome outcome;
	char url[64];

	(void)state;
	server_start(&server, script_ok);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/", server.port);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	outcome = fetch_url(url, PATIENT_MS, 100);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(outcome.answer.end, CROW_FETCH_CONNECT);
	assert_string_equal(outcome.answer.cause, "too many open files");
	free(outcome.body);
	/* And it goes on as soon as there are some. */
	outcome = fetch_url(url, PATIENT_MS, 100);
	assert_int_equal(outcome.answer.status, 200);
	free(outcome.body);
	server_stop(&server);
}

/* One descriptor for the socket, and none to watch it by. */
static void test_one_descriptor_left(void **state)
{
	struct rlimit limit, one;
	struct outcome outcome;
	char url[64];
	int fd, next;

	(void)state;
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/", dead_port(&fd));
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	next = dup(fd);
	close(next);
	one = limit;
	one.rlim_cur = (rlim_t)next + 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &one), 0);
	outcome = fetch_url(url, 20, 100);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(outcome.answer.end, CROW_FETCH_TIMEOUT);
	assert_string_equal(outcome.answer.cause, "too many open files");
	free(outcome.body);
	close(fd);
}

/* ---- hosts with a name ---- */

static struct crow_fetch_answer fetch_host(const char *host, uint32_t timeout_ms)
{
	char url[64];
	struct outcome outcome;

	server_start(&server, script_ok);
	snprintf(url, sizeof(url), "http://%s:%u/x", host, server.port);
	outcome = fetch_url(url, timeout_ms, 100);
	server_stop(&server);
	free(outcome.body);
	return outcome.answer;
}

/* RFC 6761 6.3: whatever /etc/hosts says. */
static void test_a_host_by_name(void **state)
{
	struct crow_fetch_answer answer = fetch_host("localhost", PATIENT_MS);

	(void)state;
	assert_int_equal(answer.end, CROW_FETCH_ANSWERED);
	assert_int_equal(answer.status, 200);
	assert_non_null(strstr(server.request, "Host: localhost:"));
}

static void use_upstream(uint16_t port)
{
	struct crow_listen at = {.addr = crow_addr_v4("\x7f\0\0\1"), .port = port};
	struct crow_listens servers = {&at, port != 0};
	struct crow_upstreams *upstreams = crow_upstreams_new(&servers, &nowhere, NULL);

	crow_hosts_use(hosts, upstreams);
	crow_upstreams_release(upstreams);
}

static void test_nobody_to_ask_for_a_host(void **state)
{
	struct crow_fetch_answer answer;

	(void)state;
	use_upstream(0);
	answer = fetch_host("eas.example", PATIENT_MS);
	assert_int_equal(answer.end, CROW_FETCH_CONNECT);
	assert_non_null(strstr(answer.cause, "eas.example"));
	assert_non_null(strstr(answer.cause, "no upstream is left to ask"));
}

/* A socket that is never read from: the time-out is that of the whole transfer. */
static void test_a_silent_name_server(void **state)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(at);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct crow_fetch_answer answer;

	(void)state;
	assert_int_equal(bind(fd, (struct sockaddr *)&at, size), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
	use_upstream(ntohs(at.sin_port));
	answer = fetch_host("eas.example", 50);
	assert_int_equal(answer.end, CROW_FETCH_TIMEOUT);
	assert_non_null(strstr(answer.cause, "cannot look up eas.example: no answer"));
	assert_non_null(strstr(answer.cause, "asked 127.0.0.1:"));
	close(fd);
}

static void test_other_protocols_are_refused(void **state)
{
	struct outcome outcome = fetch_url("file:///etc/hostname", PATIENT_MS, 100);

	(void)state;
	assert_int_equal(outcome.answer.size, 0);
	assert_int_not_equal(outcome.answer.end, CROW_FETCH_ANSWERED);
	free(outcome.body);
}

/* ---- several ---- */

static void script_by_path(struct server *s, int fd, const char *request)
{
	if (strncmp(request, "GET /slow", 9) == 0)
		script_silence(s, fd, request);
	else
		script_ok(s, fd, request);
}

static void test_cancel_beside_others(void **state)
{
	struct crow_fetch *slow[8];
	char url[64];

	(void)state;
	server_start(&server, script_by_path);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/slow", server.port);
	for (size_t i = 0; i < 8; i++) {
		slow[i] = crow_fetch_start(fetcher, url, PATIENT_MS, 100, on_never, NULL);
		assert_non_null(slow[i]);
	}
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/quick", server.port);
	for (int i = 0; i < 3; i++) {
		struct outcome outcome = fetch_url(url, PATIENT_MS, 100);

		assert_int_equal(outcome.answer.status, 200);
		free(outcome.body);
	}
	for (size_t i = 0; i < 8; i++)
		crow_fetch_cancel(slow[i]);
	server_stop(&server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_ok, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_not_found, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_retry_after, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_redirect_is_not_followed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_endless_error_is_an_answer, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_gzip, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_gzip_bomb, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bad_encodings, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_endless_chunks, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_trickle_ends_by_the_deadline, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_silence_ends_by_the_deadline, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_lost_connections, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_http_0_9_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_sockets_that_never_connected, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_proxy_variables_are_ignored, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_no_descriptors_left, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_one_descriptor_left, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_host_by_name, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_nobody_to_ask_for_a_host, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_silent_name_server, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_other_protocols_are_refused, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_cancel_beside_others, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
