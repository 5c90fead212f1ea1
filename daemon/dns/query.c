#include "daemon/dns/query.h"

#include <string.h>

#define FLAG_QR          0x8000
#define OPCODES          0x7800
#define TYPE_OPT         41
#define OPT_DO           0x8000
#define OPT_VERSION(ttl) (((ttl) >> 16) & 0xff)

typedef uint8_t block __attribute__((vector_size(CROW_QUERY_BLOCK)));

/* A-Z fold, and a dot becomes a NUL; 16 bytes at once, as a byte after the other would be a tenth of
 * the whole answer. */
static void fold(char *text, size_t size)
{
	for (size_t i = 0; i < size; i += CROW_QUERY_BLOCK) {
		block bytes;

		memcpy(&bytes, text + i, sizeof(bytes));
		bytes |= (block)((bytes >= 'A') & (bytes <= 'Z')) & 0x20;
		bytes &= (block)(bytes != '.');
		memcpy(text + i, &bytes, sizeof(bytes));
	}
}

/* The labels as folded text. Byte i of the text is byte i + 1 of the name, so that a suffix of the
 * text is found in the name at the same offset. The lengths of labels, which are below 'A', are
 * folded with the rest and become the dots then. */
static void make_text(struct crow_query *query)
{
	query->text_size = query->name_size < 2 ? 0 : query->name_size - 2;
	memcpy(query->text, query->name + 1, query->text_size);
	fold(query->text, query->text_size);
	for (size_t at = query->name[0]; at < query->text_size; at += 1u + query->name[at + 1])
		query->text[at] = '.';
	query->text[query->text_size] = '\0';
}

static void read_question(struct crow_query *query, struct crow_wire_reader *in)
{
	query->name_size = (uint16_t)crow_wire_get_name(in, query->name);
	query->type = crow_wire_get_u16(in);
	query->class = crow_wire_get_u16(in);
	if (in->failed)
		query->name_size = 0;
	else
		make_text(query);
}

static bool are_options_whole(const uint8_t *bytes, size_t size)
{
	struct crow_wire_reader in = {.bytes = bytes, .size = size};

	while (!in.failed && in.at < in.size) {
		crow_wire_get_u16(&in);
		crow_wire_get_bytes(&in, crow_wire_get_u16(&in));
	}
	return !in.failed;
}

static void take_edns(struct crow_query *query, uint16_t size, uint32_t ttl)
{
	query->edns = true;
	query->dnssec_ok = ttl & OPT_DO;
	if (OPT_VERSION(ttl) != 0)
		query->rcode = CROW_RCODE_BADVERS;
	if (query->stream)
		return;
	if (size > CROW_QUERY_UDP_MAX)
		size = CROW_QUERY_UDP_MAX;
	query->limit = size < CROW_QUERY_UDP_MIN ? CROW_QUERY_UDP_MIN : size;
}

/* One record of any section. Only OPT means something to us; its place is the additional section,
 * its owner the root, and there is one at most (RFC 6891 6.1.1). */
static void read_record(struct crow_query *query, struct crow_wire_reader *in, bool additional)
{
	bool root = crow_wire_skip_name(in);
	uint16_t type = crow_wire_get_u16(in);
	uint16_t class = crow_wire_get_u16(in);
	uint32_t ttl = crow_wire_get_u32(in);
	uint16_t size = crow_wire_get_u16(in);
	const uint8_t *data = crow_wire_get_bytes(in, size);

	if (in->failed || type != TYPE_OPT)
		return;
	if (!root || !additional || query->edns || !are_options_whole(data, size))
		in->failed = true;
	else
		take_edns(query, class, ttl);
}

bool crow_query_read(struct crow_query *query, const uint8_t *bytes, size_t size, bool stream)
{
	struct crow_wire_reader in = {.bytes = bytes, .size = size};

	query->id = crow_wire_get_u16(&in);
	query->flags = crow_wire_get_u16(&in);
	unsigned questions = crow_wire_get_u16(&in);
	unsigned records = crow_wire_get_u16(&in);
	records += crow_wire_get_u16(&in);
	unsigned additional = crow_wire_get_u16(&in);

	if (in.failed || query->flags & FLAG_QR)
		return false;
	query->rcode = CROW_RCODE_NOERROR;
	query->edns = query->dnssec_ok = false;
	query->stream = stream;
	query->limit = stream ? CROW_QUERY_TCP_MAX : CROW_QUERY_UDP_MIN;
	query->name_size = query->text_size = 0;
	if (query->flags & OPCODES) {
		query->rcode = CROW_RCODE_NOTIMP;
		return true;
	}
	if (questions == 1) /* RFC 9619: a QUERY has exactly one */
		read_question(query, &in);
	else
		in.failed = true;
	/* Each turn takes 11 bytes or fails, so counts that lie cost nothing. */
	for (; records > 0 && !in.failed; records--)
		read_record(query, &in, false);
	for (; additional > 0 && !in.failed; additional--)
		read_record(query, &in, true);
	if (in.failed || in.at != size)
		query->rcode = CROW_RCODE_FORMERR;
	return true;
}
