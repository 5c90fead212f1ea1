#include "daemon/publisher.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "daemon/counters.h"
#include "daemon/log.h"
#include "daemon/runtime.h"

/* Changes that come together (all services at start, a round of polls) become one image. */
#define COALESCE_NS (10 * INT64_C(1000000))

/* Building must not take more than a twentieth of the main thread, however large the image. */
#define COALESCE_BUILDS 20

/* When memory ran out, or an old image still has a reader: a reader's batch lasts microseconds. */
#define RETRY_NS (100 * INT64_C(1000000))

struct crow_publisher {
	struct crow_loop *loop;
	const struct crow_table *table;
	const char *runtime_dir;
	void (*on_published)(void *context);
	void *context;

	/* Written by the main thread, read by all. Sequentially consistent together with each
	 * reader's `held`: see crow_reader_acquire(). */
	_Atomic(struct crow_published *) current;
	struct crow_published *old; /* main thread alone, as all below */
	struct crow_reader *readers;
	struct crow_given *given;
	uint64_t generation;
	int64_t build_ns; /* what the last build took of the cpu */
	int64_t built_ns; /* when it ended, or failed */
	struct crow_timer build_timer, reap_timer;
	struct stat written; /* the file's identity; st_ino 0: not written */
	int reserve;         /* a descriptor kept for the file, should they run out; -1: none */
	bool unwritten;      /* and said so */
	int64_t warned_ns, memory_warned_ns;
};

/* ---- readers ---- */

void crow_reader_init(struct crow_reader *reader, struct crow_publisher *publisher)
{
	reader->publisher = publisher;
	atomic_init(&reader->held, NULL);
	reader->next = publisher->readers;
	publisher->readers = reader;
}

/* Either the second load sees the same image, and then `held` was announced before the publisher
 * could have swapped and looked; or it sees a newer one, and the announcement is made anew. All
 * four accesses are sequentially consistent: with less, the store of `held` could sink below the
 * second load. */
const struct crow_image *crow_reader_acquire(struct crow_reader *reader)
{
	const struct crow_published *seen;

	do {
		seen = atomic_load(&reader->publisher->current);
		atomic_store(&reader->held, seen);
	} while (atomic_load(&reader->publisher->current) != seen);
	return &seen->image;
}

struct crow_given_mark *crow_reader_given(const struct crow_reader *reader)
{
	/* Its own announcement, which only its own thread writes. */
	return atomic_load_explicit(&reader->held, memory_order_relaxed)->given;
}

/* Release: what the reader did with the image happens before the publisher frees it. */
void crow_reader_release(struct crow_reader *reader)
{
	atomic_store_explicit(&reader->held, NULL, memory_order_release);
}

static bool is_held(const struct crow_publisher *publisher, const struct crow_published *image)
{
	for (struct crow_reader *r = publisher->readers; r != NULL; r = r->next)
		if (atomic_load(&r->held) == image)
			return true;
	return false;
}

static void sweep(struct crow_publisher *publisher, const struct crow_published *image,
		  int64_t now_ns)
{
	crow_given_sweep(publisher->given, &image->image, image->given, now_ns);
}

void crow_publisher_sweep(struct crow_publisher *publisher, int64_t now_ns)
{
	for (struct crow_published *image = publisher->old; image != NULL; image = image->older)
		sweep(publisher, image, now_ns);
	sweep(publisher, atomic_load_explicit(&publisher->current, memory_order_relaxed), now_ns);
}

struct crow_given *crow_publisher_given(const struct crow_publisher *publisher)
{
	return publisher->given;
}

/* Whoever held an image has released it, so that the marks taken from it here are its last. */
static void reap(struct crow_publisher *publisher)
{
	struct crow_published **at = &publisher->old;

	while (*at != NULL) {
		struct crow_published *image = *at;

		if (is_held(publisher, image)) {
			at = &image->older;
			continue;
		}
		*at = image->older;
		sweep(publisher, image, crow_now_ns());
		free(image);
	}
	if (publisher->old != NULL)
		crow_timer_set(publisher->loop, &publisher->reap_timer, crow_now_ns() + RETRY_NS);
}

static void on_reap(struct crow_timer *timer, int64_t now_ns)
{
	(void)now_ns;
	reap(crow_container(timer, struct crow_publisher, reap_timer));
}

/* ---- the file ---- */

static bool write_bytes(struct crow_publisher *publisher)
{
	struct crow_published *image = atomic_load(&publisher->current);

	return crow_runtime_write_snapshot(publisher->runtime_dir, image->bytes, image->image.size,
					   &publisher->written);
}

static void keep_reserve(struct crow_publisher *publisher)
{
	if (publisher->reserve < 0)
		publisher->reserve = eventfd(0, EFD_CLOEXEC);
}

/* Polls, pages and queries can wait for a descriptor; programs that lack the newest image cannot. */
static bool write_with_reserve(struct crow_publisher *publisher)
{
	int saved;
	bool done;

	if (publisher->reserve < 0)
		return false;
	close(publisher->reserve);
	publisher->reserve = -1;
	done = write_bytes(publisher);
	saved = errno;
	keep_reserve(publisher);
	errno = saved;
	return done;
}

static void say_unwritten(struct crow_publisher *publisher, int error)
{
	if (!crow_log_hourly(&publisher->warned_ns, crow_now_ns()))
		return;
	publisher->unwritten = true;
	crow_log(CROW_LOG_WARNING,
		 "cannot write %s/snapshot: %s; programs keep their last copy, DNS goes on, and "
		 "writing is tried again with every poll%s",
		 publisher->runtime_dir, strerror(error),
		 error == EACCES ? "; the directory must be there and belong to the daemon's user"
				 : "");
}

static void write_file(struct crow_publisher *publisher)
{
	if (publisher->runtime_dir == NULL)
		return;
	keep_reserve(publisher);
	if (write_bytes(publisher) ||
	    ((errno == EMFILE || errno == ENFILE) && write_with_reserve(publisher))) {
		if (publisher->unwritten)
			crow_log(CROW_LOG_INFO, "%s/snapshot is written again",
				 publisher->runtime_dir);
		publisher->unwritten = false;
		return;
	}
	int error = errno;

	crow_count(images_unwritten);
	memset(&publisher->written, 0, sizeof(publisher->written));
	say_unwritten(publisher, error);
}

void crow_publisher_check_file(struct crow_publisher *publisher)
{
	if (publisher->runtime_dir != NULL &&
	    !crow_runtime_is_snapshot(publisher->runtime_dir, &publisher->written))
		write_file(publisher);
}

/* ---- publishing ---- */

/* Of this thread: on a busy host another one may run in the middle of a build, which is no reason to
 * build more seldom. */
static int64_t cpu_ns(void)
{
	struct timespec used;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
	return (int64_t)used.tv_sec * 1000000000 + used.tv_nsec;
}

static struct crow_published *build(struct crow_publisher *publisher)
{
	int64_t start_ns = cpu_ns();
	struct crow_published *image = crow_publish_build(
		publisher->table, publisher->generation + 1, crow_now_ns(), (int64_t)time(NULL));

	publisher->build_ns = cpu_ns() - start_ns;
	publisher->built_ns = crow_now_ns();
	if (image == NULL)
		return NULL;
	publisher->generation++;
	crow_count(images_published);
	return image;
}

/* After a while without images the first change waits for nobody: that an instance is down is worth
 * most at once. Those that come with it, or soon after, are the next image. */
static void schedule(struct crow_publisher *publisher, int64_t wait_ns)
{
	if (wait_ns < publisher->build_ns * COALESCE_BUILDS)
		wait_ns = publisher->build_ns * COALESCE_BUILDS;
	crow_timer_set(publisher->loop, &publisher->build_timer, publisher->built_ns + wait_ns);
}

void crow_publisher_flush(struct crow_publisher *publisher)
{
	struct crow_published *image = build(publisher);

	if (image == NULL) {
		if (crow_log_hourly(&publisher->memory_warned_ns, crow_now_ns()))
			crow_log(CROW_LOG_WARNING,
				 "no memory for a new image; the last one stays until there is");
		schedule(publisher, RETRY_NS);
		return;
	}
	crow_timer_clear(publisher->loop, &publisher->build_timer);
	struct crow_published *old = atomic_exchange(&publisher->current, image);

	old->older = publisher->old;
	publisher->old = old;
	reap(publisher);
	write_file(publisher);
	if (publisher->on_published != NULL)
		publisher->on_published(publisher->context);
}

static void on_build(struct crow_timer *timer, int64_t now_ns)
{
	(void)now_ns;
	crow_publisher_flush(
		(struct crow_publisher *)(void *)((char *)timer -
						  offsetof(struct crow_publisher, build_timer)));
}

void crow_publisher_schedule(struct crow_publisher *publisher)
{
	if (!publisher->build_timer.armed)
		schedule(publisher, COALESCE_NS);
}

const struct crow_image *crow_publisher_image(const struct crow_publisher *publisher)
{
	return &atomic_load_explicit(&publisher->current, memory_order_relaxed)->image;
}

struct crow_publisher *crow_publisher_new(struct crow_loop *loop, const struct crow_table *table,
					  const char *runtime_dir,
					  void (*on_published)(void *context), void *context)
{
	struct crow_publisher *publisher = calloc(1, sizeof(*publisher));
	struct crow_published *first;

	if (publisher == NULL)
		return NULL;
	publisher->loop = loop;
	publisher->table = table;
	publisher->runtime_dir = runtime_dir;
	publisher->on_published = on_published;
	publisher->context = context;
	publisher->reserve = -1;
	publisher->build_timer.on_due = on_build;
	publisher->reap_timer.on_due = on_reap;
	publisher->given = crow_given_new();
	first = publisher->given == NULL ? NULL : build(publisher);
	if (first == NULL) {
		crow_given_free(publisher->given);
		free(publisher);
		return NULL;
	}
	atomic_init(&publisher->current, first);
	return publisher;
}

void crow_publisher_free(struct crow_publisher *publisher)
{
	if (publisher == NULL)
		return;
	crow_timer_clear(publisher->loop, &publisher->build_timer);
	crow_timer_clear(publisher->loop, &publisher->reap_timer);
	while (publisher->old != NULL) {
		struct crow_published *image = publisher->old;

		publisher->old = image->older;
		free(image);
	}
	free(atomic_load(&publisher->current));
	crow_given_free(publisher->given);
	if (publisher->reserve >= 0)
		close(publisher->reserve);
	free(publisher);
}
