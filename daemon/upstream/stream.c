#include "daemon/upstream/stream.h"

#include <string.h>
#include <sys/socket.h>

/* What the frame needs, as far as it is known. */
static size_t frame_size(const struct crow_stream *stream)
{
	if (stream->size < CROW_STREAM_LENGTH)
		return CROW_STREAM_LENGTH;
	return CROW_STREAM_LENGTH + (size_t)(stream->bytes[0] << 8 | stream->bytes[1]);
}

/* Reads one frame and no more: what is behind it keeps the socket readable. */
static ssize_t read_frame(struct crow_stream *stream, int fd)
{
	size_t wanted;
	ssize_t n = 1;

	while (n > 0 && (wanted = frame_size(stream)) > stream->size) {
		n = recv(fd, stream->bytes + stream->size, wanted - stream->size, 0);
		if (n > 0)
			stream->size += (size_t)n;
	}
	return n;
}

static bool show(struct crow_stream *stream)
{
	size_t size;

	stream->reply_size = stream->size - CROW_STREAM_LENGTH;
	stream->size = 0;
	size = crow_envelope_write(stream->bytes + CROW_STREAM_LENGTH, stream->reply_size, false,
				   stream->shown + CROW_STREAM_LENGTH);
	stream->shown[0] = (uint8_t)(size >> 8);
	stream->shown[1] = (uint8_t)size;
	stream->shown_size = CROW_STREAM_LENGTH + size;
	stream->shown_at = 0;
	return size > 0;
}

ssize_t crow_stream_read(struct crow_stream *stream, int fd, void *buffer, size_t size)
{
	if (crow_stream_left(stream) == 0) {
		ssize_t n = read_frame(stream, fd);

		if (n <= 0)
			return n;
		if (!show(stream)) {
			stream->shown_at = stream->shown_size;
			return 0;
		}
	}
	if (size > crow_stream_left(stream))
		size = crow_stream_left(stream);
	memcpy(buffer, stream->shown + stream->shown_at, size);
	stream->shown_at += size;
	return (ssize_t)size;
}
