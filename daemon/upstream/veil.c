#include "daemon/upstream/veil.h"

#include <string.h>

/* Some of what c-ares lets pass is hidden, too (a dot, '*' and '/'), which does no harm. */
static bool is_plain(uint8_t byte)
{
	uint8_t lower = byte | 0x20;

	return (lower >= 'a' && lower <= 'z') || (byte >= '0' && byte <= '9') || byte == '-' ||
	       byte == '_';
}

bool crow_veil_hide(uint8_t *message, size_t size)
{
	bool hidden = false;

	for (size_t at = CROW_ENVELOPE_HEADER; at < size && message[at] > 0;) {
		size_t end = at + 1 + message[at];

		while (++at < end)
			if (!is_plain(message[at])) {
				message[at] = 'x';
				hidden = true;
			}
	}
	return hidden;
}

void crow_veil_init(struct crow_veil *veil, const uint8_t *query, size_t size)
{
	veil->next = NULL;
	veil->size = crow_envelope_size(query, size);
	memcpy(veil->bytes, query, veil->size);
}

/* Its question is the query's, hidden; end: of that. */
static bool is_of(const struct crow_veil *veil, const uint8_t *query, size_t end)
{
	uint8_t hidden[CROW_ENVELOPE_MAX];

	if (veil->size != end)
		return false;
	memcpy(hidden, veil->bytes, end);
	crow_veil_hide(hidden, end);
	return memcmp(hidden + CROW_ENVELOPE_HEADER, query + CROW_ENVELOPE_HEADER,
		      end - CROW_ENVELOPE_HEADER) == 0;
}

void crow_veil_name(struct crow_veil *veil, const uint8_t *query, size_t size)
{
	if (is_of(veil, query, crow_envelope_size(query, size)))
		memcpy(veil->bytes, query, 2);
}

void crow_veil_lift(const struct crow_veil *first, uint8_t *query, size_t size)
{
	size_t end = crow_envelope_size(query, size);

	for (const struct crow_veil *veil = first; veil; veil = veil->next)
		if (memcmp(veil->bytes, query, 2) == 0 && is_of(veil, query, end)) {
			memcpy(query + CROW_ENVELOPE_HEADER, veil->bytes + CROW_ENVELOPE_HEADER,
			       end - CROW_ENVELOPE_HEADER);
			return;
		}
}

size_t crow_veil_lift_frames(const struct crow_veil *first, uint8_t *frames, size_t size)
{
	size_t at = 0;

	while (at + 2 <= size) {
		size_t length = (size_t)(frames[at] << 8 | frames[at + 1]);

		if (at + 2 + length > size)
			break;
		crow_veil_lift(first, frames + at + 2, length);
		at += 2 + length;
	}
	return at;
}
