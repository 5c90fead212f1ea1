/* Discovery as a whole: services polled over HTTP and from files, names asked on demand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/counters.h"
#include "daemon/discovery/demand.h"
#include "daemon/discovery/discovery.h"
#include "daemon/log.h"
#include "tests/unit/http_script.h"

#define S INT64_C(1000000000)

#define LIST                                                                                       \
	"{\"endpoints\":{\"items\":[{\"app\":\"a\",\"ip\":\"10.0.0.1\",\"port\":80,\"weight\":"    \
	"100}]}}"

static struct server server;
static struct crow_loop *loop;
static struct crow_config *config;
static struct crow_table table;
static struct crow_hosts *hosts;
static const struct crow_listens nowhere;
static struct crow_discovery *discovery;
static bool (*goal)(void);
static unsigned polls;
static atomic_uint asked_old, asked_new;

/* ---- the world ---- */

static void check_goal(void)
{
	if (goal && goal())
		crow_loop_stop(loop);
}

static void on_poll(void *context)
{
	(void)context;
	polls++;
	check_goal();
}

static void on_overdue(struct crow_timer *timer, int64_t now_ns)
{
	(void)timer;
	(void)now_ns;
	crow_loop_stop(loop);
}

/* Runs the loop until the goal is reached, which is asked after each poll and each turn of a short
 * timer; fails if that takes very long. */
static struct crow_timer tick;

static void on_tick(struct crow_timer *timer, int64_t now_ns)
{
	crow_timer_set(loop, timer, now_ns + S / 200);
	check_goal();
}

static void run_until(bool (*reached)(void))
{
	struct crow_timer overdue = {.on_due = on_overdue};

	goal = reached;
	tick.on_due = on_tick;
	crow_timer_set(loop, &overdue, crow_now_ns() + 20 * S);
	crow_timer_set(loop, &tick, 0);
	if (!goal())
		crow_loop_run(loop);
	crow_timer_clear(loop, &overdue);
	crow_timer_clear(loop, &tick);
	goal = NULL;
	assert_true(reached());
}

static struct crow_config *parse(const char *text)
{
	char complaint[512] = "", whole[8192];
	struct crow_config *parsed;

	snprintf(whole, sizeof(whole), text, server.port);
	parsed = crow_config_parse(whole, "test", NULL, complaint, sizeof(complaint));
	if (!parsed)
		fail_msg("%s", complaint);
	return parsed;
}

/* text is a configuration in which %u is the server's port. */
static void start(const char *text, server_script *script)
{
	crow_log_init(CROW_LOG_ERROR);
	server_start(&server, script);
	polls = 0;
	asked_old = asked_new = 0;
	loop = crow_loop_new();
	config = parse(text);
	crow_table_init(&table, NULL, NULL);
	assert_true(crow_table_configure(&table, config));
	hosts = crow_hosts_new(loop, &nowhere);
	discovery = crow_discovery_new(loop, hosts, &table, on_poll, NULL);
	assert_non_null(discovery);
}

static void stop(void)
{
	crow_discovery_free(discovery);
	crow_hosts_free(hosts);
	crow_table_fini(&table);
	crow_config_free(config);
	crow_loop_free(loop);
	server_stop(&server);
}

static bool has_list(const char *name)
{
	const struct crow_service *service = crow_table_find(&table, name);

	return service && service->list.count > 0;
}

static bool has_denial(const char *name, uint16_t kind)
{
	const struct crow_denial *denial = crow_table_find_denial(&table, name);

	return denial && denial->kind == kind;
}

static bool asks_for(const char *request, const char *service)
{
	char wanted[128];

	snprintf(wanted, sizeof(wanted), "/%s HTTP/1.1\r\n", service);
	return strstr(request, wanted) != NULL;
}

static void hang(struct server *s, int fd)
{
	while (!s->ending && !server_peer_gone(fd, 5))
		;
}

#define ONE_SOURCE(services)                                                                       \
	"[source main]\nendpoint = http://127.0.0.1:%u\nservices = " services                      \
	"\npoll-interval = 100ms\ntimeout = 5s\n"

/* ---- paths ---- */

static void script_new_path(struct server *s, int fd, const char *request)
{
	(void)s;
	if (strncmp(request, "GET /api/", 9) == 0) {
		asked_new++;
		server_answer(fd, "200 OK", "", LIST);
	} else {
		asked_old++;
		server_answer(fd, "404 Not Found", "", "");
	}
}

static bool four_polls(void)
{
	return polls >= 4;
}

static void test_the_answering_path_is_kept(void **state)
{
	(void)state;
	start(ONE_SOURCE("a"), script_new_path);
	run_until(four_polls);
	assert_true(has_list("a"));
	assert_int_equal(asked_old, 1);
	assert_in_range(asked_new, 4, 5);
	stop();
}

/* ---- failures ---- */

static atomic_int mood;

static void script_moody(struct server *s, int fd, const char *request)
{
	(void)s;
	(void)request;
	switch (atomic_load(&mood)) {
	case 0:
		server_answer(fd, "200 OK", "", LIST);
		break;
	case 1:
		server_answer(fd, "500 Oops", "", "");
		break;
	case 2:
		server_answer(fd, "200 OK", "", "{\"endpoints\":{\"items\":[]}}");
		break;
	case 3:
		server_answer(fd, "200 OK", "", "<html>Sign in</html>");
		break;
	case 4:
		server_answer(fd, "404 Not Found", "", "");
		break;
	default:
		server_answer(fd, "302 Found", "Location: http://127.0.0.1:1/\r\n", "");
	}
}

static enum crow_poll_outcome awaited;

static bool has_outcome(void)
{
	return crow_table_find(&table, "a")->outcome == awaited;
}

static void check_failure(int new_mood, enum crow_poll_outcome outcome, const char *phrase)
{
	const struct crow_service *service = crow_table_find(&table, "a");
	char url[64];

	mood = new_mood;
	awaited = outcome;
	run_until(has_outcome);
	if (!strstr(service->detail, phrase))
		fail_msg("\"%s\" lacks \"%s\"", service->detail, phrase);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/", server.port);
	assert_ptr_equal(strstr(service->detail, url), service->detail);
	assert_int_equal(service->list.count, 1);
}

static void test_failures_are_named_and_keep_the_list(void **state)
{
	(void)state;
	mood = 0;
	start(ONE_SOURCE("a"), script_moody);
	awaited = CROW_POLL_OK;
	run_until(has_outcome);
	assert_string_equal(crow_table_find(&table, "a")->detail, "");
	check_failure(1, CROW_POLL_STATUS, ": answered 500");
	check_failure(2, CROW_POLL_EMPTY, ": answered 200, but the body lists no instance");
	check_failure(3, CROW_POLL_MALFORMED, ": answered 200, but the body is HTML");
	check_failure(4, CROW_POLL_UNKNOWN, ": answered 404");
	check_failure(5, CROW_POLL_STATUS, ": answered 302; redirects are not followed");
	stop();
}

/* ---- one slow service ---- */

static void script_one_hangs(struct server *s, int fd, const char *request)
{
	if (asks_for(request, "slow"))
		hang(s, fd);
	else
		server_answer(fd, "200 OK", "", LIST);
}

static bool quick_ones_polled(void)
{
	return polls >= 6 && has_list("a") && has_list("b");
}

static void test_a_slow_service_delays_no_other(void **state)
{
	(void)state;
	start("[source main]\nendpoint = http://127.0.0.1:%u\nservices = slow,a,b\n"
	      "poll-interval = 100ms\ntimeout = 60s\n",
	      script_one_hangs);
	run_until(quick_ones_polled);
	assert_int_equal(crow_table_find(&table, "slow")->outcome, CROW_POLL_NEVER);
	stop();
}

/* More services than places, and a server that never accepts: the kernel does, and nothing comes.
 * Each gets its turn when those before it have run into the time-out. */
static bool all_timed_out(void)
{
	for (size_t i = 0; i < table.count; i++)
		if (table.services[i]->outcome != CROW_POLL_TIMEOUT)
			return false;
	return true;
}

static void script_never(struct server *s, int fd, const char *request)
{
	(void)s;
	(void)fd;
	(void)request;
}

static void test_more_services_than_places(void **state)
{
	static char text[8192];
	char *at = text;
	uint16_t port;
	int fd = server_listen(&port);

	(void)state;
	at += sprintf(at,
		      "[source main]\nendpoint = http://127.0.0.1:%u\ntimeout = 100ms\n"
		      "services = s0",
		      port);
	for (unsigned i = 1; i < CROW_ROUNDS_MAX + 50; i++)
		at += sprintf(at, ",s%u", i);
	strcpy(at, "\n");
	start(text, script_never);
	run_until(all_timed_out);
	stop();
	close(fd);
}

/* ---- on demand ---- */

static void script_on_demand(struct server *s, int fd, const char *request)
{
	if (asks_for(request, "my_svc") || asks_for(request, "group.item"))
		server_answer(fd, "200 OK", "", LIST);
	else if (asks_for(request, "broken"))
		server_answer(fd, "500 Oops", "", "");
	else if (asks_for(request, "empty"))
		server_answer(fd, "200 OK", "", "{\"endpoints\":{\"items\":[]}}");
	else if (strstr(request, "/slow"))
		hang(s, fd);
	else
		server_answer(fd, "404 Not Found", "", "");
}

static bool has_my_svc(void)
{
	return has_list("my_svc") && polls >= 1;
}

static bool has_group(void)
{
	return has_list("group.item");
}

static bool is_unknown(void)
{
	return has_denial("nobody.eas.internal", CROW_NAME_UNKNOWN) &&
	       has_denial("empty.eas.internal", CROW_NAME_UNKNOWN);
}

static bool is_broken(void)
{
	return has_denial("broken.eas.internal", CROW_NAME_FAILED);
}

static void test_names_on_demand(void **state)
{
	(void)state;
	start(ONE_SOURCE("*"), script_on_demand);
	crow_discovery_demand(discovery, "My-Svc.EAS.internal.");
	run_until(has_my_svc);
	crow_discovery_demand(discovery, "group.item.eas.internal");
	run_until(has_group);
	crow_discovery_demand(discovery, "nobody.eas.internal");
	crow_discovery_demand(discovery, "empty.eas.internal");
	run_until(is_unknown);
	crow_discovery_demand(discovery, "broken.eas.internal");
	run_until(is_broken);
	crow_discovery_pause(discovery);
	crow_discovery_demand(discovery, "paused.eas.internal");
	assert_null(crow_table_find_denial(&table, "paused.eas.internal"));
	stop();
}

static void test_names_that_are_not_asked(void **state)
{
	(void)state;
	start(ONE_SOURCE("*"), script_on_demand);
	crow_discovery_demand(discovery, "eas.internal");
	crow_discovery_demand(discovery, "www.example.com");
	crow_discovery_demand(discovery, "");
	assert_int_equal(table.denial_count, 0);
	crow_discovery_demand(discovery, "a%b.eas.internal");
	assert_true(has_denial("a%b.eas.internal", CROW_NAME_UNKNOWN));
	stop();
	assert_int_equal(server.requests, 0);
}

/* One that would be found, were it asked for; the one after it is asked for by both paths. */
static void test_a_denied_name_is_not_asked(void **state)
{
	(void)state;
	start(ONE_SOURCE("*"), script_on_demand);
	crow_table_deny(&table, "group.item.eas.internal", CROW_NAME_UNKNOWN, INT64_MAX);
	crow_discovery_demand(discovery, "group.item.eas.internal");
	crow_discovery_demand(discovery, "broken.eas.internal");
	run_until(is_broken);
	assert_int_equal(server.requests, 2);
	stop();
}

static bool is_full(void)
{
	return has_list("group.item");
}

static void test_max_services(void **state)
{
	uint64_t refused = crow_counters.demands_refused;

	(void)state;
	start(ONE_SOURCE("*") "max-services = 1\n", script_on_demand);
	crow_discovery_demand(discovery, "group.item.eas.internal");
	run_until(is_full);
	crow_discovery_demand(discovery, "my-svc.eas.internal");
	assert_true(has_denial("my-svc.eas.internal", CROW_NAME_FAILED));
	assert_int_equal(crow_counters.demands_refused, refused + 1);
	stop();
}

static bool slow_ones_asked(void)
{
	return server.requests >= CROW_DEMANDS_MAX;
}

static void test_demands_are_bounded_and_asked_once(void **state)
{
	char name[64];

	(void)state;
	start(ONE_SOURCE("*"), script_on_demand);
	for (unsigned twice = 0; twice < 2; twice++)
		for (unsigned i = 0; i < CROW_DEMANDS_MAX; i++) {
			snprintf(name, sizeof(name), "slow%u.eas.internal", i);
			crow_discovery_demand(discovery, name);
		}
	assert_int_equal(table.denial_count, 0);
	crow_discovery_demand(discovery, "one-more.eas.internal");
	assert_true(has_denial("one-more.eas.internal", CROW_NAME_FAILED));
	run_until(slow_ones_asked);
	assert_int_equal(server.requests, CROW_DEMANDS_MAX);
	stop();
}

static bool slow_is_denied(void)
{
	return has_denial("slow-1.eas.internal", CROW_NAME_FAILED);
}

/* Both candidates share one time-out: the second one of a name is not given another. */
static void test_demand_ends_by_the_timeout(void **state)
{
	(void)state;
	start("[source main]\nendpoint = http://127.0.0.1:%u\nservices = *\ntimeout = 100ms\n",
	      script_on_demand);
	crow_discovery_demand(discovery, "slow-1.eas.internal");
	run_until(slow_is_denied);
	assert_int_equal(server.requests, 1);
	stop();
}

/* ---- reload ---- */

static bool both_asked(void)
{
	return server.requests >= 2;
}

static bool has_b(void)
{
	return has_list("b") && polls >= 2;
}

static void script_all_slow_hang(struct server *s, int fd, const char *request)
{
	if (strstr(request, "/slow"))
		hang(s, fd);
	else
		server_answer(fd, "200 OK", "", LIST);
}

static void test_reload_while_asking(void **state)
{
	struct crow_config *old;

	(void)state;
	start(ONE_SOURCE("slow,*"), script_all_slow_hang);
	crow_discovery_demand(discovery, "slow-too.eas.internal");
	run_until(both_asked);
	crow_discovery_pause(discovery);
	old = config;
	config = parse(ONE_SOURCE("a,b,*"));
	assert_true(crow_table_configure(&table, config));
	crow_config_free(old);
	crow_discovery_resume(discovery);
	run_until(has_b);
	assert_null(crow_table_find(&table, "slow"));
	stop();
}

/* ---- files ---- */

static char file_path[64];

static void put_list(const char *text)
{
	char other[80];
	FILE *file;

	snprintf(other, sizeof(other), "%s.tmp", file_path);
	file = fopen(other, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	assert_int_equal(rename(other, file_path), 0);
}

static bool file_is_read(void)
{
	return has_list("a");
}

static bool file_is_gone(void)
{
	return crow_table_find(&table, "a")->outcome == CROW_POLL_UNKNOWN;
}

/* An hour between polls: what comes sooner comes because the change was noticed. */
static void test_file_source(void **state)
{
	char directory[] = "/tmp/crowfly-test-discovery-XXXXXX", text[256];

	(void)state;
	assert_non_null(mkdtemp(directory));
	snprintf(file_path, sizeof(file_path), "%s/a.json", directory);
	snprintf(text, sizeof(text),
		 "[source main]\ntype = file\npath = %s/{service}.json\nservices = a\n"
		 "poll-interval = 1h\n",
		 directory);
	start(text, script_never);
	run_until(file_is_gone);
	assert_non_null(strstr(crow_table_find(&table, "a")->detail, "/a.json: there is no such"));
	put_list(LIST);
	run_until(file_is_read);
	stop();
	assert_int_equal(unlink(file_path), 0);
	assert_int_equal(rmdir(directory), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_answering_path_is_kept),
		cmocka_unit_test(test_failures_are_named_and_keep_the_list),
		cmocka_unit_test(test_a_slow_service_delays_no_other),
		cmocka_unit_test(test_more_services_than_places),
		cmocka_unit_test(test_names_on_demand),
		cmocka_unit_test(test_a_denied_name_is_not_asked),
		cmocka_unit_test(test_names_that_are_not_asked),
		cmocka_unit_test(test_max_services),
		cmocka_unit_test(test_demands_are_bounded_and_asked_once),
		cmocka_unit_test(test_demand_ends_by_the_timeout),
		cmocka_unit_test(test_reload_while_asking),
		cmocka_unit_test(test_file_source),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
