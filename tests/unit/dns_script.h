/*
 * DNS messages by hand, for the tests of forwarding.
 */
#ifndef DNS_SCRIPT_H
#define DNS_SCRIPT_H

#include <string.h>

#include "daemon/dns/query.h"
#include "daemon/dns/wire.h"

enum { DNS_QR = 0x8000, DNS_AA = 0x0400, DNS_TC = 0x0200, DNS_RD = 0x0100, DNS_RA = 0x0080 };
enum { DNS_AD = 0x0020, DNS_CD = 0x0010, DNS_DO = 0x8000 };
enum { DNS_A = 1, DNS_NS = 2, DNS_CNAME = 5, DNS_SOA = 6, DNS_TXT = 16, DNS_AAAA = 28 };
enum { DNS_OPT = 41 };

/* Where the question's name stands in every message. */
#define DNS_OWNER 12

struct dns_script {
	uint8_t bytes[65535];
	struct crow_wire_writer out;
	size_t length_at; /* of the record under way */
};

/* The header and a question. rcode and flags as given; the counts are set later. */
static inline void dns_begin(struct dns_script *s, uint16_t flags, const char *name, uint16_t type)
{
	s->out = (struct crow_wire_writer){.bytes = s->bytes, .size = sizeof(s->bytes)};
	crow_wire_put_u16(&s->out, 0x1234);
	crow_wire_put_u16(&s->out, flags);
	crow_wire_put_u16(&s->out, 1);
	crow_wire_put_u16(&s->out, 0);
	crow_wire_put_u32(&s->out, 0);
	crow_wire_put_name(&s->out, name);
	crow_wire_put_u16(&s->out, type);
	crow_wire_put_u16(&s->out, 1);
}

static inline void dns_counts(struct dns_script *s, uint16_t answers, uint16_t authorities,
			      uint16_t additionals)
{
	crow_wire_patch_u16(&s->out, 6, answers);
	crow_wire_patch_u16(&s->out, 8, authorities);
	crow_wire_patch_u16(&s->out, 10, additionals);
}

/* Begins a record whose owner is a pointer; what is put then is its data, until dns_end(). */
static inline void dns_record(struct dns_script *s, size_t owner, uint16_t type, uint32_t ttl_s)
{
	crow_wire_put_pointer(&s->out, owner);
	crow_wire_put_u16(&s->out, type);
	crow_wire_put_u16(&s->out, 1);
	crow_wire_put_u32(&s->out, ttl_s);
	s->length_at = s->out.at;
	crow_wire_put_u16(&s->out, 0);
}

static inline void dns_end(struct dns_script *s)
{
	crow_wire_patch_u16(&s->out, s->length_at, (uint16_t)(s->out.at - s->length_at - 2));
}

/* 10.0.0.`last` */
static inline void dns_a(struct dns_script *s, size_t owner, uint32_t ttl_s, uint8_t last)
{
	dns_record(s, owner, DNS_A, ttl_s);
	crow_wire_put_u32(&s->out, 0x0a000000u | last);
	dns_end(s);
}

static inline void dns_soa(struct dns_script *s, size_t owner, uint32_t ttl_s, uint32_t minimum_s)
{
	dns_record(s, owner, DNS_SOA, ttl_s);
	crow_wire_put_pointer(&s->out, owner);
	crow_wire_put_name(&s->out, "nobody.invalid");
	for (unsigned i = 0; i < 4; i++)
		crow_wire_put_u32(&s->out, 3600);
	crow_wire_put_u32(&s->out, minimum_s);
	dns_end(s);
}

static inline void dns_opt(struct dns_script *s, uint32_t ttl)
{
	crow_wire_put_u8(&s->out, 0);
	crow_wire_put_u16(&s->out, DNS_OPT);
	crow_wire_put_u16(&s->out, 1232);
	crow_wire_put_u32(&s->out, ttl);
	crow_wire_put_u16(&s->out, 0);
}

/* A query as a client would send it. */
static inline struct crow_query dns_query(uint16_t flags, const char *name, uint16_t type)
{
	struct crow_query query;
	struct dns_script s;

	dns_begin(&s, flags, name, type);
	if (!crow_query_read(&query, s.bytes, s.out.at, false))
		query.rcode = CROW_RCODE_FORMERR;
	return query;
}

/* The same with OPT. */
static inline struct crow_query dns_query_edns(uint16_t flags, const char *name, uint16_t type,
					       uint16_t opt_flags)
{
	struct crow_query query;
	struct dns_script s;

	dns_begin(&s, flags, name, type);
	dns_opt(&s, opt_flags);
	dns_counts(&s, 0, 0, 1);
	if (!crow_query_read(&query, s.bytes, s.out.at, false))
		query.rcode = CROW_RCODE_FORMERR;
	return query;
}

#endif
