#include "daemon/upstream/envelope.h"

#include <string.h>

#include "daemon/upstream/veil.h"

#define LABEL_MAX 63 /* above are pointers and what is reserved */

/* In the third and fourth byte. */
#define BYTE_QR   0x80
#define BYTE_TC   0x02
#define BYTE_FAIL 0x02 /* SERVFAIL */

size_t crow_envelope_size(const uint8_t *message, size_t size)
{
	size_t limit = size < CROW_ENVELOPE_MAX ? size : CROW_ENVELOPE_MAX;
	size_t at = CROW_ENVELOPE_HEADER;

	if (size < CROW_ENVELOPE_HEADER || message[4] != 0 || message[5] != 1)
		return 0;
	while (at < limit && message[at] > 0) {
		if (message[at] > LABEL_MAX)
			return 0;
		at += 1u + message[at];
	}
	at += 1 + 4;
	return at <= limit ? at : 0;
}

/* SERVFAIL, whatever the reply says: 1.34 would ask again without OPT after FORMERR, and after
 * three answers give up later queries at five times what those took. Failures it passes on. */
size_t crow_envelope_write(const uint8_t *reply, size_t size, bool cut,
			   uint8_t out[CROW_ENVELOPE_MAX])
{
	size_t end = crow_envelope_size(reply, size);

	if (end == 0)
		return 0;
	memcpy(out, reply, end);
	out[2] = (uint8_t)(BYTE_QR | (cut ? BYTE_TC : reply[2] & BYTE_TC));
	out[3] = BYTE_FAIL;
	memset(out + 6, 0, CROW_ENVELOPE_HEADER - 6);
	crow_veil_hide(out, end);
	return end;
}
