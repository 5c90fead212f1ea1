/* Questions in flight, and whom to ask next: with a clock of our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/dns/flight.h"
#include "daemon/dns/question.h"

#define SECOND_NS INT64_C(1000000000)
#define FLAG_CD   0x0010

enum { A = 1, AAAA = 28 };

static const uint64_t secret[2] = {1, 2};
static const struct crow_listens nowhere;
static struct crow_flights flights;
static struct crow_upstreams *upstreams;
static struct crow_ranking ranking;
static struct crow_asker asker;

static struct crow_query make(const char *name, uint16_t type)
{
	struct crow_query query;

	crow_question_make(&query, name, type);
	return query;
}

static int set_up(void **state)
{
	struct crow_listen items[3];
	struct crow_listens servers = {items, 3};

	(void)state;
	for (uint8_t i = 0; i < 3; i++)
		items[i] = (struct crow_listen){crow_addr_v4((uint8_t[4]){192, 0, 2, i}), 53};
	upstreams = crow_upstreams_new(&servers, &nowhere, NULL);
	crow_ranking_init(&ranking, upstreams);
	return crow_flights_init(&flights, secret) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	crow_ranking_fini(&ranking);
	crow_upstreams_release(upstreams);
	crow_flights_fini(&flights);
	return 0;
}

static struct crow_flight *add(const char *name)
{
	struct crow_query query = make(name, A);

	return crow_flights_add(&flights, &query, 0);
}

/* ---- which questions are equal ---- */

static void test_equal_questions_are_one_flight(void **state)
{
	struct crow_query query = make("www.example.com", A), other = make("WWW.eXample.com", A);
	struct crow_flight *flight = crow_flights_add(&flights, &query, 0);

	(void)state;
	other.id = 77;
	assert_ptr_equal(crow_flights_find(&flights, &other), flight);
	other.type = AAAA;
	assert_null(crow_flights_find(&flights, &other));
	other.type = A;
	other.flags = FLAG_CD;
	assert_null(crow_flights_find(&flights, &other));
	other.flags = 0;
	other.dnssec_ok = true;
	assert_null(crow_flights_find(&flights, &other));
	other = make("ww.example.com", A);
	assert_null(crow_flights_find(&flights, &other));
	crow_flights_remove(&flights, flight);
	assert_null(crow_flights_find(&flights, &query));
}

/* In the text of a query both a dot and a NUL inside a label are a NUL. */
static void test_bytes_of_labels_are_told_apart(void **state)
{
	struct crow_query dot = make("a-b.example", A), nul = dot;
	struct crow_flight *flight;

	(void)state;
	dot.name[2] = '.';
	nul.name[2] = '\0';
	flight = crow_flights_add(&flights, &dot, 0);
	assert_non_null(flight);
	assert_null(crow_flights_find(&flights, &nul));
}

static void test_the_table_has_an_end(void **state)
{
	struct crow_flight *last = NULL, *found;
	char name[32];

	(void)state;
	for (int i = 0; i < CROW_FLIGHTS_MAX; i++) {
		snprintf(name, sizeof(name), "n%d.example", i);
		last = add(name);
		assert_non_null(last);
	}
	assert_null(add("one.more.example"));
	for (int i = 0; i < CROW_FLIGHTS_MAX; i++) {
		struct crow_query query;

		snprintf(name, sizeof(name), "n%d.example", i);
		query = make(name, A);
		found = crow_flights_find(&flights, &query);
		assert_non_null(found);
		crow_flights_remove(&flights, found);
	}
	assert_int_equal(flights.count, 0);
	assert_null(crow_flights_first(&flights));
	assert_non_null(add("one.more.example"));
}

static void test_riders(void **state)
{
	struct crow_flight *flight = add("www.example.com");
	struct crow_query query = make("www.example.com", A);
	bool seen[3] = {false};
	struct crow_rider *rider;

	(void)state;
	for (uint16_t i = 0; i < 3; i++) {
		query.id = i;
		assert_true(crow_flights_join(&flights, flight, &query, &asker));
	}
	while ((rider = crow_flights_leave(&flights, flight)))
		seen[rider->query.id] = true;
	assert_true(seen[0] && seen[1] && seen[2]);
	for (int i = 0; i < CROW_RIDERS_MAX; i++)
		assert_true(crow_flights_join(&flights, flight, &query, &asker));
	assert_false(crow_flights_join(&flights, flight, &query, &asker));
	crow_flights_remove(&flights, flight); /* all of them leave */
	flight = add("other.example.com");
	assert_true(crow_flights_join(&flights, flight, &query, &asker));
}

/* An attempt that ends late must not be taken for one of the flight that has its place now. */
static void test_generations(void **state)
{
	struct crow_flight *flight = add("a.example");
	uint32_t generation = flight->generation;
	uint16_t index = crow_flights_index(&flights, flight);

	(void)state;
	crow_flights_remove(&flights, flight);
	assert_int_not_equal(flight->generation, generation);
	flight = add("b.example");
	assert_int_equal(crow_flights_index(&flights, flight), index);
	assert_int_not_equal(flight->generation, generation);
}

/* ---- turns ---- */

static void test_turns_end_in_order(void **state)
{
	struct crow_flight *a = add("a.example"), *b = add("b.example"), *c = add("c.example");

	(void)state;
	assert_ptr_equal(crow_flights_first(&flights), a);
	crow_flights_turn(&flights, a, 5);
	assert_int_equal(a->due_ns, 5 + CROW_FLIGHT_TURN_NS);
	assert_ptr_equal(crow_flights_first(&flights), b);
	crow_flights_hurry(&flights, c, 6);
	assert_ptr_equal(crow_flights_first(&flights), c);
	assert_int_equal(c->due_ns, 6);
	crow_flights_remove(&flights, c);
	assert_ptr_equal(crow_flights_first(&flights), b);
	crow_flights_remove(&flights, b);
	assert_ptr_equal(crow_flights_first(&flights), a);
}

/* What forward.c does when a query is sent. */
static size_t ask(struct crow_flight *flight, int64_t now_ns)
{
	size_t upstream = crow_flight_next(flight, &ranking, now_ns);

	if (upstream != CROW_RANKING_NONE) {
		crow_upstream_set bit = (crow_upstream_set)(1u << upstream);

		flight->asked |= bit;
		flight->waiting |= bit;
		flight->recent |= bit;
		flight->sends++;
	}
	return upstream;
}

static void take_failure(struct crow_flight *flight, size_t upstream)
{
	crow_upstream_set bit = (crow_upstream_set)(1u << upstream);

	flight->waiting &= (crow_upstream_set)~bit;
	flight->failed |= bit;
}

static void test_silence_goes_round(void **state)
{
	struct crow_flight *flight = add("www.example.com");
	size_t wanted[] = {0, 1, 2, 0, 1};
	unsigned turns = 0;

	(void)state;
	for (size_t i = 0; i < 5; i++) {
		assert_int_equal(ask(flight, 0), wanted[i]);
		assert_true(crow_flight_turn(flight, &ranking, 0));
		turns++;
	}
	assert_int_equal(ask(flight, 0), CROW_RANKING_NONE); /* sent often enough */
	assert_false(crow_flight_turn(flight, &ranking, 0));
	assert_int_equal(++turns, CROW_FLIGHT_TURNS);
	assert_true(CROW_FLIGHT_TURN_NS < SECOND_NS);
	assert_true(CROW_FLIGHT_TURNS * CROW_FLIGHT_TURN_NS <= 7 * SECOND_NS / 2);
}

static void test_failures_are_not_asked_again(void **state)
{
	struct crow_flight *flight = add("www.example.com");

	(void)state;
	assert_int_equal(ask(flight, 0), 0);
	take_failure(flight, 0);
	assert_int_equal(ask(flight, 0), 1);
	take_failure(flight, 1);
	assert_int_equal(ask(flight, 0), 2);
	crow_flight_turn(flight, &ranking, 0);
	assert_int_equal(ask(flight, 0), 2); /* silent: the only one that may still say something */
	take_failure(flight, 2);
	assert_int_equal(ask(flight, 0), CROW_RANKING_NONE);
	crow_flights_forget(&flights); /* other upstreams */
	assert_int_equal(ask(flight, 0), 0);
}

static void test_refused_by_the_network_gets_a_second_chance(void **state)
{
	struct crow_flight *flight = add("www.example.com");

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(ask(flight, 0), i);
		take_failure(flight, i);
	}
	flight->unreachable = 1u << 1;
	assert_int_equal(ask(flight, 0), 1);
	take_failure(flight, 1);
	assert_int_equal(ask(flight, 0), CROW_RANKING_NONE);
}

static void test_a_failure_does_not_wait_for_suspects(void **state)
{
	struct crow_flight *flight = add("www.example.com");

	(void)state;
	ask(flight, 0);
	ask(flight, 0);
	assert_false(crow_flight_is_decided(flight, &ranking));
	for (uint64_t name = 0; name < 3; name++)
		crow_ranking_silent(&ranking, 1, name);
	assert_false(crow_flight_is_decided(flight, &ranking));
	take_failure(flight, 0);
	assert_true(crow_flight_is_decided(flight, &ranking));
	flight->unreachable = 1; /* which is no word of its own */
	assert_false(crow_flight_is_decided(flight, &ranking));
	flight->unreachable = 0;
	ask(flight, 0);
	assert_false(crow_flight_is_decided(flight, &ranking)); /* the third may know */
}

static void test_a_loop_is_left_out(void **state)
{
	struct crow_flight *flight = add("www.example.com");

	(void)state;
	assert_int_equal(ask(flight, 0), 0);
	upstreams->items[0].looped_until_ns = 100;
	crow_flight_turn(flight, &ranking, 50);
	assert_int_equal(flight->waiting, 0);
	assert_int_equal(ask(flight, 50), 1);
	upstreams->items[1].looped_until_ns = 100;
	upstreams->items[2].looped_until_ns = 100;
	assert_int_equal(crow_ranking_usable(&ranking, 50), 0);
	assert_true(crow_ranking_all_down(&ranking, 50));
	assert_int_equal(crow_ranking_usable(&ranking, 100), 7);
}

/* Each worker that is asked a probe says it again while it lasts; it is news once, and once more when
 * it had gone. */
static void test_a_loop_that_returns_is_news(void **state)
{
	int64_t gone_ns = 2 * CROW_RANKING_LOOP_NS;

	(void)state;
	assert_true(crow_ranking_looped(&ranking, 1, 1));
	assert_int_equal(crow_ranking_usable(&ranking, CROW_RANKING_LOOP_NS), 5);
	assert_false(crow_ranking_looped(&ranking, 1, CROW_RANKING_LOOP_NS));
	assert_int_equal(crow_ranking_usable(&ranking, gone_ns), 7);
	assert_true(crow_ranking_looped(&ranking, 1, gone_ns));
	assert_false(crow_ranking_looped(&ranking, 1, gone_ns));
	assert_true(crow_ranking_looped(&ranking, 0, gone_ns));
}

/* ---- the ranking ---- */

static void test_one_silent_name_condemns_nobody(void **state)
{
	(void)state;
	for (int i = 0; i < 100; i++)
		crow_ranking_silent(&ranking, 0, 1234);
	crow_ranking_silent(&ranking, 0, 5678);
	crow_ranking_silent(&ranking, 0, 1234);
	assert_false(crow_ranking_is_suspect(&ranking, 0));
	assert_int_equal(crow_ranking_choose(&ranking, 7), 0);
	assert_int_equal(upstreams->items[0].timeouts, 102);
}

static void test_three_silent_names_make_a_suspect(void **state)
{
	(void)state;
	assert_false(crow_ranking_silent(&ranking, 0, 1));
	assert_false(crow_ranking_silent(&ranking, 0, 2));
	assert_true(crow_ranking_silent(&ranking, 0, 3));
	assert_false(crow_ranking_silent(&ranking, 0, 4)); /* said once */
	assert_int_equal(upstreams->items[0].suspecting, 1);
	assert_int_equal(crow_ranking_choose(&ranking, 7), 1);
	assert_int_equal(crow_ranking_choose(&ranking, 1), 0); /* last is not never */
	assert_false(crow_ranking_all_down(&ranking, 0));
	crow_ranking_answered(&ranking, 0, 1000);
	assert_int_equal(upstreams->items[0].suspecting, 0);
	assert_int_equal(crow_ranking_choose(&ranking, 7), 0);
	crow_ranking_silent(&ranking, 0, 1); /* and counting begins anew */
	assert_false(crow_ranking_is_suspect(&ranking, 0));
}

static void test_an_answer_in_between_counts(void **state)
{
	(void)state;
	for (uint64_t name = 0; name < 100; name++) {
		crow_ranking_silent(&ranking, 0, name);
		crow_ranking_silent(&ranking, 0, name + 1);
		crow_ranking_answered(&ranking, 0, 1000);
	}
	assert_false(crow_ranking_is_suspect(&ranking, 0));
}

static void test_suspects_are_probed_once_a_second(void **state)
{
	int64_t now_ns = 50 * SECOND_NS;

	(void)state;
	for (size_t i = 0; i < 3; i++)
		for (uint64_t name = 0; name < 3; name++)
			crow_ranking_silent(&ranking, i, name);
	assert_true(crow_ranking_all_down(&ranking, now_ns));
	assert_int_equal(crow_ranking_probe(&ranking, 6, now_ns), 6);
	assert_int_equal(crow_ranking_probe(&ranking, 7, now_ns + 1), 1);
	assert_int_equal(crow_ranking_probe(&ranking, 7, now_ns + SECOND_NS - 1), 0);
	assert_int_equal(crow_ranking_probe(&ranking, 7, now_ns + SECOND_NS), 6);
	crow_ranking_answered(&ranking, 1, 1000);
	assert_int_equal(crow_ranking_probe(&ranking, 7, now_ns + 9 * SECOND_NS), 5);
}

static void test_times_are_smoothed(void **state)
{
	(void)state;
	crow_ranking_answered(&ranking, 0, 8000000);
	assert_int_equal(upstreams->items[0].smoothed_us, 8000);
	crow_ranking_answered(&ranking, 0, 16000000);
	assert_int_equal(upstreams->items[0].smoothed_us, 9000);
	assert_int_equal(upstreams->items[0].answers, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_equal_questions_are_one_flight, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_bytes_of_labels_are_told_apart, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_the_table_has_an_end, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_riders, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_generations, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_turns_end_in_order, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_silence_goes_round, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_failures_are_not_asked_again, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_refused_by_the_network_gets_a_second_chance,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_failure_does_not_wait_for_suspects, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_a_loop_is_left_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_loop_that_returns_is_news, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_one_silent_name_condemns_nobody, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_three_silent_names_make_a_suspect, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_an_answer_in_between_counts, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_suspects_are_probed_once_a_second, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_times_are_smoothed, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
