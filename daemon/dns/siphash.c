#include "daemon/dns/siphash.h"

#include <endian.h>
#include <string.h>

static uint64_t rotate(uint64_t word, unsigned bits)
{
	return word << bits | word >> (64 - bits);
}

static inline void mix(uint64_t v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] = rotate(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] = rotate(v[2], 32);
}

static inline void take(uint64_t v[4], uint64_t word)
{
	v[3] ^= word;
	mix(v);
	v[0] ^= word;
}

uint64_t crow_siphash(const uint64_t secret[2], const void *bytes, size_t size)
{
	/* The letters are the paper's: "somepseudorandomlygeneratedbytes". */
	uint64_t v[4] = {
		secret[0] ^ 0x736f6d6570736575,
		secret[1] ^ 0x646f72616e646f6d,
		secret[0] ^ 0x6c7967656e657261,
		secret[1] ^ 0x7465646279746573,
	};
	const uint8_t *p = bytes;
	size_t left = size;
	uint64_t word;

	for (; left >= sizeof(word); left -= sizeof(word), p += sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		take(v, le64toh(word));
	}
	word = 0;
	memcpy(&word, p, left);
	take(v, le64toh(word) | (uint64_t)size << 56);
	v[2] ^= 0xff;
	mix(v);
	mix(v);
	mix(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}
