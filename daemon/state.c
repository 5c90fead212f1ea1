/* The state directory. All of it runs on the main thread; saving allocates nothing. */
#include "daemon/state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/counters.h"
#include "daemon/log.h"

#define VERSION        1
#define SUFFIX         ".list"
#define BAD_SUFFIX     ".bad"
#define TEMPORARY      ".tmp"        /* one for the directory: there is one writer */
#define LABEL_MAX      128           /* as list.h says */
#define TAKEN_MAX_S    253402300799u /* 9999-12-31T23:59:59Z */
#define CHECKSUM_CHARS 16

/* CROW_LIST_MAX lines of at most 189 bytes are 50 MB. */
#define FILE_MAX ((off_t)64 << 20)

/* A line of an instance: 45 characters of IPv6, 5 of port, 7 of weight, 128 of label, 4 between. */
#define LINE_MAX_SIZE 256

/* Allocated nowhere else, so that the one failure that says nothing about the file can be told. */
static const char no_memory[] = "there is no memory to read it";

/* 64-bit FNV-1a. Its own, since this format outlives that of the snapshot. */
#define CHECKSUM_START UINT64_C(0xcbf29ce484222325)

static uint64_t checksum(uint64_t sum, const char *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		sum = (sum ^ (uint8_t)bytes[i]) * UINT64_C(0x100000001b3);
	return sum;
}

bool crow_state_open(const char *dir)
{
	struct stat st;

	if (mkdir(dir, 0755) != 0 && errno != EEXIST)
		return false;
	if (stat(dir, &st) != 0)
		return false;
	if (!S_ISDIR(st.st_mode)) {
		errno = ENOTDIR;
		return false;
	}
	return true;
}

static bool is_plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '.' || c == '_' || c == '-';
}

/* The file of a service. False if its name is empty, or too long to also carry BAD_SUFFIX. */
static bool file_of(const char *service, char out[NAME_MAX + 1])
{
	size_t room = NAME_MAX - strlen(SUFFIX BAD_SUFFIX);
	size_t used = 0;

	for (const char *c = service; *c; c++) {
		bool plain = is_plain(*c) && !(c == service && *c == '.');

		if (used + (plain ? 1 : 3) > room)
			return false;
		if (plain)
			out[used++] = *c;
		else
			used += (size_t)sprintf(out + used, "%%%02X", (unsigned char)*c);
	}
	strcpy(out + used, SUFFIX);
	return used > 0;
}

/* --- saving ---------------------------------------------------------------------------------- */

/* Its errors stick: after one, everything is passed over, and errno is that of the first. */
struct writer {
	int fd;
	bool ok;
	uint64_t sum;
	size_t used;
	char buffer[16384];
};

static void flush_writer(struct writer *writer)
{
	size_t done = 0;

	while (writer->ok && done < writer->used) {
		ssize_t n = write(writer->fd, writer->buffer + done, writer->used - done);

		if (n > 0)
			done += (size_t)n;
		else if (n == 0 || errno != EINTR)
			writer->ok = false;
	}
	writer->used = 0;
}

__attribute__((format(printf, 2, 3))) static void put(struct writer *writer, const char *format,
						      ...)
{
	size_t room = sizeof(writer->buffer);
	va_list arguments;
	int size;

	if (writer->used + LINE_MAX_SIZE + CROW_NAME_MAX > room)
		flush_writer(writer);
	va_start(arguments, format);
	size = vsnprintf(writer->buffer + writer->used, room - writer->used, format, arguments);
	va_end(arguments);
	writer->sum = checksum(writer->sum, writer->buffer + writer->used, (size_t)size);
	writer->used += (size_t)size;
}

static void put_item(struct writer *writer, const struct crow_list *list,
		     const struct crow_item *item)
{
	char ip[CROW_ENDPOINT_TEXT];

	crow_addr_format(&item->addr, 0, ip);
	put(writer, "%s %u %" PRIu32 " %.*s\n", ip, item->port, item->weight, LABEL_MAX,
	    list->apps[item->app]);
}

static bool write_list(int fd, const struct crow_service *service)
{
	const struct crow_list *list = &service->list;
	int64_t taken_s = service->taken_wall_s > 0 ? service->taken_wall_s : 0;
	struct writer writer = {.fd = fd, .ok = true, .sum = CHECKSUM_START};

	put(&writer, "crowfly-list %d\n", VERSION);
	put(&writer, "service %s\n", service->name);
	put(&writer, "source %s\n", service->source->name);
	put(&writer, "taken %" PRId64 "\n", taken_s);
	for (size_t i = 0; i < list->count; i++)
		put_item(&writer, list, &list->items[i]);
	put(&writer, "end %zu %0*" PRIx64 "\n", list->count, CHECKSUM_CHARS, writer.sum);
	flush_writer(&writer);
	return writer.ok && fsync(fd) == 0;
}

/* The temporary file is always a new one: what lies there may be anybody's symbolic link. */
static bool write_temporary(int dir_fd, const struct crow_service *service)
{
	bool written;
	int fd;

	unlinkat(dir_fd, TEMPORARY, 0);
	fd = openat(dir_fd, TEMPORARY, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return false;
	written = write_list(fd, service);
	if (!written) {
		int error = errno;

		close(fd);
		errno = error;
		return false;
	}
	return close(fd) == 0;
}

/* The rename is what makes the new file the file; only the directory's fsync makes that last. */
static bool save_in(int dir_fd, const char *file, const struct crow_service *service)
{
	if (write_temporary(dir_fd, service) && renameat(dir_fd, TEMPORARY, dir_fd, file) == 0)
		return fsync(dir_fd) == 0;

	int error = errno;

	unlinkat(dir_fd, TEMPORARY, 0);
	errno = error;
	return false;
}

static bool is_printable(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (text[i] < 0x20 || text[i] > 0x7e)
			return false;
	}
	return true;
}

bool crow_state_save(const char *dir, const struct crow_service *service)
{
	size_t name_size = strlen(service->name);
	char file[NAME_MAX + 1];
	bool saved;
	int dir_fd, error;

	if (service->list.count == 0 || !is_printable(service->name, name_size)) {
		errno = EINVAL;
		return false;
	}
	if (name_size > CROW_NAME_MAX || !file_of(service->name, file)) {
		errno = ENAMETOOLONG;
		return false;
	}
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0)
		return false;
	saved = save_in(dir_fd, file, service);
	error = errno;
	close(dir_fd);
	errno = error;
	return saved;
}

/* --- reading --------------------------------------------------------------------------------- */

struct cursor {
	const char *at;
	const char *end;
};

static bool skip(struct cursor *cursor, const char *text)
{
	size_t size = strlen(text);

	if ((size_t)(cursor->end - cursor->at) < size || memcmp(cursor->at, text, size) != 0)
		return false;
	cursor->at += size;
	return true;
}

/* What stands before the next `stop`, which is passed over. */
static bool take_until(struct cursor *cursor, char stop, const char **text, size_t *size)
{
	const char *found = memchr(cursor->at, stop, (size_t)(cursor->end - cursor->at));

	if (!found)
		return false;
	*text = cursor->at;
	*size = (size_t)(found - cursor->at);
	cursor->at = found + 1;
	return true;
}

/* Decimal digits alone, at most `max`, then `stop`. */
static bool take_number(struct cursor *cursor, char stop, uint64_t max, uint64_t *number)
{
	const char *digits;
	size_t size;

	if (!take_until(cursor, stop, &digits, &size) || size == 0)
		return false;
	*number = 0;
	for (size_t i = 0; i < size; i++) {
		if (digits[i] < '0' || digits[i] > '9')
			return false;
		*number = *number * 10 + (uint64_t)(digits[i] - '0');
		if (*number > max) /* max is far from where this could wrap */
			return false;
	}
	return true;
}

static bool take_checksum(struct cursor *cursor, uint64_t *sum)
{
	static const char digits[] = "0123456789abcdef";
	const char *text;
	size_t size;

	if (!take_until(cursor, '\n', &text, &size) || size != CHECKSUM_CHARS)
		return false;
	*sum = 0;
	for (size_t i = 0; i < size; i++) {
		const char *digit = memchr(digits, text[i], 16);

		if (!digit)
			return false;
		*sum = *sum << 4 | (uint64_t)(digit - digits);
	}
	return true;
}

/* Cuts the last line off the cursor's end: it vouches for all before it. Returns what is wrong, or
 * NULL. */
static const char *take_trailer(struct cursor *cursor, uint64_t *count)
{
	size_t size = (size_t)(cursor->end - cursor->at);
	const char *before = size > 1 ? memrchr(cursor->at, '\n', size - 1) : NULL;
	struct cursor last = {before ? before + 1 : cursor->at, cursor->end};
	uint64_t expected;

	cursor->end = last.at;
	if (!skip(&last, "end ") || !take_number(&last, ' ', CROW_LIST_MAX, count) ||
	    !take_checksum(&last, &expected) || last.at != last.end)
		return "it is cut: its last line is missing";
	if (checksum(CHECKSUM_START, cursor->at, (size_t)(cursor->end - cursor->at)) != expected)
		return "its checksum is wrong";
	return NULL;
}

static const char *check_version(struct cursor *cursor)
{
	uint64_t version;

	if (cursor->at == cursor->end)
		return "it is empty";
	if (!skip(cursor, "crowfly-list ") || !take_number(cursor, '\n', UINT32_MAX, &version))
		return "it is no list of crowfly";
	if (version != VERSION)
		return "its version of the format is unknown here";
	return NULL;
}

static bool take_name(struct cursor *cursor, const char *what, char out[CROW_NAME_MAX + 1])
{
	const char *name;
	size_t size;

	if (!skip(cursor, what) || !take_until(cursor, '\n', &name, &size))
		return false;
	if (size == 0 || size > CROW_NAME_MAX || !is_printable(name, size))
		return false;
	memcpy(out, name, size);
	out[size] = '\0';
	return true;
}

struct line {
	struct crow_addr addr;
	uint64_t port;
	uint64_t weight;
	char app[LABEL_MAX + 1];
};

static bool take_line(struct cursor *cursor, struct line *line)
{
	const char *ip, *app;
	size_t ip_size, app_size;

	if (!take_until(cursor, ' ', &ip, &ip_size) || !crow_addr_parse(ip, ip_size, &line->addr))
		return false;
	if (!take_number(cursor, ' ', UINT16_MAX, &line->port) || line->port == 0)
		return false;
	if (!take_number(cursor, ' ', CROW_WEIGHT_MAX, &line->weight))
		return false;
	if (!take_until(cursor, '\n', &app, &app_size) || app_size > LABEL_MAX ||
	    !is_printable(app, app_size))
		return false;
	memcpy(line->app, app, app_size);
	line->app[app_size] = '\0';
	return true;
}

static const char *take_lines(struct cursor *cursor, uint64_t count, struct crow_list *list)
{
	struct crow_list_tally tally = {0};
	enum crow_list_verdict verdict;
	struct line line;

	while (cursor->at < cursor->end) {
		tally.seen++;
		if (tally.seen > count || !take_line(cursor, &line))
			return "a line of it is no instance";
		if (!crow_list_append(list, &line.addr, (uint16_t)line.port, (uint32_t)line.weight,
				      line.app))
			return no_memory;
	}
	if (tally.seen != count)
		return "it holds fewer instances than it says";
	verdict = crow_list_finish(list, &tally);
	if (verdict == CROW_LIST_NO_MEMORY)
		return no_memory;
	return verdict == CROW_LIST_OK ? NULL : "it holds no instance with a weight";
}

static const char *parse(struct cursor *cursor, struct crow_state *out)
{
	struct cursor body = *cursor;
	uint64_t taken_s, count;
	const char *why = check_version(cursor);

	if (!why)
		why = take_trailer(&body, &count);
	if (why)
		return why;
	cursor->end = body.end;
	if (!take_name(cursor, "service ", out->service))
		return "its line `service` is wrong";
	if (!take_name(cursor, "source ", out->source))
		return "its line `source` is wrong";
	if (!skip(cursor, "taken ") || !take_number(cursor, '\n', TAKEN_MAX_S, &taken_s))
		return "its line `taken` is wrong";
	out->taken_wall_s = (int64_t)taken_s;
	return take_lines(cursor, count, &out->list);
}

bool crow_state_parse(const char *bytes, size_t size, struct crow_state *out, const char **why)
{
	struct cursor cursor = {bytes, bytes + size};

	crow_list_init(&out->list);
	*why = parse(&cursor, out);
	if (*why)
		crow_list_fini(&out->list);
	return *why == NULL;
}

/* --- loading --------------------------------------------------------------------------------- */

/* An entry of the state directory. */
struct entry {
	const char *dir;
	int dir_fd;
	const char *file;
};

/* A file that cannot serve goes out of the way, and stays for whoever wants to know why. */
static void set_aside(const struct entry *entry, const char *why)
{
	char bad[NAME_MAX + sizeof(BAD_SUFFIX)];

	crow_count(states_bad);
	snprintf(bad, sizeof(bad), "%s%s", entry->file, BAD_SUFFIX);
	if (renameat(entry->dir_fd, entry->file, entry->dir_fd, bad) == 0)
		crow_log(CROW_LOG_WARNING, "state file %s/%s: %s; set aside as %s", entry->dir,
			 entry->file, why, bad);
	else
		crow_log(CROW_LOG_WARNING,
			 "state file %s/%s: %s; ignored, for it cannot be renamed: %s", entry->dir,
			 entry->file, why, strerror(errno));
}

/* The fault is not the file's: it stays, and the next start may read it. */
static void leave(const struct entry *entry, const char *why)
{
	crow_log(CROW_LOG_WARNING, "state file %s/%s: left unread: %s", entry->dir, entry->file,
		 why);
}

/* Without following links, and without waiting for the writer of a FIFO. */
static int open_entry(const struct entry *entry)
{
	int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	int fd = openat(entry->dir_fd, entry->file, flags);

	if (fd >= 0)
		return fd;
	if (errno == ELOOP || errno == ENXIO) /* a symbolic link; a socket */
		set_aside(entry, "it is no regular file");
	else
		leave(entry, strerror(errno));
	return -1;
}

/* All of it, or NULL with errno; EILSEQ says that it is not what its size says. */
static char *read_whole(int fd, size_t size)
{
	char *bytes = malloc(size ? size : 1);
	size_t done = 0;

	while (bytes && done < size) {
		ssize_t n = read(fd, bytes + done, size - done);

		if (n > 0) {
			done += (size_t)n;
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			errno = EILSEQ;
		free(bytes);
		return NULL;
	}
	return bytes;
}

/* A copy of another service's file under this name must not serve in its place. */
static bool is_file_of(const struct entry *entry, const char *service)
{
	char file[NAME_MAX + 1];

	return file_of(service, file) && strcmp(file, entry->file) == 0;
}

static void take_bytes(const struct entry *entry, const char *bytes, size_t size,
		       crow_state_hook *take, void *context)
{
	struct crow_state state;
	const char *why;

	if (!crow_state_parse(bytes, size, &state, &why)) {
		if (why == no_memory)
			leave(entry, why);
		else
			set_aside(entry, why);
		return;
	}
	if (is_file_of(entry, state.service))
		take(context, &state);
	else
		set_aside(entry, "it is the file of another service");
	crow_list_fini(&state.list);
}

static void load_open(const struct entry *entry, int fd, crow_state_hook *take, void *context)
{
	struct stat st;
	char *bytes;

	if (fstat(fd, &st) != 0) {
		leave(entry, strerror(errno));
		return;
	}
	if (!S_ISREG(st.st_mode)) {
		set_aside(entry, "it is no regular file");
		return;
	}
	if (st.st_size > FILE_MAX) {
		set_aside(entry, "it is larger than any list");
		return;
	}
	bytes = read_whole(fd, (size_t)st.st_size);
	if (!bytes) {
		leave(entry, strerror(errno));
		return;
	}
	take_bytes(entry, bytes, (size_t)st.st_size, take, context);
	free(bytes);
}

static bool is_list_file(const char *file)
{
	size_t size = strlen(file), suffix = strlen(SUFFIX);

	return size > suffix && file[0] != '.' && strcmp(file + size - suffix, SUFFIX) == 0;
}

static void load_entry(const struct entry *entry, crow_state_hook *take, void *context)
{
	int fd;

	if (!is_list_file(entry->file))
		return;
	fd = open_entry(entry);
	if (fd < 0)
		return;
	load_open(entry, fd, take, context);
	close(fd);
}

void crow_state_load(const char *dir, crow_state_hook *take, void *context)
{
	DIR *stream = opendir(dir);
	struct entry entry = {.dir = dir};
	struct dirent *found;

	if (!stream) {
		if (errno != ENOENT)
			crow_log(CROW_LOG_WARNING, "state directory %s: %s", dir, strerror(errno));
		return;
	}
	entry.dir_fd = dirfd(stream);
	unlinkat(entry.dir_fd, TEMPORARY, 0);
	while ((found = readdir(stream))) {
		entry.file = found->d_name;
		load_entry(&entry, take, context);
	}
	closedir(stream);
}
