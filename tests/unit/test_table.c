/* The cache: what a poll does to a service, what a configuration does to the table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/counters.h"
#include "daemon/table.h"

#define SECOND_NS INT64_C(1000000000)

static struct crow_table table;
static int changes, list_changes, table_changes;

static void on_change(void *context, const struct crow_service *service, bool list_changed)
{
	assert_ptr_equal(context, &table);
	changes++;
	list_changes += list_changed;
	table_changes += service == NULL;
}

static void forget_changes(void)
{
	changes = list_changes = table_changes = 0;
}

/* A configuration as a test needs it: two sources, of which each may be on demand. */
struct fake {
	struct crow_config config;
	struct crow_source_config sources[2];
	char *names[2][4];
};

static void fake_init(struct fake *fake)
{
	static char first[] = "eas", second[] = "other";

	memset(fake, 0, sizeof(*fake));
	fake->config.sources = fake->sources;
	fake->config.source_count = 2;
	fake->sources[0].name = first;
	fake->sources[1].name = second;
	for (int i = 0; i < 2; i++) {
		fake->sources[i].services.items = fake->names[i];
		fake->sources[i].max_services = 4;
	}
}

static void fake_name(struct fake *fake, int source, char *service)
{
	struct crow_strings *services = &fake->sources[source].services;

	services->items[services->count++] = service;
}

static struct fake fake;
static char mnist[] = "mnist", zeta[] = "zeta", alpha[] = "alpha";

static int setup(void **state)
{
	(void)state;
	fake_init(&fake);
	fake_name(&fake, 0, mnist);
	crow_table_init(&table, on_change, &table);
	forget_changes();
	return crow_table_configure(&table, &fake.config) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	crow_table_fini(&table);
	return 0;
}

/* "10.0.0.1:80=100 10.0.0.2:80=50" */
static struct crow_list make_list(const char *text, struct crow_list_tally *tally)
{
	struct crow_list list;
	unsigned a, port, weight;
	int used;

	crow_list_init(&list);
	memset(tally, 0, sizeof(*tally));
	while (sscanf(text, " 10.0.0.%u:%u=%u%n", &a, &port, &weight, &used) == 3) {
		char ip[32];

		snprintf(ip, sizeof(ip), "10.0.0.%u", a);
		assert_true(crow_list_add(&list, NULL, ip, port, weight, "app", tally));
		text += used;
	}
	assert_int_equal(crow_list_finish(&list, tally), CROW_LIST_OK);
	return list;
}

static struct crow_service *service(void)
{
	struct crow_service *found = crow_table_find(&table, "mnist");

	assert_non_null(found);
	return found;
}

static void take(const char *text, int64_t now_s)
{
	struct crow_list_tally tally;
	struct crow_list list = make_list(text, &tally);

	crow_table_take(&table, service(), &list, &tally, now_s * SECOND_NS);
	assert_null(list.items);
}

static void fail_with(enum crow_poll_outcome outcome, int64_t now_s)
{
	crow_table_fail(&table, service(), outcome, "discovery answered 500", NULL,
			now_s * SECOND_NS);
}

/* Runs the statements and leaves what they logged in `logged`. */
static char logged[8192];
static int saved_stderr, log_fd;

static void capture(void)
{
	log_fd = memfd_create("log", MFD_CLOEXEC);
	saved_stderr = dup(STDERR_FILENO);
	assert_true(log_fd >= 0 && saved_stderr >= 0);
	dup2(log_fd, STDERR_FILENO);
}

static void release(void)
{
	ssize_t size = pread(log_fd, logged, sizeof(logged) - 1, 0);

	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	close(log_fd);
	assert_true(size >= 0);
	logged[size] = '\0';
}

static size_t log_lines(void)
{
	size_t lines = 0;

	for (const char *c = logged; *c; c++)
		lines += *c == '\n';
	return lines;
}

static void assert_logged(const char *sentence)
{
	if (!strstr(logged, sentence))
		fail_msg("not in the log: %s\n%s", sentence, logged);
}

/* --- polls ----------------------------------------------------------------------------------- */

static void test_the_first_list(void **state)
{
	(void)state;
	assert_int_equal(service()->outcome, CROW_POLL_NEVER);
	assert_int_equal(changes, 0); /* the first configuration is told to nobody */
	capture();
	take("10.0.0.1:80=100 10.0.0.2:80=50", 10);
	release();
	assert_logged("service mnist: 2 instances from source eas");
	assert_int_equal(service()->list.count, 2);
	assert_int_equal(service()->outcome, CROW_POLL_OK);
	assert_int_equal(service()->taken_ns, 10 * SECOND_NS);
	assert_int_equal(service()->confirmed_ns, 10 * SECOND_NS);
	assert_true(service()->taken_wall_s > 0);
	assert_int_equal(changes, 1);
	assert_int_equal(list_changes, 1);
}

static void test_an_equal_list_only_confirms(void **state)
{
	(void)state;
	take("10.0.0.1:80=100 10.0.0.2:80=50", 10);
	forget_changes();
	capture();
	take("10.0.0.2:80=50 10.0.0.1:80=100", 15);
	release();
	assert_int_equal(log_lines(), 0);
	assert_int_equal(changes, 0);
	assert_int_equal(service()->taken_ns, 10 * SECOND_NS);
	assert_int_equal(service()->confirmed_ns, 15 * SECOND_NS);
}

static void test_a_weight_alone_is_a_change(void **state)
{
	(void)state;
	take("10.0.0.1:80=100", 10);
	take("10.0.0.1:80=99", 15);
	assert_int_equal(list_changes, 2);
	assert_int_equal(service()->list.items[0].weight, 99);
	assert_int_equal(service()->tombstone_count, 0);
}

static void test_no_failure_touches_the_list(void **state)
{
	struct crow_list_tally tally;
	struct crow_list before;

	(void)state;
	take("10.0.0.1:80=100 10.0.0.2:80=50", 10);
	before = make_list("10.0.0.1:80=100 10.0.0.2:80=50", &tally);
	for (int outcome = CROW_POLL_EMPTY; outcome <= CROW_POLL_NO_MEMORY; outcome++) {
		fail_with((enum crow_poll_outcome)outcome, 20 + outcome);
		assert_true(crow_list_equal(&service()->list, &before));
		assert_int_equal(service()->outcome, outcome);
		assert_int_equal(service()->taken_ns, 10 * SECOND_NS);
		assert_int_equal(service()->confirmed_ns, 10 * SECOND_NS);
		assert_int_equal(service()->failing_ns, (20 + CROW_POLL_EMPTY) * SECOND_NS);
		assert_int_equal(service()->polled_ns, (20 + outcome) * SECOND_NS);
	}
	assert_string_equal(service()->detail, "discovery answered 500");
	crow_list_fini(&before);
}

static void test_failing_is_said_once_and_so_is_recovery(void **state)
{
	(void)state;
	take("10.0.0.1:80=100 10.0.0.2:80=50", 10);
	forget_changes();
	capture();
	for (int64_t s = 22; s < 50; s += 5)
		fail_with(CROW_POLL_STATUS, s);
	release();
	assert_int_equal(log_lines(), 1);
	assert_logged("service mnist: discovery answered 500; serving the last good list of 2 "
		      "instances, 12 s old\n");
	assert_int_equal(changes, 1);
	assert_int_equal(list_changes, 0);

	capture();
	take("10.0.0.1:80=100 10.0.0.2:80=50", 57);
	take("10.0.0.1:80=100 10.0.0.2:80=50", 62);
	release();
	assert_int_equal(log_lines(), 1);
	assert_logged(
		"service mnist: discovery answers again: 2 instances (was failing for 35 s)\n");
	assert_int_equal(changes, 2);
	assert_int_equal(list_changes, 0);
	assert_int_equal(service()->failing_ns, 0);
	assert_string_equal(service()->detail, "");
}

/* Many news are cut short, but the log ends with what is. */
static void test_a_service_that_never_rests_does_not_flood_the_log(void **state)
{
	int64_t s = 1000;

	(void)state;
	take("10.0.0.1:80=100", s);
	capture();
	for (int i = 0; i < 200; i++)
		take(i % 2 ? "10.0.0.1:80=100" : "10.0.0.2:80=100", ++s);
	release();
	/* 20 at once and one for each of three minutes, each with how many were held back */
	assert_in_range(log_lines(), 20, 26);
	assert_logged("more changes until now were logged by -v alone");

	capture();
	take("10.0.0.3:80=100", ++s);
	release();
	assert_int_equal(log_lines(), 0);
	capture();
	for (int i = 0; i < 60; i++)
		take("10.0.0.3:80=100", ++s);
	release();
	assert_int_equal(log_lines(), 2);
	assert_logged("service mnist: 1 instance, 0 new, 0 gone\n");
}

static void test_discovery_that_fails_now_and_then_does_not_flood_the_log(void **state)
{
	int64_t s = 1000;

	(void)state;
	take("10.0.0.1:80=100", s);
	capture();
	for (int i = 0; i < 100; i++) {
		fail_with(CROW_POLL_STATUS, ++s);
		take("10.0.0.1:80=100", ++s);
	}
	fail_with(CROW_POLL_STATUS, ++s);
	release();
	assert_in_range(log_lines(), 20, 26);
	capture();
	for (int i = 0; i < 60; i++)
		fail_with(CROW_POLL_STATUS, ++s);
	release();
	assert_int_equal(log_lines(), 2);
	assert_logged("service mnist: discovery answered 500; serving the last good list");
}

static void test_another_outcome_is_said_again(void **state)
{
	(void)state;
	capture();
	fail_with(CROW_POLL_CONNECT, 1);
	fail_with(CROW_POLL_STATUS, 2);
	fail_with(CROW_POLL_STATUS, 3);
	release();
	assert_int_equal(log_lines(), 2);
	assert_logged("there is no list yet");
	assert_int_equal(changes, 1);
}

static void test_corrections_are_said_when_they_begin(void **state)
{
	struct crow_list_tally tally;
	struct crow_list list;

	(void)state;
	take("10.0.0.1:80=100", 1);
	capture();
	for (int i = 0; i < 3; i++) {
		list = make_list("10.0.0.1:80=100", &tally);
		tally.seen = 2;
		tally.dropped = 1;
		strcpy(tally.example, "item 2: port is string, no whole number");
		crow_table_take(&table, service(), &list, &tally, 2 * SECOND_NS);
	}
	release();
	assert_int_equal(log_lines(), 1);
	assert_logged("of 2 items in the list 1 were dropped as bad");
	assert_logged("item 2: port is string");
}

static uint64_t counter(const char *name)
{
	struct crow_counter_value value;

	for (size_t i = 0; crow_counter_get(i, &value); i++) {
		if (strcmp(value.name, name) == 0)
			return value.value;
	}
	fail_msg("no counter %s", name);
	return 0;
}

static void test_counters(void **state)
{
	struct crow_list_tally tally = {.seen = 10, .dropped = 4, .outside = 3, .merged = 2};
	uint64_t polls = counter("polls"), ok = counter("polls_ok");
	uint64_t refused = counter("polls_refused"), status = counter("polls_status");
	uint64_t dropped = counter("items_dropped"), outside = counter("items_outside");

	(void)state;
	take("10.0.0.1:80=1", 1);
	crow_table_fail(&table, service(), CROW_POLL_REFUSED, "a list that is bad", &tally,
			SECOND_NS);
	fail_with(CROW_POLL_UNKNOWN, 2);
	fail_with(CROW_POLL_STATUS, 3);
	assert_int_equal(counter("polls"), polls + 4);
	assert_int_equal(counter("polls_ok"), ok + 1);
	assert_int_equal(counter("polls_refused"), refused + 1);
	assert_int_equal(counter("polls_status"), status + 2);
	assert_int_equal(counter("items_dropped"), dropped + 4);
	assert_int_equal(counter("items_outside"), outside + 3);
	assert_int_equal(service()->tally.seen, 10);
}

/* --- tombstones ------------------------------------------------------------------------------ */

static void test_what_vanishes_becomes_a_tombstone(void **state)
{
	const struct crow_tombstone *stone;
	char text[CROW_ENDPOINT_TEXT];

	(void)state;
	take("10.0.0.1:80=1 10.0.0.2:80=1 10.0.0.3:80=1", 10);
	take("10.0.0.1:80=1 10.0.0.3:81=1", 20);
	assert_int_equal(service()->tombstone_count, 2);
	stone = &service()->tombstones[1];
	crow_addr_format(&stone->addr, stone->port, text);
	assert_string_equal(text, "10.0.0.3:80");
	assert_int_equal(stone->until_ns, 20 * SECOND_NS + CROW_TOMBSTONE_NS);
}

static void test_what_comes_back_loses_its_tombstone(void **state)
{
	(void)state;
	take("10.0.0.1:80=1 10.0.0.2:80=1", 10);
	take("10.0.0.1:80=1", 20);
	assert_int_equal(service()->tombstone_count, 1);
	take("10.0.0.1:80=1 10.0.0.2:80=1", 30);
	assert_int_equal(service()->tombstone_count, 0);
	assert_null(service()->tombstones);
}

static void test_tombstones_expire(void **state)
{
	int64_t until_ns = 20 * SECOND_NS + CROW_TOMBSTONE_NS;

	(void)state;
	assert_int_equal(crow_table_expire(&table, 0), INT64_MAX);
	take("10.0.0.1:80=1 10.0.0.2:80=1 10.0.0.3:80=1", 10);
	take("10.0.0.1:80=1 10.0.0.2:80=1", 20);
	take("10.0.0.1:80=1", 21);
	forget_changes();
	assert_int_equal(crow_table_expire(&table, until_ns - 1), until_ns);
	assert_int_equal(changes, 0);
	assert_int_equal(crow_table_expire(&table, until_ns), until_ns + SECOND_NS);
	assert_int_equal(changes, 1);
	assert_int_equal(service()->tombstone_count, 1);
	assert_int_equal(crow_table_expire(&table, until_ns + SECOND_NS), INT64_MAX);
	assert_int_equal(service()->tombstone_count, 0);
	assert_int_equal(changes, 2);
	assert_int_equal(list_changes, 0);
}

/* n instances from 10.<net>.0.0 on. */
static struct crow_list make_large(uint8_t net, uint32_t n, struct crow_list_tally *tally)
{
	struct crow_list list;

	crow_list_init(&list);
	memset(tally, 0, sizeof(*tally));
	for (uint32_t i = 0; i < n; i++) {
		uint8_t bytes[4] = {(uint8_t)(10 + net), (uint8_t)(i >> 16), (uint8_t)(i >> 8),
				    (uint8_t)i};
		struct crow_addr addr = crow_addr_v4(bytes);

		assert_true(crow_list_append(&list, &addr, 80, 1, ""));
	}
	tally->seen = n;
	assert_int_equal(crow_list_finish(&list, tally), CROW_LIST_OK);
	return list;
}

/* A different list at every poll, for longer than the tombstones last: memory is bounded, and the
 * oldest go first. */
static void test_tombstones_are_bounded(void **state)
{
	const struct crow_tombstone *stones;
	struct crow_list_tally tally;

	(void)state;
	for (uint8_t net = 0; net < 5; net++) {
		struct crow_list list = make_large(net, 100000, &tally);

		crow_table_take(&table, service(), &list, &tally, (net + 1) * SECOND_NS);
	}
	assert_int_equal(service()->list.count, 100000);
	assert_int_equal(service()->tombstone_count, CROW_LIST_MAX);
	stones = service()->tombstones;
	assert_int_equal(stones[CROW_LIST_MAX - 1].until_ns, 5 * SECOND_NS + CROW_TOMBSTONE_NS);
	assert_int_equal(stones[0].until_ns, 3 * SECOND_NS + CROW_TOMBSTONE_NS);
	for (size_t i = 1; i < CROW_LIST_MAX; i++)
		assert_true(stones[i - 1].until_ns <= stones[i].until_ns);
}

/* --- the state file's list ------------------------------------------------------------------- */

static void restore(const char *text, int64_t taken_wall_s, int64_t now_s)
{
	struct crow_list_tally tally;
	struct crow_list list = make_list(text, &tally);

	crow_table_restore(&table, service(), &list, taken_wall_s, now_s * SECOND_NS);
	assert_null(list.items);
}

static void test_a_restored_list_serves(void **state)
{
	(void)state;
	capture();
	restore("10.0.0.1:80=1", time(NULL) - 3600, 10);
	release();
	assert_logged("service mnist: 1 instance from its state file, 36");
	assert_int_equal(service()->list.count, 1);
	assert_true(service()->from_state);
	assert_int_equal(service()->outcome, CROW_POLL_NEVER);
	assert_int_equal(service()->confirmed_ns, 0);
	assert_in_range(-service()->taken_ns, 3500 * SECOND_NS, 3700 * SECOND_NS);
	assert_int_equal(changes, 1);
	assert_int_equal(list_changes, 0);

	capture();
	take("10.0.0.1:80=1", 12);
	release();
	assert_logged("service mnist: 1 instance from source eas");
	assert_false(service()->from_state);
	assert_int_equal(changes, 1);
}

static void test_the_wall_clock_decides_nothing(void **state)
{
	static const int64_t walls[] = {0, 253402300799, INT64_MAX, INT64_MIN + 1};

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		crow_list_fini(&service()->list);
		restore("10.0.0.1:80=1", walls[i], 10);
		assert_int_equal(service()->list.count, 1);
		assert_in_range(10 * SECOND_NS - service()->taken_ns, 0,
				INT64_C(100) * 366 * 86400 * SECOND_NS);
	}
}

static void test_a_newer_list_is_not_overwritten_by_an_older(void **state)
{
	(void)state;
	take("10.0.0.1:80=1", 10);
	restore("10.0.0.9:80=1", 1, 11);
	assert_int_equal(service()->list.items[0].addr.bytes[15], 1);
	assert_false(service()->from_state);
}

/* With discovery's (test_list.c, test_discovery.py) these are all ways into the table: readers of an
 * image need not ask what to do where all is drained. */
static void test_a_restored_list_of_drained_is_no_list(void **state)
{
	const struct crow_addr addr = crow_addr_v4((const uint8_t[4]){10, 0, 0, 1});
	struct crow_list list = {0};

	(void)state;
	assert_true(crow_list_append(&list, &addr, 80, 0, "app"));
	crow_table_restore(&table, service(), &list, 1, 10 * SECOND_NS);
	assert_int_equal(service()->list.count, 0);
	assert_int_equal(changes, 0);
}

static void test_accept_applies_to_restored_lists(void **state)
{
	struct crow_cidr cidr;

	(void)state;
	assert_true(crow_cidr_parse("10.0.0.2/32", &cidr));
	fake.sources[0].accept = (struct crow_cidrs){&cidr, 1};
	restore("10.0.0.1:80=1 10.0.0.3:80=1", 1, 10);
	assert_int_equal(service()->list.count, 0);
	assert_int_equal(changes, 0);
	restore("10.0.0.1:80=1 10.0.0.2:80=1", 1, 10);
	assert_int_equal(service()->list.count, 1);
	assert_int_equal(service()->list.items[0].addr.bytes[15], 2);
}

/* --- configurations -------------------------------------------------------------------------- */

static void test_reload_keeps_adds_and_drops(void **state)
{
	struct fake next;

	(void)state;
	take("10.0.0.1:80=1", 10);
	forget_changes();
	fake_init(&next);
	fake_name(&next, 0, zeta);
	fake_name(&next, 0, alpha);
	fake_name(&next, 1, mnist); /* another source now: the list stays */
	fake_name(&next, 1, zeta);  /* the first source that names it has it */
	assert_true(crow_table_configure(&table, &next.config));
	assert_int_equal(table.count, 3);
	assert_string_equal(table.services[0]->name, "alpha");
	assert_string_equal(table.services[1]->name, "mnist");
	assert_string_equal(table.services[2]->name, "zeta");
	assert_int_equal(service()->list.count, 1);
	assert_ptr_equal(service()->source, &next.sources[1]);
	assert_ptr_equal(table.services[2]->source, &next.sources[0]);
	assert_ptr_equal(service()->config, &next.config.service_default);
	assert_int_equal(changes, 1);
	assert_int_equal(table_changes, 1);

	fake_init(&next);
	assert_true(crow_table_configure(&table, &next.config));
	assert_int_equal(table.count, 0);
	assert_null(crow_table_find(&table, "mnist"));
}

static void test_services_on_demand(void **state)
{
	struct crow_service *added;

	(void)state;
	fake.sources[1].on_demand = true;
	added = crow_table_add(&table, "beta", &fake.sources[1]);
	assert_non_null(added);
	assert_true(added->on_demand);
	assert_ptr_equal(added->source, &fake.sources[1]);
	assert_ptr_equal(added->config, &fake.config.service_default);
	assert_ptr_equal(crow_table_add(&table, "beta", &fake.sources[1]), added);
	assert_ptr_equal(crow_table_find(&table, "beta"), added);
	assert_non_null(crow_table_add(&table, "zz", &fake.sources[1]));
	assert_non_null(crow_table_add(&table, "aa", &fake.sources[1]));
	assert_non_null(crow_table_add(&table, "mm", &fake.sources[1]));
	assert_null(crow_table_add(&table, "one-more", &fake.sources[1]));
	assert_int_equal(table.count, 5);
	for (size_t i = 1; i < table.count; i++)
		assert_true(strcmp(table.services[i - 1]->name, table.services[i]->name) < 0);
}

static void test_reload_keeps_services_on_demand_while_their_source_is(void **state)
{
	static char beta[] = "beta";
	struct fake next;

	(void)state;
	fake.sources[1].on_demand = true;
	assert_non_null(crow_table_add(&table, "beta", &fake.sources[1]));
	assert_non_null(crow_table_add(&table, "gamma", &fake.sources[1]));

	fake_init(&next);
	next.sources[1].on_demand = true;
	fake_name(&next, 0, beta);
	assert_true(crow_table_configure(&table, &next.config));
	assert_int_equal(table.count, 2);
	assert_false(crow_table_find(&table, "beta")->on_demand);
	assert_true(crow_table_find(&table, "gamma")->on_demand);
	assert_ptr_equal(crow_table_find(&table, "gamma")->source, &next.sources[1]);

	/* What only the configuration named does not become one of those by being named no more. */
	next.sources[0].on_demand = true;
	next.sources[0].services.count = 0;
	assert_true(crow_table_configure(&table, &next.config));
	assert_null(crow_table_find(&table, "beta"));
	assert_non_null(crow_table_find(&table, "gamma"));

	next.sources[1].on_demand = false;
	assert_true(crow_table_configure(&table, &next.config));
	assert_null(crow_table_find(&table, "gamma"));
}

/* --- denials --------------------------------------------------------------------------------- */

static void test_denials(void **state)
{
	(void)state;
	crow_table_deny(&table, "b.eas.internal", CROW_NAME_FAILED, 20);
	crow_table_deny(&table, "a.eas.internal", CROW_NAME_UNKNOWN, 10);
	assert_int_equal(table_changes, 2);
	crow_table_deny(&table, "a.eas.internal", CROW_NAME_UNKNOWN, 15);
	assert_int_equal(table_changes, 2);
	assert_int_equal(crow_table_find_denial(&table, "a.eas.internal")->until_ns, 15);
	crow_table_deny(&table, "a.eas.internal", CROW_NAME_FAILED, 15);
	assert_int_equal(table_changes, 3);
	assert_null(crow_table_find_denial(&table, "c.eas.internal"));

	assert_int_equal(crow_table_expire(&table, 14), 15);
	assert_int_equal(crow_table_expire(&table, 15), 20);
	assert_null(crow_table_find_denial(&table, "a.eas.internal"));
	assert_non_null(crow_table_find_denial(&table, "b.eas.internal"));
	assert_int_equal(table_changes, 4);
	crow_table_deny(&table, "b.eas.internal", CROW_NAME_FAILED, 30);
	crow_table_deny(&table, "a.eas.internal", CROW_NAME_FAILED, 30); /* again: news again */
	assert_int_equal(table_changes, 5);
	assert_true(crow_table_configure(&table, &fake.config));
	assert_null(crow_table_find_denial(&table, "b.eas.internal"));
}

static void test_denials_are_bounded(void **state)
{
	char name[400];

	(void)state;
	for (int i = 0; i < CROW_DENIALS_MAX + 10; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		crow_table_deny(&table, name, CROW_NAME_UNKNOWN, 1000 + i);
	}
	assert_int_equal(table.denial_count, CROW_DENIALS_MAX);
	assert_null(crow_table_find_denial(&table, "n9"));
	assert_non_null(crow_table_find_denial(&table, "n10"));
	assert_non_null(crow_table_find_denial(&table, name));
	memset(name, 'x', sizeof(name));
	name[CROW_NAME_MAX + 1] = '\0';
	crow_table_deny(&table, name, CROW_NAME_UNKNOWN, 5000);
	assert_null(crow_table_find_denial(&table, name));
	assert_int_equal(crow_table_expire(&table, 10000), INT64_MAX);
	assert_null(table.denials);
}

static void test_every_outcome_has_a_word(void **state)
{
	(void)state;
	for (int a = CROW_POLL_NEVER; a <= CROW_POLL_NO_MEMORY; a++) {
		for (int b = CROW_POLL_NEVER; b < a; b++)
			assert_string_not_equal(crow_poll_stroutcome((enum crow_poll_outcome)a),
						crow_poll_stroutcome((enum crow_poll_outcome)b));
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_first_list),
		TEST(an_equal_list_only_confirms),
		TEST(a_weight_alone_is_a_change),
		TEST(no_failure_touches_the_list),
		TEST(failing_is_said_once_and_so_is_recovery),
		TEST(a_service_that_never_rests_does_not_flood_the_log),
		TEST(discovery_that_fails_now_and_then_does_not_flood_the_log),
		TEST(another_outcome_is_said_again),
		TEST(corrections_are_said_when_they_begin),
		TEST(counters),
		TEST(what_vanishes_becomes_a_tombstone),
		TEST(what_comes_back_loses_its_tombstone),
		TEST(tombstones_expire),
		TEST(tombstones_are_bounded),
		TEST(a_restored_list_serves),
		TEST(the_wall_clock_decides_nothing),
		TEST(a_newer_list_is_not_overwritten_by_an_older),
		TEST(a_restored_list_of_drained_is_no_list),
		TEST(accept_applies_to_restored_lists),
		TEST(reload_keeps_adds_and_drops),
		TEST(services_on_demand),
		TEST(reload_keeps_services_on_demand_while_their_source_is),
		TEST(denials),
		TEST(denials_are_bounded),
		TEST(every_outcome_has_a_word),
	};

	return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
