/*
 * getsockopt(SO_ERROR), by which programs learn how a connect ended; all else is the kernel's.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "preload/pending.h"
#include "preload/real.h"

static __attribute__((noinline)) bool ask_error(int fd, void *value, socklen_t *len)
{
	int error;

	/* Shorter values are cut by the kernel, and bad pointers are its to refuse. */
	if (value == NULL || len == NULL || *len < sizeof(error) || !crow_pending_error(fd, &error))
		return false;
	memcpy(value, &error, sizeof(error));
	*len = sizeof(error);
	return true;
}

CROW_EXPORT int getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	if (name == SO_ERROR && level == SOL_SOCKET &&
	    crow_pending_may_have(crow_pending_activity()) && ask_error(fd, value, len))
		return 0;
	return crow_real_getsockopt(fd, level, name, value, len);
}
