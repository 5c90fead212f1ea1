#include "daemon/discovery/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* As many bytes as the file had when it was opened, fewer if it was cut meanwhile. */
static ssize_t read_all(int fd, char *bytes, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = read(fd, bytes + done, size - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

static int read_open(int fd, size_t most, char **bytes, size_t *size)
{
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) < 0)
		return errno;
	if (!S_ISREG(st.st_mode))
		return EINVAL;
	if ((uintmax_t)st.st_size > most)
		return EFBIG;
	*bytes = malloc((size_t)st.st_size + 1);
	if (!*bytes)
		return ENOMEM;
	n = read_all(fd, *bytes, (size_t)st.st_size);
	if (n < 0) {
		int error = errno;

		free(*bytes);
		*bytes = NULL;
		return error;
	}
	*size = (size_t)n;
	return 0;
}

int crow_file_read(const char *path, size_t most, char **bytes, size_t *size)
{
	/* O_NONBLOCK: opening a FIFO would wait for a writer. */
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	int error;

	*bytes = NULL;
	*size = 0;
	if (fd < 0)
		return errno;
	error = read_open(fd, most, bytes, size);
	close(fd);
	return error;
}
