#include "daemon/dns/frame.h"

enum crow_frame crow_frame_next(struct crow_wire_reader *in, const uint8_t **message, size_t *size)
{
	struct crow_wire_reader ahead = *in;

	*size = crow_wire_get_u16(&ahead);
	if (ahead.failed)
		return CROW_FRAME_PARTIAL;
	if (*size < CROW_WIRE_HEADER || *size > CROW_FRAME_QUERY_MAX)
		return CROW_FRAME_REFUSED;
	*message = crow_wire_get_bytes(&ahead, *size);
	if (ahead.failed)
		return CROW_FRAME_PARTIAL;
	*in = ahead;
	return CROW_FRAME_WHOLE;
}
