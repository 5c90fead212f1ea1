/*
 * What upstreams say, and what askers get of it, at once and out of the cache. Whatever comes in, a
 * reply is a message whose counts are true and which says the same: here it is decoded by code of
 * this file alone and compared record by record.
 *
 * The first four bytes choose the asker: flags, his limit, and the answer's age; the rest is what
 * the upstream sent.
 */
#include <stdlib.h>

#include "daemon/dns/cache.h"
#include "tests/unit/dns_script.h"
#include "tests/unit/fixture.h"

#define CHOICES 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- a decoder ---- */

struct bytes {
	const uint8_t *at;
	size_t size;
};

static unsigned u16(struct bytes in, size_t at)
{
	FIXTURE_MUST(at + 2 <= in.size);
	return (unsigned)in.at[at] << 8 | in.at[at + 1];
}

/* Writes the name at `at` to out, folded, and returns its size; *end is what follows it. */
static size_t decode_name(struct bytes in, size_t at, uint8_t out[255], size_t *end)
{
	size_t size = 0, jumps = 0;

	for (*end = 0;;) {
		FIXTURE_MUST(at < in.size);
		unsigned length = in.at[at];

		if (length >= 192) {
			size_t target = u16(in, at) - 0xc000;

			FIXTURE_MUST(target < at && target >= 12 && ++jumps < 200);
			*end = *end ? *end : at + 2;
			at = target;
			continue;
		}
		FIXTURE_MUST(length < 64 && at + 1 + length <= in.size && size + 1 + length <= 255);
		for (size_t i = 0; i <= length; i++) {
			uint8_t byte = in.at[at + i];

			out[size++] = i > 0 && byte >= 'A' && byte <= 'Z' ? byte | 32 : byte;
		}
		at += 1 + length;
		if (length == 0) {
			*end = *end ? *end : at;
			return size;
		}
	}
}

struct record {
	uint8_t owner[255], target[255];
	size_t owner_size, target_size; /* target: the name in its data, if we know where it is */
	unsigned type, class, data_size;
	uint32_t ttl_s;
	const uint8_t *data;
};

static size_t decode_record(struct bytes in, size_t at, struct record *record)
{
	size_t end;

	memset(record, 0, sizeof(*record));
	record->owner_size = decode_name(in, at, record->owner, &at);
	record->type = u16(in, at);
	record->class = u16(in, at + 2);
	record->ttl_s = (uint32_t)u16(in, at + 4) << 16 | u16(in, at + 6);
	record->data_size = u16(in, at + 8);
	at += 10;
	FIXTURE_MUST(at + record->data_size <= in.size);
	record->data = in.at + at;
	if (record->type == 2 || record->type == 5 || record->type == 12 || record->type == 6) {
		record->target_size = decode_name(in, at, record->target, &end);
		FIXTURE_MUST(record->type == 6 || end == at + record->data_size);
	}
	if (record->type == 15) {
		record->target_size = decode_name(in, at + 2, record->target, &end);
		FIXTURE_MUST(end == at + record->data_size);
	}
	return at + record->data_size;
}

/* ---- what must hold ---- */

/* turned: records of the set that turns may stand elsewhere in it. */
static void check_record(const struct record *sent, const struct record *told, bool turned)
{
	FIXTURE_MUST(sent->type == told->type && sent->class == told->class);
	FIXTURE_MUST(sent->owner_size == told->owner_size &&
		     memcmp(sent->owner, told->owner, sent->owner_size) == 0);
	FIXTURE_MUST(sent->target_size == told->target_size &&
		     memcmp(sent->target, told->target, sent->target_size) == 0);
	FIXTURE_MUST(sent->data_size == told->data_size);
	FIXTURE_MUST(turned || memcmp(sent->data, told->data, sent->data_size) == 0);
	FIXTURE_MUST(turned || told->ttl_s <= sent->ttl_s);
}

static void check_reply(const struct crow_query *query, const struct crow_message *message,
			const uint8_t *sent_bytes, size_t sent_size, const struct crow_reply *reply)
{
	struct bytes sent = {sent_bytes, sent_size}, told = {reply->bytes, reply->size};
	size_t sent_at = 16u + query->name_size, told_at = sent_at;
	bool changed = message->rcode != reply->rcode || message->body_size == 0;
	unsigned records = u16(told, 6) + u16(told, 8) + u16(told, 10);
	struct record a, b;

	FIXTURE_MUST(reply->size <= query->limit && u16(told, 0) == query->id);
	FIXTURE_MUST(u16(told, 2) & 0x8000 && u16(told, 4) == 1);
	FIXTURE_MUST(memcmp(reply->bytes + 12, query->name, query->name_size) == 0);
	FIXTURE_MUST(!(u16(told, 2) & 0x0440)); /* AA and Z */
	FIXTURE_MUST(!query->edns || records > 0);
	for (records -= query->edns; records > 0; records--) {
		FIXTURE_MUST(!changed);
		bool turned = message->turn_count > 0 &&
			      (message->turn_at + 16u + query->name_size) <= sent_at;

		sent_at = decode_record(sent, sent_at, &a);
		told_at = decode_record(told, told_at, &b);
		check_record(&a, &b, turned && (a.type == 1 || a.type == 28));
	}
	if (query->edns) {
		told_at = decode_record(told, told_at, &b);
		FIXTURE_MUST(b.type == 41 && b.owner_size == 1 && b.data_size == 0);
	}
	FIXTURE_MUST(told_at == reply->size);
}

/* We take what we say. */
static void check_again(const struct crow_query *query, const struct crow_reply *reply)
{
	struct crow_message again;

	FIXTURE_MUST(crow_message_read(&again, query, reply->bytes, reply->size));
	FIXTURE_MUST(again.truncated ||
		     (again.answers == reply->answers && again.rcode == reply->rcode));
}

/* ---- the parties ---- */

/* Whoever asked the question of this reply; another one if it has none that can be read. */
static struct crow_query make_query(const uint8_t *bytes, size_t size, uint8_t flags)
{
	struct crow_query query;
	uint8_t ask[CROW_WIRE_HEADER + CROW_WIRE_NAME_MAX + 4];
	size_t end = CROW_WIRE_HEADER;

	while (end < size && end < CROW_WIRE_HEADER + CROW_WIRE_NAME_MAX && bytes[end] > 0)
		end += 1u + bytes[end];
	end += 5;
	query = flags & 2 ? dns_query_edns(flags & 0x30, "a", 1, flags & 4 ? DNS_DO : 0)
			  : dns_query(flags & 0x30, "a", 1);
	if (end > size || end > sizeof(ask))
		return query;
	memcpy(ask, bytes, end);
	memcpy(ask, "\x12\x34\x01\0\0\x01\0\0\0\0\0\0", CROW_WIRE_HEADER);
	struct crow_query read;
	if (!crow_query_read(&read, ask, end, flags & 1) || read.rcode != CROW_RCODE_NOERROR)
		return query;
	read.edns = query.edns;
	read.dnssec_ok = query.dnssec_ok;
	read.flags = query.flags;
	return read;
}

/* Other letters, the same question. */
static void turn_case(struct crow_query *query)
{
	for (size_t i = 0; i < query->name_size; i++)
		if ((query->name[i] | 32) >= 'a' && (query->name[i] | 32) <= 'z')
			query->name[i] ^= 32;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t bytes[CROW_QUERY_TCP_MAX];
	struct crow_cache *cache;
	static const uint64_t secret[2] = {1, 2};
	struct crow_reply reply = {.bytes = bytes, .capacity = sizeof(bytes)};
	struct crow_message message;
	struct crow_query query;

	if (size < CHOICES)
		return 0;
	query = make_query(data + CHOICES, size - CHOICES, data[0]);
	if (!crow_message_read(&message, &query, data + CHOICES, size - CHOICES))
		return 0;
	turn_case(&query);
	if (!query.stream)
		query.limit = (uint16_t)(512 + (data[1] * 4 < 720 ? data[1] * 4 : 720));
	crow_message_reply(&message, &query, data[2], data[0] & 64 ? 30 : 0, data[3], &reply);
	check_reply(&query, &message, data + CHOICES, size - CHOICES, &reply);
	check_again(&query, &reply);

	FIXTURE_MUST((cache = crow_cache_new(1, secret)) != NULL);
	crow_cache_put(cache, &query, &message, 0);
	if (crow_cache_answer(cache, &query, data[2] * INT64_C(1000000000), true, data[3],
			      &reply) != CROW_CACHE_MISS) {
		check_reply(&query, &message, data + CHOICES, size - CHOICES, &reply);
		check_again(&query, &reply);
	}
	crow_cache_free(cache);
	return 0;
}
