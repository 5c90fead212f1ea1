#include "daemon/dns/wire.h"

#include <string.h>

/* RFC 1035 4.1.4: the two top bits of a length byte. 01 and 10 are reserved. */
#define LABEL_MAX     63
#define LABEL_POINTER 0xc0
#define POINTER_LIMIT 0x4000

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

/* Room for size more bytes, or NULL. */
static uint8_t *extend(struct crow_wire_writer *out, size_t size)
{
	if (out->failed || out->at > out->size || out->size - out->at < size) {
		out->failed = true;
		return NULL;
	}
	out->at += size;
	return out->bytes + out->at - size;
}

void crow_wire_put_u8(struct crow_wire_writer *out, uint8_t value)
{
	uint8_t *p = extend(out, 1);

	if (p)
		p[0] = value;
}

void crow_wire_put_u16(struct crow_wire_writer *out, uint16_t value)
{
	uint8_t *p = extend(out, 2);

	if (p) {
		p[0] = (uint8_t)(value >> 8);
		p[1] = (uint8_t)value;
	}
}

void crow_wire_put_u32(struct crow_wire_writer *out, uint32_t value)
{
	uint8_t *p = extend(out, 4);

	if (p) {
		p[0] = (uint8_t)(value >> 24);
		p[1] = (uint8_t)(value >> 16);
		p[2] = (uint8_t)(value >> 8);
		p[3] = (uint8_t)value;
	}
}

void crow_wire_put_bytes(struct crow_wire_writer *out, const void *bytes, size_t size)
{
	uint8_t *p = extend(out, size);

	if (p && size > 0)
		memcpy(p, bytes, size);
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
	if (offset >= POINTER_LIMIT)
		out->failed = true;
	crow_wire_put_u16(out, (uint16_t)(LABEL_POINTER << 8 | offset));
}

void crow_wire_patch_u16(struct crow_wire_writer *out, size_t at, uint16_t value)
{
	if (out->failed || at + 2 > out->at)
		return;
	out->bytes[at] = (uint8_t)(value >> 8);
	out->bytes[at + 1] = (uint8_t)value;
}
