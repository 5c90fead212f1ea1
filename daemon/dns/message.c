#include "daemon/dns/message.h"

#include <string.h>

#define FLAG_QR 0x8000
#define OPCODES 0x7800
#define FLAG_TC 0x0200
#define FLAG_AD 0x0020

#define LABEL_MAX       63
#define LABEL_POINTER   0xc0
#define POINTER_LIMIT   0x4000
#define POINTER_SIZE    2
#define FIXED_SIZE      10 /* type, class, TTL and length, behind a record's owner */
#define FIXED_TTL_AT    4  /* in them */
#define QUESTION_EXTRA  4  /* type and class, behind a question's name */
#define RCODE_EXTENDED  16
#define RCODE_BADCOOKIE 23

/* A name of 255 bytes has 127 labels, and nobody needs more pointers than labels. */
#define POINTERS_MAX 127

/* Where a run of labels that a pointer leads to may end. */
#define FIXED_BITS (POINTER_LIMIT + CROW_WIRE_NAME_MAX + 1)

enum {
	TYPE_MD = 3,
	TYPE_MF = 4,
	TYPE_CNAME = 5,
	TYPE_MB = 7,
	TYPE_MG = 8,
	TYPE_MR = 9,
	TYPE_PTR = 12,
	TYPE_MINFO = 14,
	TYPE_MX = 15,
	TYPE_RP = 17,
	TYPE_AFSDB = 18,
	TYPE_RT = 21,
	TYPE_SIG = 24,
	TYPE_PX = 26,
	TYPE_NXT = 30,
	TYPE_NAPTR = 35,
	TYPE_KX = 36,
	TYPE_DNAME = 39,
	TYPE_OPT = 41,
	TYPE_TSIG = 250,
};

enum section { ANSWER, AUTHORITY, ADDITIONAL };

struct reading {
	struct crow_wire_reader in;
	const struct crow_query *asked;
	struct crow_message *message;
	bool ended;               /* OPT or TSIG was seen: what follows is not passed on */
	bool found;               /* a record of the type asked for */
	unsigned records;         /* in body */
	uint32_t least_ttl_s;     /* of them */
	uint32_t soa_minimum_s;   /* RFC 2308 4; 0 without an SOA */
	size_t body_at;           /* offset in the message, */
	size_t turn_at, turn_end; /* as these are */
	/* A bit for each byte that belongs to the fixed part of a record. A name that ran through
	 * one would change while TTLs count down. */
	uint8_t fixed[FIXED_BITS / 8];
};

/* ---- names ---- */

static void mark_fixed(struct reading *r, size_t at)
{
	for (size_t i = at; i < at + FIXED_SIZE && i < FIXED_BITS; i++)
		r->fixed[i / 8] |= (uint8_t)(1 << i % 8);
}

static bool has_fixed(const struct reading *r, size_t at, size_t size)
{
	/* Most names end in the question, where there is none. */
	for (size_t i = at > r->body_at ? at : r->body_at; i < at + size && i < FIXED_BITS; i++)
		if (r->fixed[i / 8] & 1 << i % 8)
			return true;
	return false;
}

/* A set that a name points into stays as it is. */
static void keep_in_place(struct reading *r, size_t target)
{
	if (target >= r->turn_at && target < r->turn_end) {
		r->message->turn_count = 0;
		r->turn_end = 0;
	}
}

/* Moves past a name, after it was followed to its end. Each run of labels lies before the one that
 * pointed to it (RFC 1035 4.1.4: "a prior occurrence"), so that there is no loop. */
static void pass_name(struct reading *r)
{
	struct crow_wire_reader name = r->in;
	size_t start = name.at, after = 0, size = 0;
	unsigned pointers = 0;

	while (!name.failed) {
		uint8_t length = crow_wire_get_u8(&name);

		if (length >= LABEL_POINTER) {
			size_t target = (size_t)(length & ~LABEL_POINTER) << 8;

			target |= crow_wire_get_u8(&name);
			if (after == 0)
				after = name.at;
			if (target < CROW_WIRE_HEADER || target >= start ||
			    ++pointers > POINTERS_MAX ||
			    has_fixed(r, name.at - POINTER_SIZE, POINTER_SIZE))
				break;
			keep_in_place(r, target);
			name.size = start;
			name.at = start = target;
			continue;
		}
		size += 1u + length;
		if (length > LABEL_MAX || size > CROW_WIRE_NAME_MAX ||
		    has_fixed(r, name.at - 1, 1u + length))
			break;
		crow_wire_get_bytes(&name, length);
		if (length == 0 && !name.failed) {
			r->in.at = after > 0 ? after : name.at;
			return;
		}
	}
	r->in.failed = true;
}

/* ---- RDATA ---- */

/* What RDATA consists of, in this order. */
struct layout {
	uint8_t before;  /* bytes */
	uint8_t strings; /* each behind its length in a byte */
	uint8_t names;
	uint8_t after; /* bytes */
	bool open;     /* and anything behind that */
};

/* The types in which names may be compressed (RFC 3597 4), and addresses. What others hold is for
 * those who know them. */
static struct layout layout_of(uint16_t type)
{
	switch (type) {
	case CROW_TYPE_A:
		return (struct layout){.before = 4};
	case CROW_TYPE_AAAA:
		return (struct layout){.before = 16};
	case CROW_TYPE_NS:
	case TYPE_MD:
	case TYPE_MF:
	case TYPE_CNAME:
	case TYPE_MB:
	case TYPE_MG:
	case TYPE_MR:
	case TYPE_PTR:
	case TYPE_DNAME:
		return (struct layout){.names = 1};
	case CROW_TYPE_SOA:
		return (struct layout){.names = 2, .after = 20};
	case TYPE_MINFO:
	case TYPE_RP:
		return (struct layout){.names = 2};
	case TYPE_MX:
	case TYPE_AFSDB:
	case TYPE_RT:
	case TYPE_KX:
		return (struct layout){.before = 2, .names = 1};
	case TYPE_PX:
		return (struct layout){.before = 2, .names = 2};
	case CROW_TYPE_SRV:
		return (struct layout){.before = 6, .names = 1};
	case TYPE_NAPTR:
		return (struct layout){.before = 4, .strings = 3, .names = 1};
	case TYPE_SIG:
		return (struct layout){.before = 18, .names = 1, .open = true};
	case TYPE_NXT:
		return (struct layout){.names = 1, .open = true};
	default:
		return (struct layout){.open = true};
	}
}

static void pass_data(struct reading *r, uint16_t type, size_t size)
{
	struct layout layout = layout_of(type);
	size_t end = r->in.at + size;

	crow_wire_get_bytes(&r->in, layout.before);
	for (; layout.strings > 0; layout.strings--)
		crow_wire_get_bytes(&r->in, crow_wire_get_u8(&r->in));
	for (; layout.names > 0; layout.names--)
		pass_name(r);
	crow_wire_get_bytes(&r->in, layout.after);
	if (r->in.at > end || (r->in.at < end && !layout.open))
		r->in.failed = true;
	else
		crow_wire_get_bytes(&r->in, end - r->in.at);
}

/* ---- records ---- */

struct record {
	enum section section;
	size_t at;       /* its owner */
	size_t fixed_at; /* its type */
	uint16_t type;
	uint32_t ttl_s;
};

/* RFC 2181 8: with the highest bit set, it means 0. */
static uint32_t true_ttl(uint32_t ttl_s)
{
	return ttl_s > INT32_MAX ? 0 : ttl_s;
}

/* Addresses of one owner, given by a pointer, in records of one size: in any order they take the
 * same bytes, and their TTLs stand at the same places. */
static void take_turn(struct reading *r, const struct record *record)
{
	const uint8_t *bytes = r->in.bytes;
	struct crow_message *message = r->message;

	if (record->section != ANSWER || record->type != r->asked->type ||
	    (record->type != CROW_TYPE_A && record->type != CROW_TYPE_AAAA) ||
	    bytes[record->at] < LABEL_POINTER)
		return;
	if (record->at != r->turn_end ||
	    memcmp(bytes + record->at, bytes + r->turn_at, POINTER_SIZE + FIXED_TTL_AT) != 0) {
		r->turn_at = record->at;
		message->turn_count = 0;
	}
	r->turn_end = r->in.at;
	message->turn_size = (uint16_t)(r->in.at - record->at);
	message->turn_count++;
}

static void take_record(struct reading *r, const struct record *record)
{
	struct crow_message *message = r->message;
	uint32_t ttl_s = true_ttl(record->ttl_s);

	if (ttl_s < r->least_ttl_s)
		r->least_ttl_s = ttl_s;
	/* Made relative to the body in the end. */
	if (r->records < CROW_MESSAGE_TTLS_MAX)
		message->ttl_at[r->records] = (uint16_t)(record->fixed_at + FIXED_TTL_AT);
	r->records++;
	if (record->section == ANSWER &&
	    (record->type == r->asked->type || r->asked->type == CROW_TYPE_ANY))
		r->found = true;
	if (record->section == AUTHORITY && record->type == CROW_TYPE_SOA) {
		struct crow_wire_reader in = {.bytes = r->in.bytes, .size = r->in.at};

		in.at = in.size - sizeof(uint32_t);
		r->soa_minimum_s = true_ttl(crow_wire_get_u32(&in));
	}
	take_turn(r, record);
}

/* OPT is between two neighbours: it is taken note of, and cut off with all that follows. */
static void take_opt(struct reading *r, const struct record *record)
{
	struct crow_message *message = r->message;

	if (record->section != ADDITIONAL || message->edns ||
	    record->fixed_at - record->at != 1) { /* the root */
		r->in.failed = true;
		return;
	}
	message->edns = true;
	message->rcode |= (uint16_t)(record->ttl_s >> 24 << 4);
}

/* Returns whether it is to be passed on. */
static bool read_record(struct reading *r, enum section section)
{
	struct record record = {.section = section, .at = r->in.at};
	uint16_t class, size;

	pass_name(r);
	record.fixed_at = r->in.at;
	record.type = crow_wire_get_u16(&r->in);
	class = crow_wire_get_u16(&r->in);
	record.ttl_s = crow_wire_get_u32(&r->in);
	size = crow_wire_get_u16(&r->in);
	mark_fixed(r, record.fixed_at);
	pass_data(r, record.type, size);
	if (r->in.failed)
		return false;
	if (record.type == TYPE_OPT)
		take_opt(r, &record);
	if (record.type == TYPE_OPT || (record.type == TYPE_TSIG && section == ADDITIONAL))
		r->ended = true;
	if (r->ended)
		return false;
	if (class != r->asked->class)
		r->in.failed = true;
	else
		take_record(r, &record);
	return true;
}

/* Reads count records and returns how many of them are to be passed on. Each takes 11 bytes or
 * fails, so that counts that lie cost nothing. */
static uint16_t read_section(struct reading *r, enum section section, unsigned count)
{
	unsigned taken = 0;

	for (; count > 0 && !r->in.failed; count--) {
		if (read_record(r, section))
			taken++;
		if (!r->ended)
			r->message->body_size = r->in.at;
	}
	return (uint16_t)taken;
}

/* ---- the whole ---- */

static bool is_same_name(const uint8_t *a, const uint8_t *b, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		/* Bytes of length are below 'A', so that only letters differ by this bit. */
		uint8_t differ = a[i] ^ b[i], letter = a[i] | 0x20;

		if (differ != 0 && (differ != 0x20 || letter < 'a' || letter > 'z'))
			return false;
	}
	return true;
}

static void read_question(struct reading *r)
{
	const struct crow_query *asked = r->asked;
	uint8_t name[CROW_WIRE_NAME_MAX];
	size_t size = crow_wire_get_name(&r->in, name);
	uint16_t type = crow_wire_get_u16(&r->in);
	uint16_t class = crow_wire_get_u16(&r->in);

	if (size != asked->name_size || type != asked->type || class != asked->class ||
	    !is_same_name(name, asked->name, size))
		r->in.failed = true;
}

/* How long the message may be kept: no record of it longer than its TTL, and NXDOMAIN or NODATA
 * as the SOA says (RFC 2308 5), or without one not at all. */
static uint32_t keep_s(const struct reading *r)
{
	uint32_t most_s = CROW_MESSAGE_POSITIVE_MAX_S;

	if (r->message->rcode != CROW_RCODE_NOERROR && r->message->rcode != CROW_RCODE_NXDOMAIN)
		return CROW_MESSAGE_FAILURE_S;
	if (r->records > CROW_MESSAGE_TTLS_MAX)
		return 0;
	if (r->message->negative) {
		most_s = CROW_MESSAGE_NEGATIVE_MAX_S;
		if (r->soa_minimum_s < most_s)
			most_s = r->soa_minimum_s;
	}
	return r->least_ttl_s < most_s ? r->least_ttl_s : most_s;
}

/* From offsets in the message to offsets in its body. */
static void finish(struct reading *r)
{
	struct crow_message *message = r->message;

	message->body = r->in.bytes + r->body_at;
	message->body_size -= r->body_at;
	message->core_size -= r->body_at;
	if (r->records <= CROW_MESSAGE_TTLS_MAX)
		message->ttl_count = (uint16_t)r->records;
	for (size_t i = 0; i < message->ttl_count; i++)
		message->ttl_at[i] = (uint16_t)(message->ttl_at[i] - r->body_at);
	if (message->turn_count < 2)
		message->turn_count = 0;
	else
		message->turn_at = (uint16_t)(r->turn_at - r->body_at);
	message->negative = message->rcode == CROW_RCODE_NXDOMAIN ||
			    (message->rcode == CROW_RCODE_NOERROR && !r->found);
	message->ttl_s = keep_s(r);
}

void crow_message_fail(struct crow_message *message, uint16_t rcode)
{
	message->rcode = rcode;
	message->truncated = message->authentic = message->edns = message->negative = false;
	message->answers = message->authorities = message->additionals = 0;
	message->body = (const uint8_t *)"";
	message->body_size = message->core_size = 0;
	message->ttl_count = message->turn_count = 0;
	message->ttl_s = CROW_MESSAGE_FAILURE_S;
}

bool crow_message_read(struct crow_message *message, const struct crow_query *asked,
		       const uint8_t *bytes, size_t size)
{
	struct reading r = {
		.in = {.bytes = bytes, .size = size},
		.asked = asked,
		.message = message,
		.least_ttl_s = UINT32_MAX,
	};
	uint32_t id_and_flags = crow_wire_get_u32(&r.in);
	uint16_t flags = (uint16_t)id_and_flags;
	unsigned questions = crow_wire_get_u16(&r.in);
	unsigned answers = crow_wire_get_u16(&r.in);
	unsigned authorities = crow_wire_get_u16(&r.in);
	unsigned additionals = crow_wire_get_u16(&r.in);

	if (r.in.failed || !(flags & FLAG_QR) || flags & OPCODES)
		return false;
	crow_message_fail(message, flags & 15);
	/* Who could not read a query may answer with a bare header. */
	if (questions == 0)
		return message->rcode != CROW_RCODE_NOERROR &&
		       message->rcode != CROW_RCODE_NXDOMAIN;
	read_question(&r);
	if (questions != 1 || r.in.failed)
		return false;
	message->authentic = flags & FLAG_AD;
	message->truncated = flags & FLAG_TC;
	r.body_at = message->body_size = message->core_size = r.in.at;
	/* What was cut may be cut anywhere. */
	if (!message->truncated) {
		message->answers = read_section(&r, ANSWER, answers);
		message->authorities = read_section(&r, AUTHORITY, authorities);
		message->core_size = message->body_size;
		message->additionals = read_section(&r, ADDITIONAL, additionals);
		if (r.in.failed || r.in.at != size)
			return false;
	}
	finish(&r);
	return true;
}

/* ---- replies ---- */

/* 16 to 23 are about the transaction of two neighbours: EDNS versions, signatures, cookies
 * (RFC 6895 2.3). What is above needs an OPT to be said. */
static uint16_t rcode_for(const struct crow_message *message, const struct crow_query *query)
{
	if (message->rcode >= RCODE_EXTENDED && (message->rcode <= RCODE_BADCOOKIE || !query->edns))
		return CROW_RCODE_SERVFAIL;
	return message->rcode;
}

/* The first size bytes of the body, the set that turns beginning with its record `first`. */
static void put_body(const struct crow_message *message, size_t size, size_t first,
		     struct crow_wire_writer *out)
{
	size_t begin = message->turn_at;
	size_t middle = begin + first * message->turn_size;
	size_t end = begin + (size_t)message->turn_count * message->turn_size;
	const struct {
		size_t from, to;
	} parts[] = {{0, begin}, {middle, end}, {begin, middle}, {end, message->body_size}};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		size_t part = parts[i].to - parts[i].from;

		if (part > size)
			part = size;
		crow_wire_put_bytes(out, message->body + parts[i].from, part);
		size -= part;
	}
}

static void put_ttls(const struct crow_message *message, size_t size, uint32_t age_s,
		     uint32_t cap_s, uint8_t *body)
{
	uint32_t most_s = message->negative ? message->ttl_s : UINT32_MAX;

	if (cap_s > 0) {
		age_s = 0;
		most_s = cap_s < most_s ? cap_s : most_s;
	}
	for (size_t i = 0; i < message->ttl_count && message->ttl_at[i] < size; i++) {
		struct crow_wire_reader in = {
			.bytes = body, .size = size, .at = message->ttl_at[i]};
		struct crow_wire_writer out = {.bytes = body, .size = size, .at = in.at};
		uint32_t ttl_s = true_ttl(crow_wire_get_u32(&in));

		ttl_s = ttl_s < most_s ? ttl_s : most_s;
		crow_wire_put_u32(&out, ttl_s > age_s ? ttl_s - age_s : 0);
	}
}

/* How much of the body is answers that fit. Clients that cannot come back by TCP (musl before
 * 1.2.4) take what there is. */
static size_t fit_answers(const struct crow_message *message, size_t room, uint16_t *answers)
{
	struct crow_wire_reader in = {.bytes = message->body, .size = message->core_size};
	size_t size = 0;

	for (*answers = 0; *answers < message->answers; ++*answers) {
		crow_wire_skip_name(&in);
		crow_wire_get_bytes(&in, FIXED_SIZE - 2);
		crow_wire_get_bytes(&in, crow_wire_get_u16(&in));
		if (in.failed || in.at > room)
			break;
		size = in.at;
	}
	return size;
}

/* Sets the counts, and returns how much of the body goes out. */
static size_t choose(const struct crow_message *message, struct crow_reply *reply)
{
	size_t room = crow_reply_room(reply);

	reply->truncated = message->truncated;
	if (message->core_size > room) {
		reply->truncated = true;
		return fit_answers(message, room, &reply->answers);
	}
	reply->answers = message->answers;
	reply->authorities = message->authorities;
	if (message->body_size > room)
		return message->core_size;
	reply->additionals = message->additionals;
	return message->body_size;
}

void crow_message_reply(const struct crow_message *message, const struct crow_query *query,
			uint32_t age_s, uint32_t cap_s, uint64_t turn, struct crow_reply *reply)
{
	size_t size, at, first = message->turn_count > 0 ? turn % message->turn_count : 0;

	crow_reply_begin(reply, query);
	reply->rcode = rcode_for(message, query);
	/* We validate nothing: AD is the upstream's word to those who asked for it, and who trusts
	 * it has said so himself (trust-ad of resolv.conf). For what is stale nobody vouches. */
	reply->authentic =
		message->authentic && cap_s == 0 && (query->dnssec_ok || query->flags & FLAG_AD);
	if (reply->rcode == message->rcode) {
		size = choose(message, reply);
		at = reply->out.at;
		put_body(message, size, first, &reply->out);
		put_ttls(message, size, age_s, cap_s, reply->out.bytes + at);
	}
	crow_reply_finish(reply, query);
}
