#include "daemon/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "resolver/attach.h"

static bool join(const char *dir, const char *name, char path[PATH_MAX])
{
	if (snprintf(path, PATH_MAX, "%s/%s", dir, name) < PATH_MAX)
		return true;
	errno = ENAMETOOLONG;
	return false;
}

/* ---- the lock ---- */

static int lock_file(const char *dir)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	char path[PATH_MAX];
	int fd;

	if (mkdir(dir, 0755) < 0 && errno != EEXIST)
		return -1;
	if (!join(dir, "lock", path))
		return -1;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return -1;
	if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
		return fd;
	int saved = errno;

	close(fd);
	errno = saved;
	return -1;
}

int crow_runtime_lock(const char *dir, char *complaint, size_t complaint_size)
{
	int fd = lock_file(dir);

	if (fd >= 0)
		return fd;
	if (errno == EAGAIN || errno == EACCES)
		snprintf(complaint, complaint_size,
			 errno == EAGAIN
				 ? "another crowflyd runs on %s; stop it first, or give this "
				   "one a runtime-dir of its own"
				 : "no permission to write to %s; start as root, or choose "
				   "another [daemon] runtime-dir",
			 dir);
	else
		snprintf(complaint, complaint_size,
			 "cannot use %s: %s; create it, or choose another [daemon] runtime-dir",
			 dir, strerror(errno));
	return -1;
}

bool crow_runtime_is_locked(const char *dir, int fd)
{
	char path[PATH_MAX];
	struct stat named, held;

	return join(dir, "lock", path) && stat(path, &named) == 0 && fstat(fd, &held) == 0 &&
	       named.st_ino == held.st_ino && named.st_dev == held.st_dev;
}

/* ---- the snapshot ---- */

static bool write_whole(int fd, const uint8_t *bytes, size_t size)
{
	while (size > 0) {
		ssize_t done = write(fd, bytes, size);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return false;
		bytes += done;
		size -= (size_t)done;
	}
	return true;
}

/* posix_fallocate() first: on a full tmpfs it is ENOSPC at once, before half a file is written. */
static bool fill(int fd, const void *bytes, size_t size, struct stat *identity)
{
	int error = posix_fallocate(fd, 0, (off_t)size);

	if (error != 0 && error != EOPNOTSUPP && error != EINVAL) {
		errno = error;
		return false;
	}
	/* fchmod() since the umask may be anything: every user's programs read this. */
	return write_whole(fd, bytes, size) && fchmod(fd, 0644) == 0 && fstat(fd, identity) == 0;
}

bool crow_runtime_write_snapshot(const char *dir, const void *bytes, size_t size,
				 struct stat *identity)
{
	char temporary[PATH_MAX], final[PATH_MAX];
	bool done;
	int fd;

	if (!join(dir, CROW_SNAP_FILE ".tmp", temporary) || !join(dir, CROW_SNAP_FILE, final))
		return false;
	/* Left by a daemon that was killed; and never written through somebody's link. */
	unlink(temporary);
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0 && errno == ENOENT && mkdir(dir, 0755) == 0)
		fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return false;
	done = fill(fd, bytes, size, identity) && rename(temporary, final) == 0;
	int saved = errno;

	if (!done)
		unlink(temporary);
	close(fd);
	errno = saved;
	return done;
}

bool crow_runtime_is_snapshot(const char *dir, const struct stat *identity)
{
	char path[PATH_MAX];

	return join(dir, CROW_SNAP_FILE, path) && access(path, F_OK) == 0 &&
	       !crow_copy_is_outdated(identity, dir);
}
