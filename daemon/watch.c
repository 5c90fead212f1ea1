#include "daemon/watch.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "daemon/log.h"

/* A file is read when it has been written, or has got its name; not when it was created, since its
 * writer is about to begin then. */
#define EVENTS (IN_CLOSE_WRITE | IN_MOVED_TO)

#define NO_DIRECTORY (-1)

struct crow_watcher {
	struct crow_loop *loop;
	struct crow_watch watch; /* the inotify descriptor */
	struct crow_file_watch *files;
	struct crow_file_watch *next; /* where the walk under way goes on */
};

struct crow_file_watch {
	struct crow_watcher *watcher;
	struct crow_file_watch *next;
	void (*on_change)(void *context);
	void *context;
	int directory; /* inotify's number, one for each directory, whatever path led there */
	char *path;
	const char *name; /* the last component, within path */
};

/* ---- which directory ---- */

static bool is_used(const struct crow_watcher *watcher, int directory)
{
	for (const struct crow_file_watch *file = watcher->files; file; file = file->next)
		if (file->directory == directory)
			return true;
	return false;
}

static void leave_directory(struct crow_file_watch *file)
{
	int directory = file->directory;

	file->directory = NO_DIRECTORY;
	if (directory != NO_DIRECTORY && !is_used(file->watcher, directory))
		inotify_rm_watch(file->watcher->watch.fd, directory);
}

static int watch_directory(const struct crow_file_watch *file)
{
	char directory[PATH_MAX] = ".";
	size_t length = (size_t)(file->name - file->path);

	if (length >= sizeof(directory))
		return NO_DIRECTORY;
	if (length > 0) {
		memcpy(directory, file->path, length); /* with its last slash: "/" stays one */
		directory[length] = '\0';
	}
	return inotify_add_watch(file->watcher->watch.fd, directory, EVENTS | IN_ONLYDIR);
}

void crow_file_watch_renew(struct crow_file_watch *file)
{
	int directory = watch_directory(file);

	if (directory == file->directory)
		return;
	leave_directory(file);
	file->directory = directory;
}

/* ---- what happened there ---- */

/* True if `name` in the directory is the file, or the link through which the file leads. */
static bool concerns(const struct crow_file_watch *file, const char *name)
{
	char target[PATH_MAX];
	size_t length = strlen(name);
	ssize_t n;

	if (strcmp(name, file->name) == 0)
		return true;
	n = readlink(file->path, target, sizeof(target));
	if (n < 0 || (size_t)n < length || memcmp(target, name, length) != 0)
		return false;
	return (size_t)n == length || target[length] == '/';
}

/* on_change may free any watch: crow_file_watch_free() then moves watcher->next on. */
static void tell(struct crow_watcher *watcher, const struct inotify_event *event)
{
	bool all = (event->mask & IN_Q_OVERFLOW) != 0; /* some were lost: who knows which */

	watcher->next = watcher->files;
	while (watcher->next) {
		struct crow_file_watch *file = watcher->next;

		watcher->next = file->next;
		if (!all && file->directory != event->wd)
			continue;
		if (event->mask & IN_IGNORED) /* the directory is gone */
			file->directory = NO_DIRECTORY;
		else if (all || (event->len > 0 && concerns(file, event->name)))
			file->on_change(file->context);
	}
}

static void on_ready(struct crow_watch *watch, uint32_t events)
{
	struct crow_watcher *watcher = crow_container(watch, struct crow_watcher, watch);
	_Alignas(struct inotify_event) char buffer[4096];
	ssize_t n = read(watch->fd, buffer, sizeof(buffer));

	(void)events;
	for (ssize_t at = 0; at < n;) {
		const struct inotify_event *event = (const void *)(buffer + at);

		tell(watcher, event);
		at += (ssize_t)(sizeof(*event) + event->len);
	}
}

/* ---- watches and the watcher ---- */

struct crow_file_watch *crow_file_watch_new(struct crow_watcher *watcher, const char *path,
					    void (*on_change)(void *context), void *context)
{
	struct crow_file_watch *file = calloc(1, sizeof(*file));
	const char *slash;

	if (!file)
		return NULL;
	file->path = strdup(path);
	if (!file->path) {
		free(file);
		return NULL;
	}
	slash = strrchr(file->path, '/');
	file->name = slash ? slash + 1 : file->path;
	file->watcher = watcher;
	file->on_change = on_change;
	file->context = context;
	file->directory = NO_DIRECTORY;
	file->next = watcher->files;
	watcher->files = file;
	crow_file_watch_renew(file);
	return file;
}

void crow_file_watch_free(struct crow_file_watch *file)
{
	struct crow_file_watch **link;

	if (!file)
		return;
	if (file->watcher->next == file)
		file->watcher->next = file->next;
	for (link = &file->watcher->files; *link != file;)
		link = &(*link)->next;
	*link = file->next;
	leave_directory(file);
	free(file->path);
	free(file);
}

struct crow_watcher *crow_watcher_new(struct crow_loop *loop)
{
	struct crow_watcher *watcher = calloc(1, sizeof(*watcher));

	if (!watcher)
		return NULL;
	watcher->loop = loop;
	watcher->watch.on_ready = on_ready;
	watcher->watch.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (watcher->watch.fd >= 0 && crow_loop_add(loop, &watcher->watch, EPOLLIN) == 0)
		return watcher;
	crow_log(CROW_LOG_WARNING,
		 "cannot watch files: %m; changes are found by the next poll; see the sysctl "
		 "fs.inotify.max_user_instances");
	if (watcher->watch.fd >= 0)
		close(watcher->watch.fd);
	free(watcher);
	return NULL;
}

void crow_watcher_free(struct crow_watcher *watcher)
{
	if (!watcher)
		return;
	crow_loop_remove(watcher->loop, &watcher->watch);
	close(watcher->watch.fd);
	free(watcher);
}
