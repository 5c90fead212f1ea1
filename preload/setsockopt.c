/*
 * setsockopt(): passed on as it is; what is set is noted, so that it need not be asked for.
 */
#include "preload/options.h"
#include "preload/real.h"

CROW_EXPORT int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	crow_options_note(level, name);
	return crow_real_setsockopt(fd, level, name, value, len);
}
