#include "cli/get.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

/* Bytes: several times the status of 100,000 instances. */
#define PAGE_MAX ((size_t)128 << 20)

static int open_towards(const struct crow_face *face)
{
	const struct timeval timeout = {.tv_sec = CROW_GET_TIMEOUT_S};
	struct sockaddr_storage sa;
	sa_family_t family = crow_addr_is_v4(&face->addr) ? AF_INET : AF_INET6;
	socklen_t length = crow_addr_to_sockaddr(&face->addr, face->port, family, &sa);
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0), error;

	if (fd < 0)
		return -1;
	/* connect(2) obeys the send time-out, too. */
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	if (connect(fd, (struct sockaddr *)&sa, length) == 0)
		return fd;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

static bool ask(int fd, const char *path)
{
	char *request;
	/* What a daemon on loopback accepts without knowing its own name. */
	int size = asprintf(&request, "GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n", path);
	bool sent = size > 0 && send(fd, request, (size_t)size, MSG_NOSIGNAL) == size;

	if (size > 0)
		free(request);
	return sent;
}

/* Room for one more piece, and the NUL. */
static bool grow(char **bytes, size_t size, size_t *capacity)
{
	size_t wanted = *capacity ? *capacity * 2 : 16384;
	char *larger;

	if (*capacity - size >= 2)
		return true;
	if (wanted > PAGE_MAX) {
		errno = EFBIG;
		return false;
	}
	larger = realloc(*bytes, wanted);
	if (!larger)
		return false;
	*bytes = larger;
	*capacity = wanted;
	return true;
}

/* All that comes until the daemon closes, NUL-terminated; NULL with errno. */
static char *receive(int fd)
{
	size_t size = 0, capacity = 0;
	char *bytes = NULL;
	int error;

	while (grow(&bytes, size, &capacity)) {
		ssize_t n = recv(fd, bytes + size, capacity - size - 1, 0);

		if (n < 0)
			break;
		size += (size_t)n;
		bytes[size] = '\0';
		if (n == 0)
			return bytes;
	}
	error = errno;
	free(bytes);
	errno = error;
	return NULL;
}

/* The body moved to the front; false if it is no answer. Every version of HTTP/1 puts the status
 * at the ninth byte: "HTTP/1.0 200 ". */
static bool split(char *bytes, unsigned *status)
{
	char *body = strstr(bytes, "\r\n\r\n");

	if (strncmp(bytes, "HTTP/1.", 7) != 0 || sscanf(bytes + 8, " %3u", status) != 1 || !body)
		return false;
	memmove(bytes, body + 4, strlen(body + 4) + 1);
	return true;
}

void crow_get_page(const struct crow_face *face, const char *path, struct crow_got *out)
{
	int fd = open_towards(face);

	*out = (struct crow_got){0};
	if (fd >= 0 && ask(fd, path))
		out->body = receive(fd);
	if (!out->body) /* a socket's time-out is EINPROGRESS of connect(), else EAGAIN */
		out->error = errno == EINPROGRESS || errno == EAGAIN ? ETIMEDOUT : errno;
	if (fd >= 0)
		close(fd);
	if (!out->body || split(out->body, &out->status))
		return;
	free(out->body);
	*out = (struct crow_got){.error = EPROTO};
}

char *crow_get(const struct crow_face *face, const char *path)
{
	struct crow_got got;

	crow_get_page(face, path, &got);
	if (got.body && got.status == 200)
		return got.body;
	free(got.body);
	return NULL;
}
