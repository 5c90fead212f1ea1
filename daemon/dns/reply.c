#include "daemon/dns/reply.h"

/* A pointer as the owner, type, class, TTL and length. */
#define RECORD_FIXED 12u

#define OPT_SIZE 11
#define TYPE_OPT 41
#define OPT_DO   0x8000

#define FLAG_QR      0x8000
#define FLAG_AA      0x0400
#define FLAG_TC      0x0200
#define FLAG_RA      0x0080
#define FLAG_AD      0x0020
#define FLAGS_COPIED 0x7910 /* opcode, RD and CD; Z is never set */

void crow_reply_begin(struct crow_reply *reply, const struct crow_query *query)
{
	size_t limit = query->limit < reply->capacity ? query->limit : reply->capacity;

	reply->size = 0;
	reply->rcode = CROW_RCODE_NOERROR;
	reply->answers = reply->authorities = reply->additionals = 0;
	reply->authoritative = reply->truncated = reply->authentic = false;
	reply->out = (struct crow_wire_writer){
		.bytes = reply->bytes,
		.size = limit - (query->edns ? OPT_SIZE : 0),
		.at = CROW_WIRE_HEADER,
	};
	if (query->name_size == 0)
		return;
	crow_wire_put_bytes(&reply->out, query->name, query->name_size);
	crow_wire_put_u16(&reply->out, query->type);
	crow_wire_put_u16(&reply->out, query->class);
}

static void put_opt(struct crow_reply *reply, const struct crow_query *query)
{
	struct crow_wire_writer *out = &reply->out;

	out->size += OPT_SIZE;
	crow_wire_put_u8(out, 0);
	crow_wire_put_u16(out, TYPE_OPT);
	crow_wire_put_u16(out, CROW_QUERY_UDP_MAX);
	crow_wire_put_u8(out, (uint8_t)(reply->rcode >> 4));
	crow_wire_put_u8(out, 0); /* version */
	crow_wire_put_u16(out, query->dnssec_ok ? OPT_DO : 0);
	crow_wire_put_u16(out, 0);
	reply->additionals++;
}

void crow_reply_finish(struct crow_reply *reply, const struct crow_query *query)
{
	struct crow_wire_writer header = {.bytes = reply->bytes, .size = CROW_WIRE_HEADER};

	if (query->edns)
		put_opt(reply, query);
	crow_wire_put_u16(&header, query->id);
	crow_wire_put_u16(&header,
			  (uint16_t)(FLAG_QR | FLAG_RA | (query->flags & FLAGS_COPIED) |
				     (reply->authoritative ? FLAG_AA : 0) |
				     (reply->truncated ? FLAG_TC : 0) |
				     (reply->authentic ? FLAG_AD : 0) | (reply->rcode & 15)));
	crow_wire_put_u16(&header, query->name_size > 0);
	crow_wire_put_u16(&header, reply->answers);
	crow_wire_put_u16(&header, reply->authorities);
	crow_wire_put_u16(&header, reply->additionals);
	reply->size = reply->out.at;
}

void crow_reply_refuse(struct crow_reply *reply, const struct crow_query *query, uint16_t rcode)
{
	crow_reply_begin(reply, query);
	reply->rcode = rcode;
	crow_reply_finish(reply, query);
}

void crow_reply_truncate(struct crow_reply *reply, const struct crow_query *query)
{
	crow_reply_begin(reply, query);
	reply->truncated = true;
	crow_reply_finish(reply, query);
}

size_t crow_reply_room(const struct crow_reply *reply)
{
	return reply->out.size - reply->out.at;
}

/* The 12 bytes before a record's data, at once: most of a reply is these. */
static void store_fixed(uint8_t *at, size_t owner, uint16_t type, uint32_t ttl_s, uint16_t size)
{
	crow_wire_store_u16(at, (unsigned)(CROW_WIRE_POINTER | owner));
	crow_wire_store_u16(at + 2, type);
	crow_wire_store_u16(at + 4, CROW_CLASS_IN);
	crow_wire_store_u32(at + 6, ttl_s);
	crow_wire_store_u16(at + 10, size);
}

size_t crow_reply_open(struct crow_reply *reply, size_t owner, uint16_t type, uint32_t ttl_s)
{
	size_t start = reply->out.at;
	uint8_t *at = crow_wire_extend(&reply->out, RECORD_FIXED);

	if (owner >= CROW_WIRE_POINTER_LIMIT)
		reply->out.failed = true;
	else if (at)
		store_fixed(at, owner, type, ttl_s, 0);
	return start;
}

bool crow_reply_close(struct crow_reply *reply, size_t start)
{
	struct crow_wire_writer *out = &reply->out;

	if (out->failed) {
		out->failed = false;
		out->at = start;
		return false;
	}
	crow_wire_patch_u16(out, start + RECORD_FIXED - 2,
			    (uint16_t)(out->at - start - RECORD_FIXED));
	return true;
}

bool crow_reply_put_address(struct crow_reply *reply, size_t owner, const struct crow_addr *addr,
			    uint32_t ttl_s)
{
	bool v4 = crow_addr_is_v4(addr);
	size_t size = v4 ? CROW_REPLY_A_SIZE : CROW_REPLY_AAAA_SIZE;
	uint8_t *at = NULL;

	if (owner < CROW_WIRE_POINTER_LIMIT && size <= crow_reply_room(reply))
		at = crow_wire_extend(&reply->out, size);
	if (!at)
		return false;
	store_fixed(at, owner, v4 ? CROW_TYPE_A : CROW_TYPE_AAAA, ttl_s,
		    (uint16_t)(size - RECORD_FIXED));
	if (v4)
		memcpy(at + RECORD_FIXED, crow_addr_v4_bytes(addr), 4);
	else
		memcpy(at + RECORD_FIXED, addr->bytes, sizeof(addr->bytes));
	return true;
}

/* The form of RFC 6303 section 3 for zones that a resolver serves by itself: the zone is its own
 * server, and there is nobody to write to. */
void crow_reply_put_soa(struct crow_reply *reply, size_t apex, uint32_t serial, uint32_t ttl_s)
{
	struct crow_wire_writer *out = &reply->out;
	size_t start = crow_reply_open(reply, apex, CROW_TYPE_SOA, ttl_s);

	crow_wire_put_pointer(out, apex);
	crow_wire_put_name(out, "nobody.invalid");
	crow_wire_put_u32(out, serial);
	crow_wire_put_u32(out, 3600);   /* refresh, in s, as is all below */
	crow_wire_put_u32(out, 1200);   /* retry */
	crow_wire_put_u32(out, 604800); /* expire */
	crow_wire_put_u32(out, CROW_REPLY_NEGATIVE_TTL_S);
	crow_reply_close(reply, start);
}

void crow_reply_put_ns(struct crow_reply *reply, size_t apex, uint32_t ttl_s)
{
	size_t start = crow_reply_open(reply, apex, CROW_TYPE_NS, ttl_s);

	crow_wire_put_pointer(&reply->out, apex);
	crow_reply_close(reply, start);
}
