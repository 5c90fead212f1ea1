#include "daemon/dns/wire.h"

/* RFC 1035 4.1.4: the two top bits of a length byte. 01 and 10 are reserved. */
#define LABEL_MAX     63
#define LABEL_POINTER 0xc0

/* The labels are walked where they stand; what is good is copied at once. A label that reaches beyond
 * the end is seen where the length of the next one would stand. */
size_t crow_wire_get_name(struct crow_wire_reader *in, uint8_t out[CROW_WIRE_NAME_MAX])
{
	const uint8_t *name = in->bytes + in->at;
	size_t left = in->failed ? 0 : in->size - in->at, size = 0;
	size_t limit = left < CROW_WIRE_NAME_MAX ? left : CROW_WIRE_NAME_MAX;
	uint8_t length;

	do {
		if (size >= limit || name[size] > LABEL_MAX) {
			in->failed = true;
			return 0;
		}
		length = name[size];
		size += 1u + length;
	} while (length > 0);
	memcpy(out, name, size);
	in->at += size;
	return size;
}

bool crow_wire_skip_name(struct crow_wire_reader *in)
{
	size_t start = in->at;

	for (;;) {
		uint8_t length = crow_wire_get_u8(in);

		if (in->failed)
			return false;
		if (length == 0)
			return in->at == start + 1;
		if (length >= LABEL_POINTER) {
			crow_wire_get_u8(in);
			return false;
		}
		if (length > LABEL_MAX)
			in->failed = true;
		crow_wire_get_bytes(in, length);
	}
}

void crow_wire_put_name(struct crow_wire_writer *out, const char *dotted)
{
	size_t left = strlen(dotted);

	while (left > 0) {
		const char *dot = memchr(dotted, '.', left);
		size_t length = dot ? (size_t)(dot - dotted) : left;

		if (length == 0 || length > LABEL_MAX)
			out->failed = true;
		crow_wire_put_u8(out, (uint8_t)length);
		crow_wire_put_bytes(out, dotted, length);
		left -= dot ? length + 1 : length;
		dotted += length + 1;
	}
	crow_wire_put_u8(out, 0);
}

void crow_wire_put_pointer(struct crow_wire_writer *out, size_t offset)
{
	if (offset >= CROW_WIRE_POINTER_LIMIT)
		out->failed = true;
	crow_wire_put_u16(out, (uint16_t)(CROW_WIRE_POINTER | offset));
}

void crow_wire_patch_u16(struct crow_wire_writer *out, size_t at, uint16_t value)
{
	if (out->failed || at + 2 > out->at)
		return;
	crow_wire_store_u16(out->bytes + at, value);
}
