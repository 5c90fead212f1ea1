/*
 * Cursors over a DNS message whose errors stick: after the first read past the end, or write past
 * the limit, everything else does nothing, so that code is straight lines and one check at the end.
 */
#ifndef CROW_WIRE_H
#define CROW_WIRE_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define CROW_WIRE_HEADER   12
#define CROW_WIRE_NAME_MAX 255 /* RFC 1035 2.3.4, with the root's byte */

/* RFC 1035 4.1.4: a pointer's two top bits, and what the others can say. */
#define CROW_WIRE_POINTER       0xc000
#define CROW_WIRE_POINTER_LIMIT 0x4000

struct crow_wire_reader {
	const uint8_t *bytes;
	size_t size;
	size_t at;
	bool failed;
};

struct crow_wire_writer {
	uint8_t *bytes;
	size_t size; /* the limit; may be moved while writing */
	size_t at;
	bool failed;
};

/* 0 and NULL once failed. All that is small is inline: a message is some dozens of these, and a call
 * costs more than what it moves. */
static inline const uint8_t *crow_wire_get_bytes(struct crow_wire_reader *in, size_t size)
{
	if (in->failed || in->size - in->at < size) {
		in->failed = true;
		return NULL;
	}
	in->at += size;
	return in->bytes + in->at - size;
}

static inline uint8_t crow_wire_get_u8(struct crow_wire_reader *in)
{
	const uint8_t *p = crow_wire_get_bytes(in, 1);

	return p ? p[0] : 0;
}

static inline uint16_t crow_wire_get_u16(struct crow_wire_reader *in)
{
	const uint8_t *p = crow_wire_get_bytes(in, 2);

	return p ? (uint16_t)(p[0] << 8 | p[1]) : 0;
}

static inline uint32_t crow_wire_get_u32(struct crow_wire_reader *in)
{
	uint32_t high = crow_wire_get_u16(in);

	return high << 16 | crow_wire_get_u16(in);
}

/* Copies an uncompressed name to out and returns its size with the root's byte. Pointers and the
 * reserved label types fail: nothing stands before a question that it could point to. */
size_t crow_wire_get_name(struct crow_wire_reader *in, uint8_t out[CROW_WIRE_NAME_MAX]);
/* Passes over a name that may end in a pointer, which is not followed. True if it is the root. */
bool crow_wire_skip_name(struct crow_wire_reader *in);

/* Room for size more bytes, or NULL. */
static inline uint8_t *crow_wire_extend(struct crow_wire_writer *out, size_t size)
{
	if (out->failed || out->at > out->size || out->size - out->at < size) {
		out->failed = true;
		return NULL;
	}
	out->at += size;
	return out->bytes + out->at - size;
}

static inline void crow_wire_store_u16(uint8_t *at, unsigned value)
{
	uint16_t big = htobe16((uint16_t)value);

	memcpy(at, &big, sizeof(big));
}

static inline void crow_wire_store_u32(uint8_t *at, uint32_t value)
{
	uint32_t big = htobe32(value);

	memcpy(at, &big, sizeof(big));
}

static inline void crow_wire_put_u8(struct crow_wire_writer *out, uint8_t value)
{
	uint8_t *p = crow_wire_extend(out, 1);

	if (p)
		p[0] = value;
}

static inline void crow_wire_put_u16(struct crow_wire_writer *out, uint16_t value)
{
	uint8_t *p = crow_wire_extend(out, 2);

	if (p)
		crow_wire_store_u16(p, value);
}

static inline void crow_wire_put_u32(struct crow_wire_writer *out, uint32_t value)
{
	uint8_t *p = crow_wire_extend(out, 4);

	if (p)
		crow_wire_store_u32(p, value);
}

static inline void crow_wire_put_bytes(struct crow_wire_writer *out, const void *bytes, size_t size)
{
	uint8_t *p = crow_wire_extend(out, size);

	if (p && size > 0)
		memcpy(p, bytes, size);
}

/* A dotted name (no trailing dot, "" is the root) as labels, uncompressed. */
void crow_wire_put_name(struct crow_wire_writer *out, const char *dotted);
/* A name as a pointer to `offset` of the message. */
void crow_wire_put_pointer(struct crow_wire_writer *out, size_t offset);
/* Overwrites two bytes written before. */
void crow_wire_patch_u16(struct crow_wire_writer *out, size_t at, uint16_t value);

#endif
