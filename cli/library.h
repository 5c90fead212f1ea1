/*
 * Where the preload library is.
 */
#ifndef CROW_LIBRARY_H
#define CROW_LIBRARY_H

#include <limits.h>
#include <stdbool.h>

/* Its absolute path, fit for LD_PRELOAD; false after a complaint. */
bool crow_library_find(char path[PATH_MAX]);

#endif
