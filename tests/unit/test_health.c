/*
 * The rules of health under a fake clock: endpoints, the book, who is judged out, when what is
 * probed. No socket, no daemon.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/health/limit.h"
#include "daemon/health/ward.h"
#include "tests/unit/fixture.h"

#define MS_NS     INT64_C(1000000)
#define SECOND_NS (1000 * MS_NS)

static const struct crow_endpoint_waits waits = {100, 10000};

/* ---- an endpoint ---- */

static int64_t outcome(struct crow_endpoint *endpoint, enum crow_evidence evidence, int64_t now_ns)
{
	endpoint->probing = true;
	endpoint->begun_ns = now_ns - MS_NS;
	return crow_endpoint_outcome(endpoint, evidence, &waits, 1u << 31, now_ns);
}

static void test_what_makes_an_endpoint_go_down(void **state)
{
	static const struct {
		enum crow_evidence first, second;
		enum crow_endpoint_state after_first, after_second;
	} cases[] = {
		{CROW_EVIDENCE_REFUSED, CROW_EVIDENCE_OK, CROW_ENDPOINT_DOWN, CROW_ENDPOINT_UP},
		{CROW_EVIDENCE_UNREACHABLE, CROW_EVIDENCE_LOCAL, CROW_ENDPOINT_DOWN,
		 CROW_ENDPOINT_DOWN},
		{CROW_EVIDENCE_SILENT, CROW_EVIDENCE_SILENT, CROW_ENDPOINT_SUSPECT,
		 CROW_ENDPOINT_DOWN},
		{CROW_EVIDENCE_SILENT, CROW_EVIDENCE_OK, CROW_ENDPOINT_SUSPECT, CROW_ENDPOINT_UP},
		{CROW_EVIDENCE_SILENT, CROW_EVIDENCE_REFUSED, CROW_ENDPOINT_SUSPECT,
		 CROW_ENDPOINT_DOWN},
		{CROW_EVIDENCE_SILENT, CROW_EVIDENCE_LOCAL, CROW_ENDPOINT_SUSPECT,
		 CROW_ENDPOINT_UP},
		{CROW_EVIDENCE_LOCAL, CROW_EVIDENCE_LOCAL, CROW_ENDPOINT_UP, CROW_ENDPOINT_UP},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct crow_endpoint endpoint = {0};

		outcome(&endpoint, cases[i].first, SECOND_NS);
		assert_int_equal(endpoint.state, cases[i].after_first);
		outcome(&endpoint, cases[i].second, 2 * SECOND_NS);
		assert_int_equal(endpoint.state, cases[i].after_second);
	}
}

static void test_a_report_alone_ejects_nobody(void **state)
{
	struct crow_endpoint endpoint = {0};
	int64_t due_ns = CROW_ENDPOINT_NEVER;
	unsigned probes = 0;

	(void)state;
	for (int64_t now_ns = SECOND_NS; now_ns < 11 * SECOND_NS; now_ns += MS_NS) {
		int64_t wanted_ns = crow_endpoint_report(&endpoint, now_ns);

		due_ns = wanted_ns < due_ns ? wanted_ns : due_ns;
		if (due_ns > now_ns)
			continue;
		due_ns = CROW_ENDPOINT_NEVER;
		probes++;
		assert_int_equal(endpoint.state, CROW_ENDPOINT_SUSPECT);
		assert_int_equal(outcome(&endpoint, CROW_EVIDENCE_OK, now_ns), CROW_ENDPOINT_NEVER);
		assert_int_equal(endpoint.state, CROW_ENDPOINT_UP);
	}
	assert_int_equal(probes, 10); /* one a second */
	assert_int_equal(endpoint.reports, 10000);
	assert_int_equal(endpoint.ejections, 0);
}

/* The random number of these tests is the middle: no jitter. */
static void test_waits_double_up_to_the_longest(void **state)
{
	static const int64_t expected_ms[] = {100,  200,  400,   800,   1600,
					      3200, 6400, 10000, 10000, 10000};
	struct crow_endpoint endpoint = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(expected_ms) / sizeof(expected_ms[0]); i++)
		assert_int_equal(outcome(&endpoint, CROW_EVIDENCE_REFUSED, SECOND_NS) - SECOND_NS,
				 expected_ms[i] * MS_NS);
	assert_int_equal(endpoint.ejections, 1);
	assert_int_equal(endpoint.since_ns, SECOND_NS);
}

static void test_jitter_is_a_fifth_either_way(void **state)
{
	int64_t least = INT64_MAX, most = 0;

	(void)state;
	for (uint64_t random = 0; random <= UINT32_MAX; random += UINT32_MAX / 1000) {
		struct crow_endpoint endpoint = {.probing = true};
		int64_t due_ns = crow_endpoint_outcome(&endpoint, CROW_EVIDENCE_REFUSED, &waits,
						       (uint32_t)random, 0);

		least = due_ns < least ? due_ns : least;
		most = due_ns > most ? due_ns : most;
	}
	assert_in_range(least, 80 * MS_NS, 81 * MS_NS);
	assert_in_range(most, 119 * MS_NS, 120 * MS_NS);
}

/* One that is back only to fail again is asked as seldom as before; one that stayed is forgiven. */
static void test_one_that_comes_and_goes_waits_longer(void **state)
{
	struct crow_endpoint endpoint = {0};
	int64_t now_ns = SECOND_NS, waited_ns = 0;

	(void)state;
	for (int round = 0; round < 12; round++) {
		waited_ns = outcome(&endpoint, CROW_EVIDENCE_REFUSED, now_ns) - now_ns;
		now_ns += waited_ns;
		outcome(&endpoint, CROW_EVIDENCE_OK, now_ns);
		now_ns += SECOND_NS;
	}
	assert_int_equal(waited_ns, 10 * SECOND_NS);
	now_ns += 10 * SECOND_NS;
	assert_int_equal(outcome(&endpoint, CROW_EVIDENCE_REFUSED, now_ns) - now_ns, 100 * MS_NS);
}

/* ---- the book ---- */

static struct crow_addr address(uint32_t i)
{
	uint8_t bytes[4] = {10, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};

	return crow_addr_v4(bytes);
}

static uint64_t seed = 1;

static uint32_t dice(uint32_t sides)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(seed >> 33) % sides;
}

static void test_the_book_gives_what_is_due_first(void **state)
{
	struct crow_book book;
	int64_t last = -1;
	size_t due = 0;

	(void)state;
	assert_true(crow_book_init(&book));
	for (int i = 0; i < 5000; i++) {
		struct crow_addr addr = address(dice(700));
		struct crow_endpoint *endpoint = crow_book_note(&book, &addr, 80, 0);

		assert_ptr_equal(crow_book_find(&book, &addr, 80), endpoint);
		if (dice(4) == 0) {
			crow_book_forget(&book, endpoint);
			assert_null(crow_book_find(&book, &addr, 80));
		} else {
			crow_book_set_due(&book, endpoint,
					  dice(5) ? (int64_t)dice(1000) : CROW_ENDPOINT_NEVER);
		}
	}
	for (size_t i = 0; i < book.count; i++)
		due += book.all[i]->due_ns != CROW_ENDPOINT_NEVER;
	assert_int_equal(due, book.heap_count);
	while (crow_book_first(&book) != NULL) {
		struct crow_endpoint *first = crow_book_first(&book);

		assert_true(first->due_ns >= last);
		last = first->due_ns;
		crow_book_set_due(&book, first, CROW_ENDPOINT_NEVER);
	}
	crow_book_fini(&book);
}

static void test_a_full_book_takes_no_more(void **state)
{
	struct crow_book book;
	struct crow_addr addr;

	(void)state;
	assert_true(crow_book_init(&book));
	for (uint32_t i = 0; i < CROW_BOOK_MAX; i++) {
		addr = address(i);
		assert_non_null(crow_book_note(&book, &addr, 80, 0));
	}
	assert_non_null(crow_book_note(&book, &addr, 80, 0)); /* the last one is there */
	assert_null(crow_book_note(&book, &addr, 81, 0));
	crow_book_fini(&book);
}

/* ---- judging ---- */

static unsigned count_out(const struct crow_down *downs, size_t count)
{
	unsigned out = 0;

	for (size_t i = 0; i < count; i++)
		out += downs[i].verdict == CROW_VERDICT_OUT;
	return out;
}

static void test_all_down_means_all_in(void **state)
{
	struct crow_case which = {.count = 3, .weight = 300};
	struct crow_down downs[3];

	(void)state;
	for (size_t n = 1; n <= 3; n++) {
		for (size_t i = 0; i < n; i++)
			downs[i] = (struct crow_down){
				.item = i, .weight = 100, .since_ns = 1, .witnessed = true};
		crow_judge(&which, downs, n, 10);
		assert_int_equal(count_out(downs, n), n < 3 ? n : 0);
	}
	assert_int_equal(downs[0].verdict, CROW_VERDICT_ALL_DOWN);
}

static void test_time_outs_take_half_of_the_weight(void **state)
{
	struct crow_case which = {.count = 10, .weight = 1000};
	struct crow_down downs[9];

	(void)state;
	for (size_t i = 0; i < 9; i++)
		downs[i] = (struct crow_down){.item = i,
					      .weight = 100,
					      .since_ns = 9 - (int64_t)i,
					      .silent = i != 4,
					      .witnessed = true};
	crow_judge(&which, downs, 9, 10);
	assert_int_equal(count_out(downs, 9), 6); /* five by time-outs, and the one that refuses */
	assert_int_equal(downs[0].item, 8);       /* the longest down first */
	assert_int_equal(downs[8].verdict, CROW_VERDICT_HALF);
}

static void test_one_silent_instance_goes_out_however_heavy(void **state)
{
	struct crow_case which = {.count = 2, .weight = 101};
	struct crow_down down = {.weight = 100, .silent = true, .witnessed = true};

	(void)state;
	crow_judge(&which, &down, 1, 10);
	assert_int_equal(down.verdict, CROW_VERDICT_OUT);
	down.witnessed = false;
	crow_judge(&which, &down, 1, 10);
	assert_int_equal(down.verdict, CROW_VERDICT_NO_WITNESS);
}

static void test_after_a_total_loss_they_go_out_step_by_step(void **state)
{
	struct crow_case which = {.count = 10,
				  .weight = 1000,
				  .fell_ns = 100 * SECOND_NS,
				  .regained_ns = 200 * SECOND_NS,
				  .ramp_ns = 10 * SECOND_NS};
	struct crow_down downs[9];

	(void)state;
	for (int64_t s = 0; s <= 10; s++) {
		for (size_t i = 0; i < 9; i++)
			downs[i] = (struct crow_down){.item = i,
						      .weight = 100,
						      .since_ns = 99 * SECOND_NS,
						      .witnessed = true};
		crow_judge(&which, downs, 9, (200 + s) * SECOND_NS);
		assert_int_equal(count_out(downs, 9), s < 9 ? s : 9);
	}
	downs[0].since_ns = 80 * SECOND_NS; /* long before the loss */
	crow_judge(&which, downs, 9, 200 * SECOND_NS);
	assert_int_equal(count_out(downs, 9), 1);
	assert_int_equal(downs[0].verdict, CROW_VERDICT_OUT);
}

/* ---- the whole, with a fake clock ---- */

#define CONFIG                                                                                     \
	"[source s]\nendpoint=http://127.0.0.1:1\nservices=one,two_b\n[health]\nprobe-rate=1000\n"

static struct fixture f;
static struct crow_care care;
static int64_t now_ns;
static unsigned changes;

/* Probes that nobody answers. */
static struct {
	struct crow_endpoint *endpoint;
	int64_t at_ns;
} waiting[256];

static size_t waiting_count;

static void on_change(void *context, const struct crow_service *service, bool list_changed)
{
	(void)context;
	changes++;
	if (list_changed)
		crow_care_take_list(&care, crow_table_find(&f.table, service->name), now_ns);
}

static const struct fixture_item four[] = {{"10.0.0.1", 8001, 100},
					   {"10.0.0.2", 8002, 100},
					   {"10.0.0.3", 8003, 100},
					   {"10.0.0.4", 8004, 100}};

static void begin(const char *config)
{
	fixture_init(&f, config);
	now_ns = 1000 * SECOND_NS;
	assert_true(crow_care_init(&care, &f.table, 1, now_ns));
	f.table.on_change = on_change;
	changes = 0;
	waiting_count = 0;
}

static int setup(void **state)
{
	(void)state;
	begin(CONFIG);
	fixture_take(&f, "one", four, 4);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	crow_care_fini(&care);
	fixture_fini(&f);
	return 0;
}

static struct crow_service *service_named(const char *name)
{
	return crow_table_find(&f.table, name);
}

/* What a network would say to a probe of each port from 8000 on. */
static enum crow_evidence world[64];

static unsigned probed[64];

/* Runs the clock up to a time. A probe that is not answered ends 250 ms later; all others at once. */
static void run_until(int64_t end_ns)
{
	while (now_ns <= end_ns) {
		struct crow_endpoint *endpoint;
		int64_t next_ns = end_ns + 1;

		crow_care_step(&care, now_ns);
		while ((endpoint = crow_care_next(&care, now_ns)) != NULL) {
			enum crow_evidence evidence = world[endpoint->port - 8000];

			probed[endpoint->port - 8000]++;
			if (evidence != CROW_EVIDENCE_SILENT) {
				crow_care_outcome(&care, endpoint, evidence, now_ns);
				continue;
			}
			assert_true(waiting_count < 256);
			waiting[waiting_count].endpoint = endpoint;
			waiting[waiting_count++].at_ns = now_ns + 250 * MS_NS;
		}
		for (size_t i = waiting_count; i-- > 0;) {
			if (waiting[i].at_ns > now_ns)
				continue;
			crow_care_outcome(&care, waiting[i].endpoint, CROW_EVIDENCE_SILENT, now_ns);
			waiting[i] = waiting[--waiting_count];
		}
		for (size_t i = 0; i < waiting_count; i++)
			next_ns = waiting[i].at_ns < next_ns ? waiting[i].at_ns : next_ns;
		if (crow_care_due_ns(&care, now_ns) < next_ns)
			next_ns = crow_care_due_ns(&care, now_ns);
		now_ns = next_ns > now_ns ? next_ns : now_ns + 1;
	}
	now_ns = end_ns;
}

static void run(int64_t ms)
{
	run_until(now_ns + ms * MS_NS);
}

static void all_say(enum crow_evidence evidence)
{
	for (size_t i = 0; i < 64; i++)
		world[i] = evidence;
	memset(probed, 0, sizeof(probed));
}

static void report(const char *name, size_t item)
{
	const struct crow_item *at = &service_named(name)->list.items[item];

	assert_true(crow_care_is_listed(service_named(name), &at->addr, at->port));
	crow_care_report(&care, &at->addr, at->port, now_ns);
}

static uint8_t share(const char *name, size_t item)
{
	return crow_service_share(service_named(name), item);
}

static unsigned ejected(const char *name)
{
	unsigned count = 0;

	for (size_t i = 0; i < service_named(name)->list.count; i++)
		count += share(name, i) == 0;
	return count;
}

static void test_a_refusal_is_proved_and_published(void **state)
{
	(void)state;
	all_say(CROW_EVIDENCE_OK);
	world[2] = CROW_EVIDENCE_REFUSED;
	changes = 0;
	report("one", 1);
	report("one", 1);
	assert_int_equal(changes, 0); /* a report is a hint */
	run(1);
	assert_int_equal(probed[2], 1);
	assert_int_equal(changes, 1);
	assert_int_equal(share("one", 1), 0);
	assert_int_equal(ejected("one"), 1);

	world[2] = CROW_EVIDENCE_OK;
	run(200);
	assert_int_equal(probed[2], 2);
	assert_int_equal(share("one", 1), 100);
	assert_int_equal(changes, 2);
}

static void test_a_report_of_what_is_up_changes_nothing(void **state)
{
	(void)state;
	all_say(CROW_EVIDENCE_OK);
	changes = 0;
	for (int i = 0; i < 3000; i++) {
		report("one", 1);
		run(1);
	}
	assert_in_range(probed[2], 3, 4); /* one a second, at both ends */
	assert_int_equal(changes, 0);
}

/* What was up a moment ago may be down now: the report is not lost, but waits. */
static void test_a_report_soon_after_another_is_remembered(void **state)
{
	(void)state;
	all_say(CROW_EVIDENCE_OK);
	report("one", 1);
	run(10);
	world[2] = CROW_EVIDENCE_REFUSED;
	report("one", 1);
	run(900);
	assert_int_equal(probed[2], 1);
	run(100);
	assert_int_equal(probed[2], 2);
	assert_int_equal(share("one", 1), 0);
}

static void test_silence_takes_two_probes_and_a_witness(void **state)
{
	(void)state;
	all_say(CROW_EVIDENCE_OK);
	world[2] = CROW_EVIDENCE_SILENT;
	report("one", 1);
	run(400);
	assert_int_equal(probed[2], 2);
	assert_int_equal(ejected("one"), 0);
	run(101);
	assert_int_equal(share("one", 1), 0);
	assert_true(probed[1] + probed[3] + probed[4] >= 1);
	assert_true(probed[1] + probed[3] + probed[4] <= 2);
}

/* FAULTS N6. */
static void test_a_lost_route_ejects_nobody(void **state)
{
	static const enum crow_evidence weak[] = {CROW_EVIDENCE_UNREACHABLE, CROW_EVIDENCE_SILENT};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		all_say(weak[i]);
		changes = 0;
		report("one", 0);
		for (int ms = 0; ms < 3000; ms++) {
			run(1);
			assert_int_equal(ejected("one"), 0);
		}
		assert_int_equal(changes, 0);
		assert_true(service_named("one")->standings[0].lost_ns != 0);
		assert_true(probed[1] && probed[2] && probed[3] && probed[4]);
		all_say(CROW_EVIDENCE_OK);
		run(30000);
		assert_int_equal(service_named("one")->standings[0].lost_ns, 0);
		assert_int_equal(ejected("one"), 0);
	}
}

static void test_the_last_one_stays(void **state)
{
	(void)state;
	all_say(CROW_EVIDENCE_REFUSED);
	for (size_t i = 0; i < 3; i++)
		report("one", i);
	run(1);
	assert_int_equal(ejected("one"), 3);
	report("one", 3);
	run(1);
	assert_int_equal(ejected("one"), 0);
	assert_true(service_named("one")->standings[0].lost_ns != 0);
}

static void test_after_all_were_down_the_first_does_not_get_all(void **state)
{
	unsigned last = 0;

	(void)state;
	all_say(CROW_EVIDENCE_REFUSED);
	for (size_t i = 0; i < 4; i++)
		report("one", i);
	run(60000);
	world[1] = CROW_EVIDENCE_OK;
	while (service_named("one")->standings[0].lost_ns != 0)
		run(1);
	assert_int_equal(ejected("one"), 0);
	for (int s = 0; s < 11; s++) {
		run(1000);
		assert_true(ejected("one") >= last && ejected("one") <= last + 1);
		last = ejected("one");
	}
	assert_int_equal(last, 3);
}

static void test_a_family_is_judged_by_itself(void **state)
{
	static const struct fixture_item mixed[] = {
		{"10.0.0.1", 8001, 100}, {"2001:db8::1", 8002, 100}, {"2001:db8::2", 8003, 100}};

	(void)state;
	fixture_take(&f, "one", mixed, 3);
	all_say(CROW_EVIDENCE_OK);
	world[1] = CROW_EVIDENCE_REFUSED;
	world[2] = CROW_EVIDENCE_REFUSED;
	report("one", 0);
	report("one", 1);
	run(1);
	assert_int_equal(share("one", 0), 100); /* the only one that IPv4 has */
	assert_int_equal(share("one", 1), 0);
	assert_int_equal(share("one", 2), 100);
}

static void test_an_address_of_two_services_is_probed_once(void **state)
{
	(void)state;
	fixture_take(&f, "two_b", four, 2);
	all_say(CROW_EVIDENCE_OK);
	world[1] = CROW_EVIDENCE_REFUSED;
	report("one", 0);
	report("two_b", 0);
	run(50);
	assert_int_equal(probed[1], 1);
	assert_int_equal(share("one", 0), 0);
	assert_int_equal(share("two_b", 0), 0);
	world[2] = CROW_EVIDENCE_REFUSED;
	report("one", 1);
	run(1);
	assert_int_equal(ejected("one"), 2);
	assert_int_equal(ejected("two_b"), 0); /* there it was the last one */
}

static void test_who_leaves_the_list_is_forgotten(void **state)
{
	(void)state;
	all_say(CROW_EVIDENCE_OK);
	world[1] = CROW_EVIDENCE_REFUSED;
	report("one", 0);
	run(1);
	assert_int_equal(share("one", 0), 0);
	fixture_take(&f, "one", four + 1, 3);
	assert_int_equal(ejected("one"), 0);
	fixture_take(&f, "one", four, 4);
	assert_int_equal(share("one", 0), 100); /* new, and in at once */
	run(20000);
	assert_int_equal(probed[1], 1);
}

static void test_who_stays_in_the_list_stays_out_of_picks(void **state)
{
	static const struct fixture_item other[] = {
		{"10.0.0.1", 8001, 7}, {"10.0.0.2", 8002, 100}, {"10.0.0.9", 8009, 100}};

	(void)state;
	all_say(CROW_EVIDENCE_OK);
	world[1] = CROW_EVIDENCE_REFUSED;
	report("one", 0);
	run(1);
	fixture_take(&f, "one", other, 3);
	assert_int_equal(share("one", 0), 0);
	assert_int_equal(ejected("one"), 1);
	fixture_take(&f, "one", other, 1); /* the only one now */
	assert_int_equal(share("one", 0), 100);
}

/* Who was down is shown for ten minutes more, who never was for one. */
static void test_what_is_long_past_is_forgotten(void **state)
{
	(void)state;
	all_say(CROW_EVIDENCE_OK);
	world[1] = CROW_EVIDENCE_REFUSED;
	report("one", 0);
	report("one", 1);
	run(10);
	world[1] = CROW_EVIDENCE_OK;
	run(130000);
	assert_int_equal(care.book.count, 1);
	assert_int_equal(care.book.all[0]->port, 8001);
	run(600000);
	assert_int_equal(care.book.count, 0);
}

static void test_who_is_drained_is_left_alone(void **state)
{
	static const struct fixture_item drained[] = {{"10.0.0.1", 8001, 0},
						      {"10.0.0.2", 8002, 100},
						      {"10.0.0.3", 8003, 100},
						      {"10.0.0.4", 8004, 100}};
	unsigned before;

	(void)state;
	all_say(CROW_EVIDENCE_REFUSED);
	report("one", 0);
	run(1);
	assert_int_equal(share("one", 0), 0);
	before = probed[1];
	fixture_take(&f, "one", drained, 4);
	run(20000);
	assert_int_equal(probed[1], before);
	assert_false(crow_care_is_listed(service_named("one"),
					 &service_named("one")->list.items[0].addr, 8001));
	fixture_take(&f, "one", four, 4);
	assert_int_equal(share("one", 0), 100);
}

static void test_what_nobody_has_is_not_probed(void **state)
{
	struct crow_addr addr = address(99);

	(void)state;
	assert_false(crow_care_is_listed(service_named("one"), &addr, 8001));
	addr = service_named("one")->list.items[0].addr;
	assert_false(crow_care_is_listed(service_named("one"), &addr, 22));
	crow_care_given(&care, &addr, 22, now_ns); /* of an older image */
	run(1000);
	assert_int_equal(care.book.count, 0);
}

static void test_what_dns_gave_is_probed_for_a_minute(void **state)
{
	const struct crow_item *item = &service_named("one")->list.items[0];

	(void)state;
	all_say(CROW_EVIDENCE_OK);
	crow_care_given(&care, &item->addr, item->port, now_ns);
	run(120000);
	assert_in_range(probed[1], 55, 66);
	assert_int_equal(probed[2], 0);
	run(600000);
	assert_int_equal(care.book.count, 0); /* and then forgotten */
}

static void test_what_dns_gave_and_died_goes_out_and_comes_back(void **state)
{
	const struct crow_item *item = &service_named("one")->list.items[0];

	(void)state;
	all_say(CROW_EVIDENCE_REFUSED);
	crow_care_given(&care, &item->addr, item->port, now_ns);
	run(1);
	assert_int_equal(share("one", 0), 0);
	run(300000); /* a minute after it was given for the last time it is still asked for */
	assert_true(probed[1] > 30);
	all_say(CROW_EVIDENCE_OK);
	run(13000);
	assert_int_equal(share("one", 0), 100);
}

static double one(unsigned i)
{
	(void)i;
	return 1;
}

/* However much there is to ask. */
static void test_probes_keep_to_their_rate(void **state)
{
	unsigned count = 0, at_once = 0;
	struct crow_endpoint *endpoint;

	(void)state;
	crow_care_fini(&care);
	fixture_fini(&f);
	begin("[source s]\nendpoint=http://127.0.0.1:1\nservices=one,two_b\n");
	fixture_take_many(&f, "one", 2000, one);
	for (int64_t end_ns = now_ns + 10 * SECOND_NS; now_ns < end_ns; now_ns += 10 * MS_NS) {
		for (size_t i = 0; i < 2000; i++) {
			const struct crow_item *item = &service_named("one")->list.items[i];

			crow_care_given(&care, &item->addr, item->port, now_ns);
		}
		while ((endpoint = crow_care_next(&care, now_ns)) != NULL) {
			crow_care_outcome(&care, endpoint, CROW_EVIDENCE_OK, now_ns);
			count++;
		}
	}
	assert_in_range(count, 900, 1100);
	for (size_t i = 0; i < 2000; i++)
		report("one", i);
	while ((endpoint = crow_care_next(&care, now_ns)) != NULL) {
		assert_int_equal(endpoint->state, CROW_ENDPOINT_SUSPECT);
		crow_care_outcome(&care, endpoint, CROW_EVIDENCE_OK, now_ns);
		at_once++;
	}
	assert_in_range(at_once, 45, 51); /* what the rounds left for them */
}

static void test_without_probes_nobody_is_out(void **state)
{
	struct crow_config *config = f.config;

	(void)state;
	all_say(CROW_EVIDENCE_REFUSED);
	report("one", 0);
	run(1);
	assert_int_equal(ejected("one"), 1);
	config->probe_rate = 0;
	crow_care_configure(&care, now_ns);
	assert_int_equal(ejected("one"), 0);
	report("one", 0);
	run(10000);
	assert_int_equal(ejected("one"), 0);
}

static void test_slow_start_raises_the_share(void **state)
{
	static const struct fixture_item five[] = {{"10.0.0.1", 8001, 100},
						   {"10.0.0.2", 8002, 100},
						   {"10.0.0.3", 8003, 100},
						   {"10.0.0.4", 8004, 100},
						   {"10.0.0.5", 8005, 100}};

	(void)state;
	f.config->slow_start_ms = 10000;
	all_say(CROW_EVIDENCE_OK);
	world[1] = CROW_EVIDENCE_REFUSED;
	report("one", 0);
	run(1);
	all_say(CROW_EVIDENCE_OK);
	run(150);
	assert_int_equal(share("one", 0), 10);
	assert_int_equal(share("one", 1), 100);
	run(5000);
	assert_in_range(share("one", 0), 40, 60);
	run(6000);
	assert_int_equal(share("one", 0), 100);
	fixture_take(&f, "one", five, 5); /* one that is new */
	assert_int_equal(share("one", 4), 10);
	assert_int_equal(share("one", 0), 100);
	run(11000);
	assert_int_equal(share("one", 4), 100);
}

/* ---- at random ---- */

static uint64_t weight_out(bool silent_only, size_t *count)
{
	const struct crow_list *list = &service_named("one")->list;
	uint64_t weight = 0;

	*count = 0;
	for (size_t i = 0; i < list->count; i++) {
		const struct crow_endpoint *endpoint =
			crow_book_find(&care.book, &list->items[i].addr, list->items[i].port);

		if (list->items[i].weight == 0 || share("one", i) > 0)
			continue;
		assert_non_null(endpoint);
		assert_int_equal(endpoint->state, CROW_ENDPOINT_DOWN);
		if (silent_only && endpoint->why != CROW_EVIDENCE_SILENT)
			continue;
		weight += list->items[i].weight;
		(*count)++;
	}
	return weight;
}

static void check_invariants(void)
{
	const struct crow_list *list = &service_named("one")->list;
	size_t pickable = 0, out, silent;
	uint64_t weight = 0, silent_weight;

	for (size_t i = 0; i < list->count; i++) {
		pickable += list->items[i].weight > 0;
		weight += list->items[i].weight;
	}
	weight_out(false, &out);
	silent_weight = weight_out(true, &silent);
	assert_true(out < pickable);
	assert_true(silent <= 1 || silent_weight <= weight / 2);
	if (service_named("one")->standings[0].lost_ns != 0)
		assert_int_equal(out, 0);
}

static void take_random_list(void)
{
	struct fixture_item items[12];
	char text[12][16];
	size_t count = 0;

	for (unsigned i = 0; i < 12; i++) {
		if (dice(4) == 0)
			continue;
		snprintf(text[count], sizeof(text[0]), "10.0.0.%u", i + 1);
		items[count] = (struct fixture_item){text[count], 8001 + (int)i, dice(5)};
		count++;
	}
	items[0].weight = 1; /* a list of drained ones alone is none */
	fixture_take(&f, "one", items, count);
}

static void test_the_rules_hold_whatever_happens(void **state)
{
	static const enum crow_evidence all[] = {CROW_EVIDENCE_OK,      CROW_EVIDENCE_OK,
						 CROW_EVIDENCE_REFUSED, CROW_EVIDENCE_SILENT,
						 CROW_EVIDENCE_LOCAL,   CROW_EVIDENCE_UNREACHABLE};

	(void)state;
	f.config->recovery_ramp_ms = 2000;
	all_say(CROW_EVIDENCE_OK);
	for (int i = 0; i < 20000; i++) {
		size_t count = service_named("one")->list.count, item = dice((uint32_t)count);
		const struct crow_item *at = &service_named("one")->list.items[item];

		switch (dice(12)) {
		case 0:
			take_random_list();
			break;
		case 1:
		case 2:
			crow_care_given(&care, &at->addr, at->port, now_ns);
			break;
		case 3:
			f.config->slow_start_ms = dice(2) * 1000;
			break;
		case 4:
			for (size_t k = 0; k < 64; k++)
				world[k] = all[dice(2)];
			break;
		case 5:
			world[1 + dice(12)] = all[dice(6)];
			break;
		default:
			if (at->weight > 0)
				report("one", item);
		}
		check_invariants();
		run(dice(300));
		check_invariants();
	}
	/* In the end all answer, and all are in. */
	all_say(CROW_EVIDENCE_OK);
	f.config->slow_start_ms = 0;
	run(30000);
	assert_int_equal(ejected("one"), 0);
}

/* ---- senders ---- */

static void test_a_sender_has_an_allowance(void **state)
{
	struct crow_limit limit;
	unsigned granted = 0;

	(void)state;
	crow_limit_init(&limit, 10, 20, 7);
	for (int64_t at_ns = SECOND_NS; at_ns < 11 * SECOND_NS; at_ns += MS_NS)
		granted += crow_limit_take(&limit, 42, at_ns);
	assert_in_range(granted, 118, 121); /* 20 at once, and 10 a second */
	assert_true(crow_limit_take(&limit, 43, 11 * SECOND_NS));
	granted = 0;
	for (int i = 0; i < 100; i++)
		granted += crow_limit_take(&limit, 42, 100 * SECOND_NS);
	assert_int_equal(granted, 20);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_makes_an_endpoint_go_down),
		cmocka_unit_test(test_a_report_alone_ejects_nobody),
		cmocka_unit_test(test_waits_double_up_to_the_longest),
		cmocka_unit_test(test_jitter_is_a_fifth_either_way),
		cmocka_unit_test(test_one_that_comes_and_goes_waits_longer),
		cmocka_unit_test(test_the_book_gives_what_is_due_first),
		cmocka_unit_test(test_a_full_book_takes_no_more),
		cmocka_unit_test(test_all_down_means_all_in),
		cmocka_unit_test(test_time_outs_take_half_of_the_weight),
		cmocka_unit_test(test_one_silent_instance_goes_out_however_heavy),
		cmocka_unit_test(test_after_a_total_loss_they_go_out_step_by_step),
		cmocka_unit_test(test_a_sender_has_an_allowance),
		TEST(test_a_refusal_is_proved_and_published),
		TEST(test_a_report_of_what_is_up_changes_nothing),
		TEST(test_a_report_soon_after_another_is_remembered),
		TEST(test_silence_takes_two_probes_and_a_witness),
		TEST(test_a_lost_route_ejects_nobody),
		TEST(test_the_last_one_stays),
		TEST(test_after_all_were_down_the_first_does_not_get_all),
		TEST(test_a_family_is_judged_by_itself),
		TEST(test_an_address_of_two_services_is_probed_once),
		TEST(test_who_leaves_the_list_is_forgotten),
		TEST(test_who_stays_in_the_list_stays_out_of_picks),
		TEST(test_what_is_long_past_is_forgotten),
		TEST(test_who_is_drained_is_left_alone),
		TEST(test_what_nobody_has_is_not_probed),
		TEST(test_what_dns_gave_is_probed_for_a_minute),
		TEST(test_what_dns_gave_and_died_goes_out_and_comes_back),
		TEST(test_probes_keep_to_their_rate),
		TEST(test_without_probes_nobody_is_out),
		TEST(test_slow_start_raises_the_share),
		TEST(test_the_rules_hold_whatever_happens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
