/*
 * Answering: a query, an image and settings make a reply. Pure: no clock, no random source, no
 * allocation, no lock, no log, no call of the kernel.
 */
#ifndef CROW_ANSWER_H
#define CROW_ANSWER_H

#include "daemon/dns/query.h"
#include "daemon/dns/reply.h"
#include "daemon/dns/settings.h"
#include "resolver/image.h"

enum crow_exit {
	CROW_EXIT_REPLY,     /* the reply is written */
	CROW_EXIT_DROP,      /* no reply may be sent */
	CROW_EXIT_WAIT,      /* the name must be asked of discovery first: see wanted */
	CROW_EXIT_ELSEWHERE, /* the name is not ours: forward.h */
};

struct crow_wanted {
	char name[CROW_NAME_MAX + 1];
	uint32_t timeout_ms;
};

/* Reads a query and answers it. Unless the exit is DROP, *query is valid: one that waits is asked
 * again by crow_answer_query(), or given up by crow_reply_refuse(). */
enum crow_exit crow_answer(const uint8_t *bytes, size_t size, bool stream,
			   const struct crow_image *img,
			   const struct crow_answer_settings *settings, struct crow_query *query,
			   struct crow_reply *reply, struct crow_wanted *wanted);

enum crow_exit crow_answer_query(const struct crow_query *query, const struct crow_image *img,
				 const struct crow_answer_settings *settings,
				 struct crow_reply *reply, struct crow_wanted *wanted);

#endif
