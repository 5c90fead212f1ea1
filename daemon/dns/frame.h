/*
 * DNS messages in a byte stream: each behind its length in two bytes (RFC 1035 4.2.2).
 */
#ifndef CROW_FRAME_H
#define CROW_FRAME_H

#include "daemon/dns/wire.h"

#define CROW_FRAME_PREFIX 2

/* Longer queries than this are refused: nobody asks them, and each connection has a buffer. */
#define CROW_FRAME_QUERY_MAX 4096

enum crow_frame {
	CROW_FRAME_WHOLE,
	CROW_FRAME_PARTIAL, /* more must be read first */
	CROW_FRAME_REFUSED, /* a length that no query of ours has; there is no next frame */
};

/* Takes the next message: *message is borrowed from `in`, which is moved past it only if it is
 * whole. */
enum crow_frame crow_frame_next(struct crow_wire_reader *in, const uint8_t **message, size_t *size);

#endif
