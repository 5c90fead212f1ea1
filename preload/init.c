/*
 * The constructor: reads the environment and takes the first copy of the snapshot, so that later
 * a chroot, a seccomp filter or a program without free descriptors cannot keep us from it. When
 * anything is in the way, nothing is opened, and the library passes every call through.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#include "preload/current.h"
#include "preload/names.h"
#include "preload/options.h"
#include "preload/pending.h"
#include "preload/real.h"
#include "preload/trace.h"

#define DEFAULT_RUNTIME_DIR "/run/crowfly"

static bool is_disabled(void)
{
	const char *value = secure_getenv("CROWFLY_DISABLE");

	return value != NULL && strcmp(value, "") != 0 && strcmp(value, "0") != 0;
}

/* A copy: the program may change its environment. NULL if it is unset, empty, or there is no
 * memory. */
static const char *setting(const char *name)
{
	const char *value = secure_getenv(name);

	return value != NULL && *value != '\0' ? strdup(value) : NULL;
}

static __attribute__((constructor)) void crowfly_init(void)
{
	int saved = errno;
	const char *dir;

	crow_real_init();
	/* A setuid program must not follow the files and variables of whoever started it. */
	if (getauxval(AT_SECURE) != 0 || is_disabled())
		return;
	crow_trace_open(secure_getenv("CROWFLY_LOG"));
	crow_names_open(setting("CROWFLY_MAP"));
	dir = setting("CROWFLY_RUNTIME_DIR");
	crow_pending_open();
	crow_options_open();
	if (!crow_current_open(dir != NULL ? dir : DEFAULT_RUNTIME_DIR))
		crow_trace(CROW_TRACE_ERROR,
			   "no memory, or a kernel without MADV_WIPEONFORK: inert", NULL);
	errno = saved;
}
