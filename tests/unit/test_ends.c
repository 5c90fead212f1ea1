/*
 * How queries to upstreams end, over an exchange that this test plays: a version of c-ares that ends
 * other queries while one is being sent, and what fails here rather than there.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/counters.h"
#include "daemon/dns/forward.h"
#include "daemon/dns/question.h"
#include "daemon/log.h"
#include "daemon/upstream/exchange.h"

#define FLAG_RD 0x0100

/* Queries sent, in their order. */
#define SENT_MAX 64
static struct sent {
	size_t upstream;
	uint8_t bytes[CROW_QUESTION_MAX];
	crow_channel_hook *hook;
	void *context;
} sent[SENT_MAX];
static size_t sent_count;

static void (*on_send)(struct sent *last); /* before crow_exchange_send() returns; NULL: nothing */
static size_t wanted_count;                /* of queries, at which the loop is stopped */

static const struct crow_listens nowhere;
static struct crow_loop *loop;
static struct crow_upstreams *upstreams; /* two */
static struct crow_forward *forward;
static unsigned told;

void __wrap_crow_exchange_send(struct crow_exchange *exchange, size_t upstream,
			       const uint8_t *query, size_t size, int64_t now_ns,
			       crow_channel_hook *hook, void *context);
void __wrap_crow_exchange_send(struct crow_exchange *exchange, size_t upstream,
			       const uint8_t *query, size_t size, int64_t now_ns,
			       crow_channel_hook *hook, void *context)
{
	struct sent *last = &sent[sent_count++];

	(void)exchange;
	(void)now_ns;
	assert_true(sent_count < SENT_MAX);
	*last = (struct sent){.upstream = upstream, .hook = hook, .context = context};
	memcpy(last->bytes, query, size);
	if (on_send)
		on_send(last);
	if (sent_count == wanted_count)
		crow_loop_stop(loop);
}

static void end(struct sent *query, enum crow_channel_end how, int error)
{
	errno = error;
	query->hook(query->context, how, NULL, 0);
}

/* Of names of one label and another: "a.example". */
static char first_letter(const struct sent *query)
{
	return (char)query->bytes[CROW_WIRE_HEADER + 1];
}

static void deliver(const struct crow_asker *asker, const uint8_t *reply, size_t size)
{
	(void)asker;
	(void)reply;
	(void)size;
	told++;
	crow_loop_stop(loop);
}

/* True: it waits for an upstream. */
static bool ask(const char *name)
{
	static const struct crow_asker asker = {.deliver = deliver};
	uint8_t bytes[CROW_QUERY_UDP_MAX];
	struct crow_reply reply = {.bytes = bytes, .capacity = sizeof(bytes)};
	struct crow_query query;

	crow_question_make(&query, name, 1);
	query.flags = FLAG_RD;
	query.limit = CROW_QUERY_UDP_MIN;
	return !crow_forward_ask(forward, &query, &asker, 0, &reply);
}

static int set_up(void **state)
{
	struct crow_listen items[2];
	struct crow_listens servers = {items, 2};

	(void)state;
	for (uint8_t i = 0; i < 2; i++)
		items[i] = (struct crow_listen){crow_addr_v4((uint8_t[4]){192, 0, 2, i}), 53};
	on_send = NULL;
	wanted_count = told = 0;
	loop = crow_loop_new();
	upstreams = crow_upstreams_new(&servers, &nowhere, NULL);
	forward = crow_forward_new(loop, 10);
	crow_forward_offer(forward, upstreams);
	crow_forward_update(forward);
	sent_count = 0; /* the probes are not looked at */
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	crow_forward_free(forward);
	crow_upstreams_release(upstreams);
	crow_loop_free(loop);
	return 0;
}

static void refuse_all_before(struct sent *last)
{
	on_send = NULL;
	for (struct sent *one = sent; one < last; one++)
		end(one, CROW_CHANNEL_ERROR, ECONNREFUSED);
}

/* Each is asked of the next upstream, and nobody is told before that. */
static void test_others_end_while_one_is_sent(void **state)
{
	char letters[3] = {0};

	(void)state;
	assert_true(ask("a.example"));
	assert_true(ask("b.example"));
	on_send = refuse_all_before;
	assert_true(ask("c.example"));
	assert_int_equal(sent_count, 3);
	wanted_count = 5;
	crow_loop_run(loop);
	assert_int_equal(told, 0);
	assert_int_equal(sent_count, 5);
	for (size_t i = 3; i < 5; i++) {
		assert_int_equal(sent[i].upstream, 1);
		letters[i - 3] = first_letter(&sent[i]);
	}
	assert_string_equal(letters, "ab");
}

/* Those that go on are sent in a turn of their own, and strand others in it. */
static void strand_one_more(struct sent *last)
{
	on_send = NULL;
	end(&sent[2], CROW_CHANNEL_ERROR, ECONNREFUSED);
	(void)last;
}

static void test_others_end_while_one_goes_on(void **state)
{
	(void)state;
	assert_true(ask("a.example"));
	on_send = refuse_all_before;
	assert_true(ask("b.example"));
	assert_true(ask("c.example"));
	on_send = strand_one_more;
	wanted_count = 5;
	crow_loop_run(loop);
	assert_int_equal(told, 0);
	assert_int_equal(first_letter(&sent[3]), 'a');
	assert_int_equal(first_letter(&sent[4]), 'c');
	assert_int_equal(sent[4].upstream, 1);
}

static void no_descriptor(struct sent *last)
{
	if (last->upstream == 0)
		end(last, CROW_CHANNEL_SHORTAGE, EMFILE);
}

static void refused(struct sent *last)
{
	if (last->upstream == 0)
		end(last, CROW_CHANNEL_ERROR, ECONNREFUSED);
}

static const char *const names[] = {"a.example", "b.example", "c.example", "d.example"};

static void test_a_shortage_here_is_nothing_against_the_upstream(void **state)
{
	uint64_t before = crow_counters.forward_not_asked;

	(void)state;
	on_send = no_descriptor;
	for (size_t i = 0; i < 4; i++) {
		assert_true(ask(names[i]));
		assert_int_equal(sent_count, 2 * (i + 1));
		assert_int_equal(sent[2 * i].upstream, 0);     /* it still comes first, */
		assert_int_equal(sent[2 * i + 1].upstream, 1); /* and nobody waits for it */
	}
	assert_int_equal(crow_counters.forward_not_asked, before + 4);
	assert_int_equal(upstreams->items[0].suspecting, 0);
	assert_int_equal(upstreams->items[0].failures, 0);
	assert_int_not_equal(upstreams->shortage_said_ns, 0);
}

static void test_who_is_not_there_is_asked_last(void **state)
{
	(void)state;
	on_send = refused;
	for (size_t i = 0; i < 3; i++)
		assert_true(ask(names[i]));
	assert_int_equal(upstreams->items[0].suspecting, 1);
	assert_int_equal(upstreams->items[0].failures, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_others_end_while_one_is_sent, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_others_end_while_one_goes_on, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(
			test_a_shortage_here_is_nothing_against_the_upstream, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_who_is_not_there_is_asked_last, set_up,
						tear_down),
	};

	crow_log_init(0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
