/*
 * What the transports of a worker share: the image of the batch under way, the settings, the
 * query counter, the queries that wait for a name, and where others' names go. A transport gives
 * bytes and gets bytes; that it is UDP or TCP shows in `stream` alone. One thread, but for the
 * atomics.
 */
#ifndef CROW_RESPONDER_H
#define CROW_RESPONDER_H

#include "daemon/dns/answer.h"
#include "daemon/dns/forward.h"
#include "daemon/dns/wait.h"
#include "daemon/publisher.h"

struct crow_responder {
	/* Written by the main thread at a reload; each is right by itself, so relaxed. */
	_Atomic uint32_t ttl_s;
	_Atomic uint32_t answers;
	_Atomic bool https;

	uint64_t taken; /* queries */
	/* Start at random: two daemons must not begin with the same instance. */
	uint64_t sequences[CROW_SEQUENCES];
	struct crow_reader reader;
	const struct crow_image *img; /* between begin and end */
	struct crow_answer_settings settings;
	struct crow_waits waits;
	struct crow_forward *forward;
};

/* Before the thread starts. runtime_dir is borrowed. */
void crow_responder_init(struct crow_responder *responder, struct crow_loop *loop,
			 struct crow_publisher *publisher, const char *runtime_dir);

/* Around a batch of queries: the image is held, and is the same for all of it. */
void crow_responder_begin(struct crow_responder *responder);
void crow_responder_end(struct crow_responder *responder);

/* Answers a query into *reply (bytes and capacity set). For a query that waits, asker is kept and
 * told later. WAIT and DROP: nothing is to be sent now. */
enum crow_exit crow_responder_ask(struct crow_responder *responder, const uint8_t *bytes,
				  size_t size, bool stream, const struct crow_asker *asker,
				  struct crow_reply *reply);

/* Tries the waiting queries again: a new image is out. */
void crow_responder_retry(struct crow_responder *responder);

#endif
