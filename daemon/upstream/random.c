#include "daemon/upstream/random.h"

#include <stdlib.h>
#include <string.h>

static void take(struct crow_random *random, void *out, size_t size)
{
	if (random->left < size) {
		arc4random_buf(random->bytes, sizeof(random->bytes)); /* cannot fail */
		random->left = sizeof(random->bytes);
	}
	random->left -= size;
	memcpy(out, random->bytes + random->left, size);
}

uint16_t crow_random_u16(struct crow_random *random)
{
	uint16_t number;

	take(random, &number, sizeof(number));
	return number;
}

uint64_t crow_random_u64(struct crow_random *random)
{
	uint64_t number;

	take(random, &number, sizeof(number));
	return number;
}
