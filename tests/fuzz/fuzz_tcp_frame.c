/*
 * A stream of DNS messages that arrives in pieces, whose length the first byte gives: it must be
 * cut into the same messages as the whole stream at once.
 */
#include <string.h>

#include "daemon/dns/frame.h"
#include "daemon/dns/query.h"
#include "tests/fuzz/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Takes what is whole; returns how many messages it was. */
static unsigned take(struct crow_wire_reader *in, enum crow_frame *last)
{
	const uint8_t *message;
	struct crow_query query;
	unsigned taken = 0;
	size_t length;

	while ((*last = crow_frame_next(in, &message, &length)) == CROW_FRAME_WHOLE) {
		MUST(message >= in->bytes && message + length == in->bytes + in->at);
		MUST(length >= CROW_WIRE_HEADER && length <= CROW_FRAME_QUERY_MAX);
		crow_query_read(&query, message, length, true);
		taken++;
	}
	return taken;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct crow_wire_reader whole, pieces;
	enum crow_frame whole_last, last = CROW_FRAME_PARTIAL;
	unsigned at_once, taken = 0;
	size_t step;

	if (size < 2)
		return 0;
	step = data[0] + 1u;
	whole = (struct crow_wire_reader){.bytes = data + 1, .size = size - 1};
	pieces = (struct crow_wire_reader){.bytes = data + 1, .size = 0};
	at_once = take(&whole, &whole_last);
	while (pieces.size < size - 1 && last == CROW_FRAME_PARTIAL) {
		pieces.size += step < size - 1 - pieces.size ? step : size - 1 - pieces.size;
		taken += take(&pieces, &last);
	}
	MUST(taken == at_once && last == whole_last && pieces.at == whole.at);
	return 0;
}
