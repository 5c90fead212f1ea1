#include "daemon/dns/answer.h"

#include <string.h>

#include "daemon/dns/choice.h"
#include "daemon/dns/https.h"
#include "daemon/dns/ptr.h"
#include "daemon/dns/srv.h"
#include "daemon/dns/subject.h"
#include "daemon/dns/txt.h"

#define QUESTION_NAME_AT CROW_WIRE_HEADER

/* All that the parts of an answer need to see. */
struct answer {
	const struct crow_query *query;
	const struct crow_image *img;
	const struct crow_answer_settings *settings;
	struct crow_subject subject;
	struct crow_reply *reply;
};

static size_t apex_offset(const struct answer *a)
{
	return QUESTION_NAME_AT + a->subject.apex;
}

/* Any change of the lists is a new image, and so a new serial. */
static uint32_t serial(const struct answer *a)
{
	return (uint32_t)a->img->header->generation;
}

/* RFC 2308 3: the SOA says how long "there is none" may be kept. */
static void put_negative(struct answer *a)
{
	crow_reply_put_soa(a->reply, apex_offset(a), serial(a), CROW_REPLY_NEGATIVE_TTL_S);
	a->reply->authorities++;
}

/* ---- subjects ---- */

/* Any few of a service's addresses are a whole answer, so they are chosen to fit and TC is never
 * set: a client that came back by TCP would learn nothing more. */
static void put_addresses(struct answer *a, enum crow_family family)
{
	size_t record = family == CROW_V4 ? CROW_REPLY_A_SIZE : CROW_REPLY_AAAA_SIZE;
	size_t fit = crow_reply_room(a->reply) / record;
	size_t want = a->settings->answers < fit ? a->settings->answers : fit;
	struct crow_choice choice;

	crow_choice_addresses(a->img, a->subject.service, family, a->settings, want, &choice);
	for (size_t i = 0; i < choice.count; i++)
		crow_reply_put_address(a->reply, QUESTION_NAME_AT, &choice.addrs[i],
				       a->settings->ttl_s);
	crow_given_mark_answer(a->settings->given, choice.instances, choice.count);
	a->reply->answers = (uint16_t)(a->reply->answers + choice.count);
}

static void put_apex(struct answer *a, uint16_t type)
{
	if (type == CROW_TYPE_NS)
		crow_reply_put_ns(a->reply, apex_offset(a), a->settings->ttl_s);
	else if (type == CROW_TYPE_SOA || type == CROW_TYPE_ANY)
		crow_reply_put_soa(a->reply, apex_offset(a), serial(a), a->settings->ttl_s);
	else
		return;
	a->reply->answers++;
}

static void put_srv(struct answer *a)
{
	crow_srv_put(a->reply, a->query, a->img, a->subject.service, a->settings);
}

/* RFC 8482 4.1: ANY gets one set of the name's, here the one that most clients came for. */
static void put_service(struct answer *a, uint16_t type)
{
	switch (type) {
	case CROW_TYPE_A:
		put_addresses(a, CROW_V4);
		break;
	case CROW_TYPE_AAAA:
		put_addresses(a, CROW_V6);
		break;
	case CROW_TYPE_SRV:
		put_srv(a);
		break;
	case CROW_TYPE_HTTPS:
		if (a->settings->https)
			crow_https_put(a->reply, a->img, a->subject.service, a->settings);
		break;
	case CROW_TYPE_TXT:
		crow_txt_put(a->reply, a->img, a->subject.service, a->settings->ttl_s);
		break;
	case CROW_TYPE_ANY:
		put_addresses(a, CROW_V4);
		if (a->reply->answers == 0)
			put_addresses(a, CROW_V6);
		break;
	default:
		if (a->subject.apex == 0)
			put_apex(a, type);
	}
}

static void put_target(struct answer *a, uint16_t type)
{
	uint16_t own = crow_addr_is_v4(&a->subject.addr) ? CROW_TYPE_A : CROW_TYPE_AAAA;

	if (type != own && type != CROW_TYPE_ANY)
		return;
	crow_reply_put_address(a->reply, QUESTION_NAME_AT, &a->subject.addr, a->settings->ttl_s);
	a->reply->answers++;
}

static void put_subject(struct answer *a)
{
	uint16_t type = a->query->type;

	switch (a->subject.kind) {
	case CROW_SUBJECT_APEX:
		put_apex(a, type);
		break;
	case CROW_SUBJECT_SERVICE:
		put_service(a, type);
		break;
	case CROW_SUBJECT_SERVICE_SRV:
		if (type == CROW_TYPE_SRV || type == CROW_TYPE_ANY)
			put_srv(a);
		break;
	case CROW_SUBJECT_ADDRESS:
		put_target(a, type);
		break;
	case CROW_SUBJECT_REVERSE:
		if (type == CROW_TYPE_PTR || type == CROW_TYPE_ANY)
			crow_ptr_put(a->reply, a->img, &a->subject.addr, a->settings->ttl_s);
		break;
	case CROW_SUBJECT_ABSENT:
		a->reply->rcode = CROW_RCODE_NXDOMAIN;
		break;
	default: /* nothing there: NODATA */
		break;
	}
}

/* A reply from our own data, which we are the authority for. */
static void answer_own(struct answer *a)
{
	struct crow_reply *reply = a->reply;

	crow_reply_begin(reply, a->query);
	/* RFC 8482 4: ANY is asked to make large answers, for others by UDP. */
	if (a->query->type == CROW_TYPE_ANY && !a->query->stream &&
	    a->query->limit > CROW_QUERY_UDP_MIN)
		reply->out.size -= a->query->limit - CROW_QUERY_UDP_MIN;
	reply->authoritative = true;
	put_subject(a);
	if (reply->answers == 0 && !reply->truncated)
		put_negative(a);
	crow_reply_finish(reply, a->query);
}

/* ---- guards ---- */

/* What is refused whatever the name: other classes than IN, and transfers of zones. */
static bool is_refused(const struct crow_query *query)
{
	return query->class != CROW_CLASS_IN || query->type == CROW_TYPE_AXFR ||
	       query->type == CROW_TYPE_IXFR;
}

static void want(const struct answer *a, struct crow_wanted *wanted)
{
	size_t length = a->query->text_size - a->subject.wanted;

	memcpy(wanted->name, a->query->text + a->subject.wanted, length + 1);
	wanted->timeout_ms = a->subject.timeout_ms;
}

enum crow_exit crow_answer_query(const struct crow_query *query, const struct crow_image *img,
				 const struct crow_answer_settings *settings,
				 struct crow_reply *reply, struct crow_wanted *wanted)
{
	struct answer a = {.query = query, .img = img, .settings = settings, .reply = reply};
	uint16_t rcode = query->rcode;

	if (rcode == CROW_RCODE_NOERROR && is_refused(query))
		rcode = CROW_RCODE_REFUSED;
	else if (rcode == CROW_RCODE_NOERROR && img->header == NULL)
		rcode = CROW_RCODE_SERVFAIL; /* nothing is known yet, not even our zones */
	if (rcode != CROW_RCODE_NOERROR) {
		crow_reply_refuse(reply, query, rcode);
		return CROW_EXIT_REPLY;
	}

	a.subject = crow_subject_of(img, query->text, query->text_size);
	switch (a.subject.kind) {
	case CROW_SUBJECT_WANTED:
		want(&a, wanted);
		return CROW_EXIT_WAIT;
	case CROW_SUBJECT_ELSEWHERE:
		return CROW_EXIT_ELSEWHERE;
	case CROW_SUBJECT_UNREADY:
		crow_reply_refuse(reply, query, CROW_RCODE_SERVFAIL);
		break;
	default:
		answer_own(&a);
	}
	return CROW_EXIT_REPLY;
}

enum crow_exit crow_answer(const uint8_t *bytes, size_t size, bool stream,
			   const struct crow_image *img,
			   const struct crow_answer_settings *settings, struct crow_query *query,
			   struct crow_reply *reply, struct crow_wanted *wanted)
{
	if (!crow_query_read(query, bytes, size, stream))
		return CROW_EXIT_DROP;
	return crow_answer_query(query, img, settings, reply, wanted);
}
