/* Probes against real sockets on loopback, and what health then tells people. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <unistd.h>

#include "daemon/health/health.h"
#include "daemon/health/probe.h"
#include "tests/unit/fixture.h"

static struct crow_loop *loop;
static struct crow_probes *probes;
static enum crow_evidence last;
static unsigned outcomes;

static void on_outcome(void *context, struct crow_endpoint *endpoint, enum crow_evidence evidence)
{
	(void)context;
	(void)endpoint;
	last = evidence;
	outcomes++;
	crow_loop_stop(loop);
}

static int setup(void **state)
{
	(void)state;
	loop = crow_loop_new();
	probes = crow_probes_new(loop, on_outcome, NULL);
	outcomes = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	crow_probes_free(probes);
	crow_loop_free(loop);
	return 0;
}

/* A socket on a free port of 127.0.0.1; it listens unless the backlog is negative. */
static int serve(int backlog, uint16_t *port)
{
	struct sockaddr_in own = {.sin_family = AF_INET};
	socklen_t size = sizeof(own);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&own, size), 0);
	if (backlog >= 0)
		assert_int_equal(listen(fd, backlog), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&own, &size), 0);
	*port = ntohs(own.sin_port);
	return fd;
}

static struct crow_endpoint endpoint_at(const char *ip, uint16_t port)
{
	struct crow_endpoint endpoint = {.port = port};

	assert_true(crow_addr_parse(ip, strlen(ip), &endpoint.addr));
	return endpoint;
}

/* Runs the loop only if the outcome is not there at once. */
static enum crow_evidence probe(struct crow_endpoint *endpoint, uint32_t timeout_ms)
{
	unsigned before = outcomes;

	crow_probes_start(probes, endpoint, timeout_ms);
	if (outcomes == before)
		crow_loop_run(loop);
	assert_int_equal(outcomes, before + 1);
	return last;
}

static void test_one_that_listens_sees_a_client_come_and_go(void **state)
{
	struct crow_endpoint endpoint;
	uint16_t port;
	int listening = serve(8, &port), accepted;
	char byte;

	(void)state;
	endpoint = endpoint_at("127.0.0.1", port);
	assert_int_equal(probe(&endpoint, 10000), CROW_EVIDENCE_OK);
	accepted = accept(listening, NULL, NULL);
	assert_true(accepted >= 0);
	assert_int_equal(read(accepted, &byte, 1), 0); /* no byte, and no ECONNRESET */
	close(accepted);
	close(listening);
}

static void test_one_that_does_not_listen_refuses(void **state)
{
	struct crow_endpoint endpoint;
	uint16_t port;
	int bound = serve(-1, &port);

	(void)state;
	endpoint = endpoint_at("127.0.0.1", port);
	assert_int_equal(probe(&endpoint, 10000), CROW_EVIDENCE_REFUSED);
	close(bound);
}

/* A queue of one that is full: the kernel drops the SYNs of all others. */
static void test_one_that_does_not_answer_is_silent(void **state)
{
	struct crow_endpoint first, second;
	uint16_t port;
	int listening = serve(0, &port);

	(void)state;
	first = second = endpoint_at("127.0.0.1", port);
	assert_int_equal(probe(&first, 10000), CROW_EVIDENCE_OK);
	assert_int_equal(probe(&second, 20), CROW_EVIDENCE_SILENT);
	close(listening);
}

static void test_a_lack_of_descriptors_is_no_evidence(void **state)
{
	struct crow_endpoint endpoint = endpoint_at("127.0.0.1", 1);
	struct rlimit before, none;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){.rlim_cur = 3, .rlim_max = before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	crow_probes_start(probes, &endpoint, 1000);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(outcomes, 1);
	assert_int_equal(last, CROW_EVIDENCE_LOCAL);
}

static void test_so_many_at_once_and_no_more(void **state)
{
	static struct crow_endpoint endpoints[CROW_PROBES_MAX];
	uint16_t port;
	int listening = serve(0, &port);

	(void)state;
	endpoints[0] = endpoint_at("127.0.0.1", port);
	probe(&endpoints[0], 10000); /* fills the queue */
	for (size_t i = 0; i < CROW_PROBES_MAX; i++) {
		assert_false(crow_probes_are_full(probes));
		endpoints[i] = endpoint_at("127.0.0.1", port);
		crow_probes_start(probes, &endpoints[i], 60000);
	}
	assert_true(crow_probes_are_full(probes));
	assert_int_equal(outcomes, 1);
	close(listening); /* those under way are given up in teardown */
}

/* ---- the whole ---- */

static struct fixture f;
static struct crow_publisher *publisher;
static struct crow_health *health;
static struct crow_timer stop_timer;

static void on_change(void *context, const struct crow_service *service, bool list_changed)
{
	(void)context;
	(void)service;
	(void)list_changed;
	crow_loop_stop(loop);
}

static void on_stop(struct crow_timer *timer, int64_t now_ns)
{
	(void)timer;
	(void)now_ns;
	crow_loop_stop(loop);
}

static void view(uint16_t port, struct crow_health_view *out)
{
	struct crow_addr addr = endpoint_at("127.0.0.1", port).addr;

	crow_health_get(health, crow_table_find(&f.table, "one"), &addr, port, out);
}

static void test_people_are_told_what_and_why(void **state)
{
	struct crow_report report = {.kind = CROW_REPORT_FAILED, .name = "one", .name_length = 3};
	struct crow_sender sender = {.pid = 1, .uid = 1};
	struct crow_health_view seen;
	uint16_t dead, alive;
	int bound = serve(-1, &dead), listening = serve(8, &alive);
	struct fixture_item items[] = {{"127.0.0.1", dead, 1}, {"127.0.0.1", alive, 1}};

	(void)state;
	fixture_init(&f, FIXTURE_CONFIG);
	fixture_take(&f, "one", items, 2);
	publisher = crow_publisher_new(loop, &f.table, NULL, NULL, NULL);
	health = crow_health_new(loop, &f.table, publisher);
	f.table.on_change = on_change;

	view(dead, &seen);
	assert_int_equal(seen.state, CROW_HEALTH_UP);
	assert_int_equal(seen.since_ns, 0);
	assert_string_equal(seen.why, "");

	report.addr = endpoint_at("127.0.0.1", dead).addr;
	report.port = dead;
	crow_health_report(health, &report, &sender);
	view(dead, &seen);
	assert_int_equal(seen.state, CROW_HEALTH_SUSPECT);
	assert_string_equal(seen.why, "reported by a program");
	crow_loop_run(loop); /* until the table changes */
	view(dead, &seen);
	assert_int_equal(seen.state, CROW_HEALTH_EJECTED);
	assert_string_equal(seen.why, "connect refused");
	assert_string_equal(seen.last, "connect refused");
	assert_int_equal(seen.share, 0);
	assert_int_equal(seen.failovers, 1);
	assert_int_equal(seen.probes, 1);
	assert_int_equal(seen.ejections, 1);
	assert_true(seen.since_ns > 0 && seen.probed_ns >= seen.since_ns);

	close(listening); /* the other one, too: all down, all in */
	report.port = alive;
	crow_health_report(health, &report, &sender);
	crow_loop_run(loop);
	view(dead, &seen);
	assert_int_equal(seen.state, CROW_HEALTH_KEPT);
	assert_int_equal(seen.share, 100);
	assert_string_equal(seen.why,
			    "connect refused; picked all the same: all others are down as well");

	stop_timer = (struct crow_timer){.on_due = on_stop};
	crow_timer_set(loop, &stop_timer, crow_now_ns());
	crow_health_free(health);
	crow_publisher_free(publisher);
	crow_loop_run(loop); /* nothing of theirs is left in it */
	fixture_fini(&f);
	close(bound);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_one_that_listens_sees_a_client_come_and_go),
		TEST(test_one_that_does_not_listen_refuses),
		TEST(test_one_that_does_not_answer_is_silent),
		TEST(test_a_lack_of_descriptors_is_no_evidence),
		TEST(test_so_many_at_once_and_no_more),
		TEST(test_people_are_told_what_and_why),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
