#include "cli/library.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"

#define LIBRARY "libcrowfly.so"

/* The absolute path of dir + tail, if there is such a file. */
static bool find_below(const char *dir, const char *tail, char path[PATH_MAX])
{
	char candidate[PATH_MAX];

	return snprintf(candidate, sizeof(candidate), "%s%s", dir, tail) < (int)sizeof(candidate) &&
	       realpath(candidate, path);
}

/* Beside crowfly (a build tree), where `make install` puts it seen from there (so that the tree may
 * be moved), then where it was configured to be. */
static bool find_library(char path[PATH_MAX])
{
	char dir[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", dir, sizeof(dir) - 1);

	if (length > 0) {
		dir[length] = '\0';
		*strrchr(dir, '/') = '\0';
		if (find_below(dir, "/" LIBRARY, path) ||
		    find_below(dir, "/../lib/crowfly/" LIBRARY, path))
			return true;
	}
	return find_below(CROW_LIBDIR, "/" LIBRARY, path);
}

bool crow_library_find(char path[PATH_MAX])
{
	if (!find_library(path)) {
		crow_complain(LIBRARY
			      " is neither beside crowfly, nor in ../lib/crowfly from there, "
			      "nor in " CROW_LIBDIR ": install crowfly whole, with `make install`");
		return false;
	}
	/* LD_PRELOAD is a list that blanks and colons separate, and nothing quotes them (ld.so(8)). */
	if (strpbrk(path, " :")) {
		crow_complain("%s cannot be preloaded: LD_PRELOAD takes no path with a blank or a "
			      "colon; install crowfly elsewhere",
			      path);
		return false;
	}
	return true;
}
