#include "daemon/dns/question.h"

#include <string.h>

#include "daemon/dns/reply.h"

#define TYPE_OPT  41
#define QTYPE_MIN 128 /* RFC 6895 3.1: from here to 255 are meta-types and those of queries alone */
#define QTYPE_MAX 255

#define FLAG_RD 0x0100
#define FLAG_AD 0x0020
#define FLAG_CD 0x0010
#define OPT_DO  0x8000

/* ANY is asked to make large replies (RFC 8482), zone transfers are for zones, TSIG and its like are
 * between two neighbours, and type 0 is none. */
bool crow_question_is_forwarded(const struct crow_query *query)
{
	if (query->class != CROW_CLASS_IN || query->type == 0 || query->type == TYPE_OPT)
		return false;
	return query->type < QTYPE_MIN || query->type > QTYPE_MAX;
}

static void put_opt(struct crow_wire_writer *out, bool dnssec_ok)
{
	crow_wire_put_u8(out, 0);
	crow_wire_put_u16(out, TYPE_OPT);
	crow_wire_put_u16(out, CROW_QUERY_UDP_MAX);
	crow_wire_put_u16(out, 0); /* extended rcode and version */
	crow_wire_put_u16(out, dnssec_ok ? OPT_DO : 0);
	crow_wire_put_u16(out, 0);
}

size_t crow_question_write(const struct crow_query *query, uint16_t id, bool edns,
			   uint8_t bytes[CROW_QUESTION_MAX])
{
	struct crow_wire_writer out = {.bytes = bytes, .size = CROW_QUESTION_MAX};

	crow_wire_put_u16(&out, id);
	/* RFC 6840 5.7: AD says that we would like to know. */
	crow_wire_put_u16(&out, (uint16_t)(FLAG_RD | FLAG_AD | (query->flags & FLAG_CD)));
	crow_wire_put_u16(&out, 1);
	crow_wire_put_u16(&out, 0);
	crow_wire_put_u16(&out, 0);
	crow_wire_put_u16(&out, edns);
	crow_wire_put_bytes(&out, query->name, query->name_size);
	crow_wire_put_u16(&out, query->type);
	crow_wire_put_u16(&out, query->class);
	if (edns)
		put_opt(&out, query->dnssec_ok);
	return out.at;
}

void crow_question_mix_case(struct crow_query *query, uint64_t (*bits)(void *context),
			    void *context)
{
	uint64_t drawn = 0;

	for (size_t i = 0; i < query->name_size; i++) {
		uint8_t lower = query->name[i] | 0x20;

		if (i % 64 == 0)
			drawn = bits(context);
		/* No length byte is a letter: they are below 64, and 'A' is 65. */
		if (lower >= 'a' && lower <= 'z')
			query->name[i] = drawn & 1 ? lower : lower & 0xdf;
		drawn >>= 1;
	}
}

void crow_question_make(struct crow_query *query, const char *name, uint16_t type)
{
	struct crow_wire_writer out = {.bytes = query->name, .size = sizeof(query->name)};

	memset(query, 0, sizeof(*query));
	crow_wire_put_name(&out, name);
	query->name_size = (uint16_t)out.at;
	query->text_size = (uint16_t)strlen(name);
	memcpy(query->text, name, query->text_size + 1u);
	query->type = type;
	query->class = CROW_CLASS_IN;
}
