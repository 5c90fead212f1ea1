/*
 * Reading the file of a type=file source: whole, and a regular file only, so that nothing put in
 * its place (a FIFO, a device) can make the daemon wait.
 */
#ifndef CROW_FILE_H
#define CROW_FILE_H

#include <stddef.h>

/* 0 with *bytes (freed with free()) and *size; else an errno: ENOENT if there is no such file,
 * EFBIG if it holds more than most bytes, EINVAL if it is no regular file, and those of open(2),
 * read(2) and malloc(3). */
int crow_file_read(const char *path, size_t most, char **bytes, size_t *size);

#endif
