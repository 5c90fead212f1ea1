#include "preload/interest.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "preload/seqlock.h"

/* 24 KiB, touched only as far as it is used. */
#define ENTRIES 1024

struct entry {
	struct crow_seqlock lock;
	_Atomic uint32_t events;
	_Atomic uint64_t key; /* 0 = none */
	_Atomic uint64_t data;
};

static struct entry entries[ENTRIES];

static uint64_t key_of(int epfd, int fd)
{
	return ((uint64_t)(uint32_t)epfd << 32 | (uint32_t)fd) + 1;
}

/* Descriptors are small and in sequence: neighbours do not share an entry, and epoll sets of one
 * process begin at different ones. */
static struct entry *entry_of(int epfd, int fd)
{
	return &entries[((uint32_t)fd + (uint32_t)epfd * 61) % ENTRIES];
}

static void write_entry(struct entry *entry, uint64_t key, uint32_t events, uint64_t data)
{
	if (!crow_seqlock_write_begin(&entry->lock))
		return;
	atomic_store_explicit(&entry->key, key, memory_order_release);
	atomic_store_explicit(&entry->events, events, memory_order_release);
	atomic_store_explicit(&entry->data, data, memory_order_release);
	crow_seqlock_write_end(&entry->lock);
}

void crow_interest_record(int epfd, int op, int fd, uint32_t events, uint64_t data)
{
	struct entry *entry = entry_of(epfd, fd);
	uint64_t key = key_of(epfd, fd);

	if (op != EPOLL_CTL_DEL)
		write_entry(entry, key, events, data);
	else if (atomic_load_explicit(&entry->key, memory_order_relaxed) == key)
		write_entry(entry, 0, 0, 0);
}

bool crow_interest_recall(int epfd, int fd, struct crow_interest *out)
{
	struct entry *entry = entry_of(epfd, fd);
	uint32_t begun = crow_seqlock_read_begin(&entry->lock);
	uint64_t key = atomic_load_explicit(&entry->key, memory_order_acquire);

	out->fd = fd;
	out->events = atomic_load_explicit(&entry->events, memory_order_acquire);
	out->data = atomic_load_explicit(&entry->data, memory_order_acquire);
	return key == key_of(epfd, fd) && crow_seqlock_read_end(&entry->lock, begun);
}

/* The kernel's list. */

#define LINE_MAX_BYTES 160 /* "tfd: %8d events: %8x data: %16llx  pos:%lli ino:%lx sdev:%x" */

struct reader {
	int fd;
	size_t used, end;
	char bytes[4096];
};

static bool open_list(struct reader *reader, int epfd)
{
	static const char folder[] = "/proc/self/fdinfo/";
	char path[sizeof(folder) + 10];
	char *end = path + sizeof(path) - 1, *at = end;

	if (epfd < 0)
		return false;
	*at = '\0';
	do
		*--at = (char)('0' + epfd % 10);
	while ((epfd /= 10) > 0);
	memmove(path + sizeof(folder) - 1, at, (size_t)(end - at) + 1);
	memcpy(path, folder, sizeof(folder) - 1);
	reader->fd = open(path, O_RDONLY | O_CLOEXEC);
	reader->used = reader->end = 0;
	return reader->fd >= 0;
}

/* The next line, cut to size, NUL-terminated; false at the end. */
static bool next_line(struct reader *reader, char line[LINE_MAX_BYTES])
{
	size_t length = 0;

	for (;;) {
		char c;

		if (reader->used == reader->end) {
			ssize_t got = read(reader->fd, reader->bytes, sizeof(reader->bytes));

			if (got <= 0)
				return false;
			reader->used = 0;
			reader->end = (size_t)got;
		}
		c = reader->bytes[reader->used++];
		if (c == '\n')
			break;
		if (length < LINE_MAX_BYTES - 1)
			line[length++] = c;
	}
	line[length] = '\0';
	return true;
}

/* The number after a label of the line. */
static bool number_after(const char *line, const char *label, unsigned base, uint64_t *out)
{
	const char *at = strstr(line, label);
	bool any = false;

	if (at == NULL)
		return false;
	at += strlen(label);
	while (*at == ' ')
		at++;
	for (*out = 0;; at++) {
		unsigned digit = *at >= '0' && *at <= '9'   ? (unsigned)(*at - '0')
				 : *at >= 'a' && *at <= 'f' ? (unsigned)(*at - 'a') + 10
							    : 16;

		if (digit >= base)
			return any;
		*out = *out * base + digit;
		any = true;
	}
}

static bool matches(const char *line, const struct stat *socket, uint64_t data,
		    struct crow_interest *out)
{
	uint64_t fd, events, its, inode;

	if (!number_after(line, "tfd:", 10, &fd) || !number_after(line, "events:", 16, &events) ||
	    !number_after(line, "data:", 16, &its) || !number_after(line, "ino:", 16, &inode))
		return false;
	*out = (struct crow_interest){(int)fd, (uint32_t)events, its};
	return its == data && inode == socket->st_ino;
}

bool crow_interest_look_up(int epfd, int fd, uint64_t data, struct crow_interest *out)
{
	char line[LINE_MAX_BYTES];
	struct reader reader;
	struct stat socket;
	bool found = false;

	if (fstat(fd, &socket) < 0 || !S_ISSOCK(socket.st_mode) || !open_list(&reader, epfd))
		return false;
	while (!found && next_line(&reader, line))
		found = matches(line, &socket, data, out);
	close(reader.fd);
	return found;
}
