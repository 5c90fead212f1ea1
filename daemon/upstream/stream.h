/*
 * Replies of a TCP connection, of which c-ares reads the envelopes (envelope.h) as if they were
 * what came: in frames (RFC 1035 4.2.2), and in pieces as it likes.
 */
#ifndef CROW_STREAM_H
#define CROW_STREAM_H

#include <sys/types.h>

#include "daemon/upstream/envelope.h"

#define CROW_STREAM_LENGTH 2 /* bytes of a frame's length */

struct crow_stream { /* zeroed: nothing was read yet */
	size_t size; /* of the frame that is being read */
	uint8_t bytes[CROW_STREAM_LENGTH + UINT16_MAX];
	size_t reply_size; /* of the one that is shown, behind its length */
	size_t shown_size, shown_at;
	uint8_t shown[CROW_STREAM_LENGTH + CROW_ENVELOPE_MAX];
};

/* As recv(): the next bytes to show. EAGAIN: there is no whole reply. 0: the end of the connection,
 * or of what is intelligible. */
ssize_t crow_stream_read(struct crow_stream *stream, int fd, void *buffer, size_t size);

/* How much is left to show, without reading more. */
static inline size_t crow_stream_left(const struct crow_stream *stream)
{
	return stream->shown_size - stream->shown_at;
}

#endif
