/* The life of TCP connections to the responder, by a clock that the tests move. They ask what needs
 * no image and no upstream: the answer is NOTIMP. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/counters.h"
#include "daemon/dns/tcp.h"
#include "daemon/dns/wait.h"
#include "tests/unit/fixture.h"

#define SECOND_NS INT64_C(1000000000)

/* The clock of this program. Far ahead of the kernel's, whose timerfd so never ends a wait. */
static int64_t now_ns;

int clock_gettime(clockid_t id, struct timespec *ts)
{
	(void)id;
	ts->tv_sec = (time_t)(now_ns / SECOND_NS);
	ts->tv_nsec = (long)(now_ns % SECOND_NS);
	return 0;
}

static struct fixture f;
static struct crow_loop *loop;
static struct crow_publisher *publisher;
static struct crow_responder responder;
static struct crow_gate gate;
static struct crow_tcp *tcp;
static struct crow_tcp_listener listener;
static struct sockaddr_in at;

/* Sizes given, or the kernel lets buffers grow while they are full. */
static void bound_buffers(int fd)
{
	int size = 1 << 16;

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)), 0);
}

static int open_listener(void)
{
	socklen_t size = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	at = (struct sockaddr_in){.sin_family = AF_INET};
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, size), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
	bound_buffers(fd); /* which those accepted inherit */
	assert_int_equal(listen(fd, 256), 0);
	return fd;
}

static void setup_with(const char *config)
{
	now_ns = INT64_C(1000000000) * SECOND_NS;
	fixture_init(&f, config);
	loop = crow_loop_new();
	publisher = crow_publisher_new(loop, &f.table, NULL, NULL, NULL);
	responder = (struct crow_responder){0};
	responder.waits.items = calloc(CROW_WAITS_MAX, sizeof(struct crow_wait));
	crow_responder_init(&responder, loop, publisher, NULL);
	assert_true(crow_gate_configure(&gate, f.config));
	crow_gate_update(&gate);
	tcp = crow_tcp_new(&responder, &gate, loop);
	listener = (struct crow_tcp_listener){.watch.fd = open_listener()};
	assert_int_equal(crow_tcp_listen(tcp, &listener), 0);
}

static int setup(void **state)
{
	(void)state;
	setup_with(FIXTURE_CONFIG);
	return 0;
}

/* With an image, so that a query may have to wait. */
static int setup_on_demand(void **state)
{
	(void)state;
	setup_with("[source s]\nendpoint=http://127.0.0.1:1\nservices=*\nzone=d.test\n");
	responder.waits.runtime_dir = "/nonexistent";
	crow_publisher_flush(publisher);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	crow_tcp_free(tcp);
	crow_loop_remove(loop, &listener.watch);
	close(listener.watch.fd);
	crow_gate_fini(&gate);
	gate = (struct crow_gate){0};
	free(responder.waits.items);
	crow_publisher_free(publisher);
	crow_loop_free(loop);
	fixture_fini(&f);
	return 0;
}

/* ---- time ---- */

static void on_turn(struct crow_timer *timer, int64_t due_ns)
{
	(void)timer;
	(void)due_ns;
	crow_loop_stop(loop);
}

/* Everything that is ready or due. A turn delivers 64 events, an accept makes one more, and timers
 * set in one turn are due in the next. */
static void settle(void)
{
	struct crow_timer turn = {.on_due = on_turn};

	for (int i = 0; i < 8; i++) {
		crow_timer_set(loop, &turn, 1);
		crow_loop_run(loop);
	}
}

static void pass(int64_t ns)
{
	now_ns += ns;
	settle();
}

/* ---- clients ---- */

static int client(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	bound_buffers(fd);
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	settle();
	return fd;
}

/* A header with opcode 4, in its frame. */
static const uint8_t query[] = {0, 12, 0, 7, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0};

static void send_bytes(int fd, const uint8_t *bytes, size_t size)
{
	assert_int_equal(send(fd, bytes, size, MSG_NOSIGNAL), size);
	settle();
}

static void expect_reply(int fd)
{
	uint8_t reply[64];

	assert_int_equal(recv(fd, reply, sizeof(reply), MSG_DONTWAIT), sizeof(query));
	assert_int_equal(reply[3], 7);
	assert_int_equal(reply[5] & 15, 4);
}

static bool is_open(int fd)
{
	char byte;
	ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK);

	assert_true(n <= 0);
	return n < 0 && errno == EAGAIN;
}

/* Open for one moment less than that, and closed then. */
static void expect_end_after(int fd, int64_t ns)
{
	uint64_t closed = crow_counters.dns_tcp_closed_idle;

	pass(ns - 1);
	assert_true(is_open(fd));
	assert_int_equal(crow_counters.dns_tcp_closed_idle, closed);
	pass(1);
	assert_false(is_open(fd));
	assert_int_equal(crow_counters.dns_tcp_closed_idle, closed + 1);
}

static void test_30_an_idle_connection_is_closed_after_10_s(void **state)
{
	int fd = client();

	(void)state;
	expect_end_after(fd, 10 * SECOND_NS);
	close(fd);
}

static void test_30_a_query_starts_them_anew(void **state)
{
	int fd = client();

	(void)state;
	pass(9 * SECOND_NS);
	send_bytes(fd, query, sizeof(query));
	expect_reply(fd);
	expect_end_after(fd, 10 * SECOND_NS);
	close(fd);
}

static void test_30_a_query_that_stops_halfway_is_given_2_s(void **state)
{
	int fd = client();

	(void)state;
	pass(3 * SECOND_NS);
	send_bytes(fd, query, sizeof(query) - 1);
	expect_end_after(fd, 2 * SECOND_NS);
	close(fd);
}

static void test_30_a_length_that_stops_halfway_is_given_2_s(void **state)
{
	int fd = client();

	(void)state;
	send_bytes(fd, query, 1);
	expect_end_after(fd, 2 * SECOND_NS);
	close(fd);
}

static void test_30_a_query_in_time_is_answered(void **state)
{
	int fd = client();

	(void)state;
	send_bytes(fd, query, 9);
	pass(2 * SECOND_NS - 1);
	send_bytes(fd, query + 9, sizeof(query) - 9);
	expect_reply(fd);
	expect_end_after(fd, 10 * SECOND_NS);
	close(fd);
}

/* A byte now and then holds a slot for as long as silence does, and no longer. */
static void test_30_a_trickle_is_closed_after_10_s(void **state)
{
	int fd = client();

	(void)state;
	for (int i = 0; i < 9; i++) {
		send_bytes(fd, query + i, 1);
		pass(SECOND_NS);
		assert_true(is_open(fd));
	}
	send_bytes(fd, query + 9, 1);
	expect_end_after(fd, SECOND_NS);
	close(fd);
}

/* Replies that nobody reads: the socket's buffers fill, then ours, and no byte leaves any more. */
static void test_30_a_client_that_reads_nothing_is_closed(void **state)
{
	static uint8_t queries[sizeof(query) << 10];
	const int flags = MSG_NOSIGNAL | MSG_DONTWAIT;
	int fd = client();
	size_t from = 0;
	ssize_t n;

	(void)state;
	for (size_t i = 0; i < sizeof(queries); i++)
		queries[i] = query[i % sizeof(query)];
	while ((n = send(fd, queries + from, sizeof(queries) - from, flags)) > 0) {
		from = (from + (size_t)n) % sizeof(queries);
		settle();
	}
	assert_int_equal(errno, EAGAIN);
	settle();
	pass(10 * SECOND_NS - 1);
	assert_int_equal(send(fd, query, 1, flags), -1);
	assert_int_equal(errno, EAGAIN);
	pass(1);
	assert_int_equal(send(fd, query, 1, flags), -1);
	assert_int_not_equal(errno, EAGAIN);
	close(fd);
}

static size_t read_all(int fd)
{
	static uint8_t bytes[1 << 16];
	size_t size = 0;
	ssize_t n;

	while ((n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
		size += (size_t)n;
	return size;
}

#define BURST 500
#define LATE  4

/* Where buffers are full, the kernel drops segments and sends them again, by its own clock. */
#define ROUNDS   5000
#define ROUND_US 1000

static void wait_arrival(int fd)
{
	int on_the_way = 1;

	for (int i = 0; i < ROUNDS && on_the_way > 0; i++) {
		assert_int_equal(ioctl(fd, SIOCOUTQ, &on_the_way), 0);
		if (on_the_way > 0)
			usleep(ROUND_US);
	}
	assert_int_equal(on_the_way, 0);
	settle();
}

/* Bursts of queries until we read one and have no room for all of its replies; returns how many. */
static size_t send_until_full(int fd)
{
	uint8_t burst[BURST * sizeof(query)];
	uint64_t answered = crow_counters.dns_queries_tcp;
	size_t sent = 0;

	for (size_t i = 0; i < sizeof(burst); i++)
		burst[i] = query[i % sizeof(query)];
	while (crow_counters.dns_queries_tcp == answered + sent) {
		send_bytes(fd, burst, sizeof(burst));
		wait_arrival(fd);
		sent += BURST;
	}
	return sent;
}

/* The client reads at last, and before we learn of that replies come that were waited for. They must
 * not take along all that had no room, or nothing would call us for the queries that were read. */
static void test_28_late_replies_leave_no_query_behind(void **state)
{
	/* For A of x.d.test, which discovery has to be asked for. */
	static const uint8_t waiting[] = {0, 26,  0, 9,   1, 0,   0,   1,   0,   0, 0, 0, 0, 0,
					  1, 'x', 1, 'd', 4, 't', 'e', 's', 't', 0, 0, 1, 0, 1};
	uint8_t late[12] = {0, 9, 0x81};
	int fd = client();
	size_t sent, size, got = 0;

	(void)state;
	for (int i = 0; i < LATE; i++)
		send_bytes(fd, waiting, sizeof(waiting));
	sent = send_until_full(fd);
	/* A reply is as long as its query. */
	size = LATE * (2 + sizeof(late)) + sent * sizeof(query);
	for (int i = 0; i < LATE; i++) {
		struct crow_wait *wait = &responder.waits.items[i];

		assert_true(wait->used);
		got += read_all(fd);
		wait->asker.deliver(&wait->asker, late, sizeof(late));
		crow_waits_remove(&responder.waits, wait);
	}
	for (int i = 0; i < ROUNDS && got < size; i++) {
		settle();
		got += read_all(fd);
		usleep(ROUND_US);
	}
	assert_int_equal(got, size);
	close(fd);
}

/* Each deadline is its own connection's. */
static void test_30_connections_end_in_their_turn(void **state)
{
	int first = client(), second, third;

	(void)state;
	pass(SECOND_NS);
	second = client();
	pass(SECOND_NS);
	third = client();
	send_bytes(third, query, 2);
	expect_end_after(third, 2 * SECOND_NS);
	expect_end_after(first, 6 * SECOND_NS);
	expect_end_after(second, SECOND_NS);
	close(first);
	close(second);
	close(third);
}

#define CLIENTS 150
#define SLOTS   128

static void test_30_the_oldest_idle_makes_room(void **state)
{
	int fds[CLIENTS];

	(void)state;
	for (int i = 0; i < SLOTS; i++) {
		fds[i] = client();
		pass(1);
	}
	send_bytes(fds[0], query, sizeof(query));
	expect_reply(fds[0]); /* so that the second is served longest ago */
	for (int i = SLOTS; i < CLIENTS; i++) {
		fds[i] = client();
		pass(1);
	}
	assert_true(is_open(fds[0]));
	for (int i = 1; i <= CLIENTS - SLOTS; i++)
		assert_false(is_open(fds[i]));
	for (int i = CLIENTS - SLOTS + 1; i < CLIENTS; i++) {
		send_bytes(fds[i], query, sizeof(query));
		expect_reply(fds[i]);
	}
	for (int i = 0; i < CLIENTS; i++)
		close(fds[i]);
	settle();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_30_an_idle_connection_is_closed_after_10_s),
		TEST(test_30_a_query_starts_them_anew),
		TEST(test_30_a_query_that_stops_halfway_is_given_2_s),
		TEST(test_30_a_length_that_stops_halfway_is_given_2_s),
		TEST(test_30_a_query_in_time_is_answered),
		TEST(test_30_a_trickle_is_closed_after_10_s),
		TEST(test_30_a_client_that_reads_nothing_is_closed),
		cmocka_unit_test_setup_teardown(test_28_late_replies_leave_no_query_behind,
						setup_on_demand, teardown),
		TEST(test_30_connections_end_in_their_turn),
		TEST(test_30_the_oldest_idle_makes_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
