#include "daemon/dns/responder.h"

#include <stdlib.h>
#include <sys/random.h>

#include "daemon/counters.h"
#include "daemon/dns/tally.h"
#include "resolver/name.h"

static void count_query(const struct crow_query *query)
{
	switch (query->type) {
	case CROW_TYPE_A:
		crow_count(dns_asked_a);
		break;
	case CROW_TYPE_AAAA:
		crow_count(dns_asked_aaaa);
		break;
	case CROW_TYPE_SRV:
		crow_count(dns_asked_srv);
		break;
	case CROW_TYPE_HTTPS:
		crow_count(dns_asked_https);
		break;
	case CROW_TYPE_PTR:
		crow_count(dns_asked_ptr);
		break;
	case CROW_TYPE_TXT:
		crow_count(dns_asked_txt);
		break;
	default:
		crow_count(dns_asked_other);
	}
}

void crow_responder_begin(struct crow_responder *responder)
{
	responder->img = crow_reader_acquire(&responder->reader);
	responder->settings.given = crow_reader_given(&responder->reader);
	responder->settings.ttl_s = atomic_load_explicit(&responder->ttl_s, memory_order_relaxed);
	responder->settings.answers =
		atomic_load_explicit(&responder->answers, memory_order_relaxed);
	responder->settings.https = atomic_load_explicit(&responder->https, memory_order_relaxed);
}

void crow_responder_end(struct crow_responder *responder)
{
	responder->img = NULL;
	responder->settings.given = NULL;
	crow_reader_release(&responder->reader);
}

/* Addresses of others' names take turns, too; each name and type has a counter, or shares it by
 * chance. */
static uint64_t next_turn(struct crow_responder *responder, const struct crow_query *query)
{
	uint64_t hash = crow_name_hash(query->text, query->text_size);

	return responder->sequences[(hash + query->type) % CROW_SEQUENCES]++;
}

enum crow_exit crow_responder_ask(struct crow_responder *responder, const uint8_t *bytes,
				  size_t size, bool stream, const struct crow_asker *asker,
				  struct crow_reply *reply)
{
	struct crow_query query;
	struct crow_wanted wanted;
	enum crow_exit exit;

	responder->taken++;
	exit = crow_answer(bytes, size, stream, responder->img, &responder->settings, &query, reply,
			   &wanted);
	if (exit == CROW_EXIT_DROP) {
		crow_count(dns_dropped);
		return exit;
	}
	if (query.name_size > 0)
		count_query(&query);
	if (exit == CROW_EXIT_ELSEWHERE)
		return crow_forward_ask(responder->forward, &query, asker,
					next_turn(responder, &query), reply)
			       ? CROW_EXIT_REPLY
			       : CROW_EXIT_WAIT;
	if (exit == CROW_EXIT_WAIT) {
		if (crow_waits_add(&responder->waits, &query, &wanted, asker, crow_now_ns())) {
			crow_count(dns_waiting);
			return exit;
		}
		crow_count(dns_wait_full);
		crow_reply_refuse(reply, &query, CROW_RCODE_SERVFAIL);
	}
	crow_tally_reply(reply);
	return CROW_EXIT_REPLY;
}

/* Answers a query that waited: with what the image says now, or once its time is up with
 * SERVFAIL, since nobody knows whether the name exists. */
static void settle(struct crow_responder *responder, struct crow_wait *wait, int64_t now_ns)
{
	uint8_t bytes[CROW_QUERY_TCP_MAX];
	struct crow_reply reply = {.bytes = bytes, .capacity = sizeof(bytes)};
	struct crow_wanted wanted;
	enum crow_exit exit;

	exit = crow_answer_query(&wait->query, responder->img, &responder->settings, &reply,
				 &wanted);
	if (exit == CROW_EXIT_WAIT && now_ns < wait->deadline_ns)
		return;
	crow_waits_remove(&responder->waits, wait);
	if (exit == CROW_EXIT_ELSEWHERE) { /* a reload has taken the zone from us */
		if (!crow_forward_ask(responder->forward, &wait->query, &wait->asker,
				      next_turn(responder, &wait->query), &reply))
			return;
	} else {
		if (exit == CROW_EXIT_WAIT)
			crow_reply_refuse(&reply, &wait->query, CROW_RCODE_SERVFAIL);
		crow_tally_reply(&reply);
	}
	wait->asker.deliver(&wait->asker, reply.bytes, reply.size);
}

static void settle_all(struct crow_responder *responder, int64_t now_ns)
{
	crow_responder_begin(responder);
	for (size_t i = 0; i < CROW_WAITS_MAX && responder->waits.count > 0; i++)
		if (responder->waits.items[i].used)
			settle(responder, &responder->waits.items[i], now_ns);
	crow_responder_end(responder);
	crow_waits_arm(&responder->waits, now_ns);
}

void crow_responder_retry(struct crow_responder *responder)
{
	if (responder->waits.count > 0)
		settle_all(responder, crow_now_ns());
}

static void on_deadline(struct crow_timer *timer, int64_t now_ns)
{
	struct crow_waits *waits = crow_container(timer, struct crow_waits, timer);

	settle_all(crow_container(waits, struct crow_responder, waits), now_ns);
}

void crow_responder_init(struct crow_responder *responder, struct crow_loop *loop,
			 struct crow_publisher *publisher, const char *runtime_dir)
{
	uint64_t start;

	/* Never short for 8 bytes, and after boot it does not block (getrandom(2)). */
	if (getrandom(&start, sizeof(start), 0) < 0)
		start = (uint64_t)crow_now_ns();
	for (uint64_t i = 0; i < CROW_SEQUENCES; i++)
		responder->sequences[i] = start + (i << 32); /* far from each other */
	responder->settings.sequences = responder->sequences;
	crow_reader_init(&responder->reader, publisher);
	responder->waits.loop = loop;
	responder->waits.timer.on_due = on_deadline;
	responder->waits.runtime_dir = runtime_dir;
}
