#include "cli/get.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

/* For one send or receive. The daemon's main thread, which renders pages, may be busy with the
 * lists of a hundred thousand instances. */
#define TIMEOUT_S 3

/* Bytes: several times the status of 100,000 instances. */
#define PAGE_MAX ((size_t)128 << 20)

static int open_towards(const struct crow_face *face)
{
	const struct timeval timeout = {.tv_sec = TIMEOUT_S};
	struct sockaddr_storage sa;
	sa_family_t family = crow_addr_is_v4(&face->addr) ? AF_INET : AF_INET6;
	socklen_t length = crow_addr_to_sockaddr(&face->addr, face->port, family, &sa);
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	/* connect(2) obeys the send time-out, too. */
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	if (connect(fd, (struct sockaddr *)&sa, length) == 0)
		return fd;
	close(fd);
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

/* All that comes until the daemon closes, NUL-terminated. */
static char *receive(int fd)
{
	size_t size = 0, capacity = 0;
	char *bytes = NULL;

	for (;;) {
		ssize_t n;

		if (capacity - size < 2) {
			char *larger;

			capacity = capacity ? capacity * 2 : 16384;
			larger = capacity <= PAGE_MAX ? realloc(bytes, capacity) : NULL;
			if (!larger)
				break;
			bytes = larger;
		}
		n = recv(fd, bytes + size, capacity - size - 1, 0);
		if (n < 0)
			break;
		size += (size_t)n;
		bytes[size] = '\0';
		if (n == 0)
			return bytes;
	}
	free(bytes);
	return NULL;
}

/* The body moved to the front, or NULL. Every version of HTTP/1 puts the status at the ninth
 * byte: "HTTP/1.0 200 ". */
static char *strip_head(char *bytes)
{
	char *body = strstr(bytes, "\r\n\r\n");

	if (strncmp(bytes, "HTTP/1.", 7) != 0 || strncmp(bytes + 8, " 200 ", 5) != 0 || !body) {
		free(bytes);
		return NULL;
	}
	memmove(bytes, body + 4, strlen(body + 4) + 1);
	return bytes;
}

char *crow_get(const struct crow_face *face, const char *path)
{
	int fd = open_towards(face);
	char *bytes = NULL;

	if (fd < 0)
		return NULL;
	if (ask(fd, path))
		bytes = receive(fd);
	close(fd);
	return bytes ? strip_head(bytes) : NULL;
}
