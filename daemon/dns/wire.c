#include "daemon/dns/wire.h"

/* RFC 1035 4.1.4: the two top bits of a length byte. 01 and 10 are reserved. */
#define LABEL_MAX     63
#define LABEL_POINTER 0xc0

const uint8_t *crow_wire_get_bytes(struct crow_wire_reader *in, size_t size)
{
	if (in->failed || in->size - in->at < size) {
		in->failed = true;
		return NULL;
	}
	in->at += size;
	return in->bytes + in->at - size;
}

uint8_t crow_wire_get_u8(struct crow_wire_reader *in)
{
	const uint8_t *p = crow_wire_get_bytes(in, 1);

	return p ? p[0] : 0;
}

uint16_t crow_wire_get_u16(struct crow_wire_reader *in)
{
	const uint8_t *p = crow_wire_get_bytes(in, 2);

	return p ? (uint16_t)(p[0] << 8 | p[1]) : 0;
}

uint32_t crow_wire_get_u32(struct crow_wire_reader *in)
{
	uint32_t high = crow_wire_get_u16(in);

	return high << 16 | crow_wire_get_u16(in);
}

size_t crow_wire_get_name(struct crow_wire_reader *in, uint8_t out[CROW_WIRE_NAME_MAX])
{
	size_t size = 0;

	for (;;) {
		uint8_t length = crow_wire_get_u8(in);
		const uint8_t *label = crow_wire_get_bytes(in, length);

		if (in->failed || length > LABEL_MAX || size + 1 + length > CROW_WIRE_NAME_MAX)
			break;
		out[size] = length;
		memcpy(out + size + 1, label, length);
		size += 1u + length;
		if (length == 0)
			return size;
	}
	in->failed = true;
	return 0;
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
