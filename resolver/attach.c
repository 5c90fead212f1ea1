#include "resolver/attach.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Memory grows in steps of this many bytes, so that a list that grows by one instance does not
 * remap: 64 KiB hold about 1000 instances. */
#define STEP ((size_t)65536)

void crow_copy_fini(struct crow_copy *copy)
{
	if (copy->memory != NULL)
		munmap(copy->memory, copy->capacity);
	memset(copy, 0, sizeof(*copy));
}

/* Not PATH_MAX: this runs in connect(), perhaps on the small stack of a signal handler. The report
 * socket beside the snapshot allows 107 bytes (sun_path) in any case. */
#define PATH_SIZE 128

static bool snapshot_path(const char *dir, char path[PATH_SIZE])
{
	static const char name[] = "/" CROW_SNAP_FILE;
	size_t len = strlen(dir);

	if (len + sizeof(name) > PATH_SIZE)
		return false;
	memcpy(path, dir, len);
	memcpy(path + len, name, sizeof(name));
	return true;
}

/* The daemon's own user is not known here; but nobody else can have put a file into a directory
 * that only its owner may write to. */
static bool is_owner_trusted(uid_t owner, const char *dir)
{
	struct stat st;

	if (owner == 0 || owner == geteuid())
		return true;
	return stat(dir, &st) == 0 && st.st_uid == owner && (st.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

static bool is_trusted(const struct stat *st, const char *dir)
{
	return S_ISREG(st->st_mode) && (st->st_mode & (S_IWGRP | S_IWOTH)) == 0 &&
	       is_owner_trusted(st->st_uid, dir);
}

static bool reserve(struct crow_copy *copy, size_t size)
{
	size_t capacity = (size + STEP - 1) / STEP * STEP;
	void *memory;

	if (size <= copy->capacity)
		return true;
	/* Populated at once: a page fault costs more than the bytes that it holds. */
	memory = mmap(NULL, capacity, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (memory == MAP_FAILED)
		return false;
	if (copy->memory != NULL)
		munmap(copy->memory, copy->capacity);
	copy->memory = memory;
	copy->capacity = capacity;
	return true;
}

/* Reads exactly size bytes: false with errno, or with errno 0 if the file has fewer. */
static bool read_whole(int fd, uint8_t *out, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t got = pread(fd, out + done, size - done, (off_t)done);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			errno = got == 0 ? 0 : errno;
			return false;
		}
		done += (size_t)got;
	}
	return true;
}

static enum crow_attach load_from(struct crow_copy *copy, int fd, const char *dir,
				  enum crow_image_error *error)
{
	enum crow_image_error why;
	struct stat st;

	memset(&copy->image, 0, sizeof(copy->image));
	memset(&copy->identity, 0, sizeof(copy->identity));
	if (fstat(fd, &st) < 0)
		return CROW_ATTACH_SYSTEM;
	if (!is_trusted(&st, dir))
		return CROW_ATTACH_UNTRUSTED;
	copy->identity = st; /* of a refused file too: it is looked at again only once it changes */
	if (st.st_size <= 0 || (uintmax_t)st.st_size > CROW_SNAP_MAX_SIZE)
		why = CROW_IMAGE_SHORT;
	else if (!reserve(copy, (size_t)st.st_size))
		return CROW_ATTACH_SYSTEM;
	else if (read_whole(fd, copy->memory, (size_t)st.st_size))
		why = crow_image_init(&copy->image, copy->memory, (size_t)st.st_size);
	else if (errno == 0)
		why = CROW_IMAGE_SHORT;
	else
		return CROW_ATTACH_SYSTEM;
	if (error != NULL)
		*error = why;
	return why == CROW_IMAGE_OK ? CROW_ATTACH_OK : CROW_ATTACH_INVALID;
}

enum crow_attach crow_copy_load(struct crow_copy *copy, const char *dir,
				enum crow_image_error *error)
{
	enum crow_attach result;
	char path[PATH_SIZE];
	int fd, saved;

	if (!snapshot_path(dir, path))
		return CROW_ATTACH_ABSENT;
	/* O_NONBLOCK: somebody's FIFO of that name must not make us wait for its writer. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return CROW_ATTACH_ABSENT;
	if (fd < 0)
		return errno == ELOOP ? CROW_ATTACH_UNTRUSTED : CROW_ATTACH_SYSTEM;
	result = load_from(copy, fd, dir, error);
	saved = errno;
	close(fd);
	errno = saved;
	return result;
}

bool crow_copy_clone(struct crow_copy *copy, const struct crow_copy *other)
{
	size_t size = other->image.size;

	if (!reserve(copy, size))
		return false;
	memcpy(copy->memory, other->image.bytes, size);
	return crow_image_init(&copy->image, copy->memory, size) == CROW_IMAGE_OK;
}

bool crow_copy_is_outdated(const struct stat *identity, const char *dir)
{
	char path[PATH_SIZE];
	struct stat st;

	if (!snapshot_path(dir, path) || stat(path, &st) < 0)
		return false;
	return st.st_ino != identity->st_ino || st.st_dev != identity->st_dev ||
	       st.st_size != identity->st_size || st.st_mtim.tv_sec != identity->st_mtim.tv_sec ||
	       st.st_mtim.tv_nsec != identity->st_mtim.tv_nsec;
}

const char *crow_attach_strerror(enum crow_attach result)
{
	switch (result) {
	case CROW_ATTACH_OK:
		return "is attached";
	case CROW_ATTACH_ABSENT:
		return "does not exist";
	case CROW_ATTACH_UNTRUSTED:
		return "is not trusted: it must be a regular file of root, yourself or its "
		       "directory's owner that nobody else may write";
	case CROW_ATTACH_INVALID:
		return "is not a valid snapshot";
	case CROW_ATTACH_SYSTEM:
		return "cannot be read";
	}
	return "is unknown";
}
