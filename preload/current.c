#include "preload/current.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>

#include "preload/path.h"
#include "preload/trace.h"
#include "resolver/attach.h"
#include "resolver/pick.h"

#define SECOND_NS INT64_C(1000000000)

/* Look-ups last microseconds. A reader or an update that is still there after this long was cut
 * off for good (siglongjmp out of a handler, pthread_cancel): its set is given up. */
#define STUCK_NS (10 * SECOND_NS)

/* Of picks: half a KiB, for 62 services and all connects, which have two. */
#define SEQUENCES 64

/* 8 KiB: with 1000 addresses 1.5 % of all others look as if they were ours, and cost 30 ns more. */
#define FILTER_BITS  65536
#define FILTER_WORDS (FILTER_BITS / 64)

struct crow_current_set {
	/* Index of the copy that readers use. Writer: the holder of `updating`. Sequentially
	 * consistent, like `readers`: a reader counts itself and then looks whether `current` is
	 * unchanged; an update changes `current` and a later one looks for readers. */
	_Atomic unsigned current;
	_Atomic unsigned readers[2];

	/* The update lock, only ever tried. It guards `copies` other than the current one, `seen`
	 * and the three stores below. */
	_Atomic bool updating;
	struct stat seen;  /* the file last looked into, good or not */
	_Atomic bool good; /* the last file was good; relaxed, a hint */

	/* From a random start, two more with each image; odd while `current` changes, before and
	 * after. Release, acquire: whoever sees a version enters its image, or a later one, and
	 * whoever has entered an image sees no version of an earlier one. */
	_Atomic uint64_t version;

	_Atomic int64_t looked_ns;  /* CLOCK_MONOTONIC_COARSE; relaxed, a hint */
	_Atomic int64_t blocked_ns; /* since when updates fail to start, 0 = they do not */

	_Atomic uint64_t seqs[SEQUENCES]; /* relaxed: any order of picks will do */

	/* A bit for the hash of each address that any copy of this set ever had. Bits are set by
	 * the holder of `updating` before the copy becomes current, and never cleared: so whoever
	 * finds no bit knows that the address is in no copy that was current before it looked.
	 * Relaxed for that reason: nothing else is read on the strength of a bit. */
	_Atomic uint64_t filter[FILTER_WORDS];

	struct crow_copy copies[2];
};

/* Alone on its page, which a forked child finds zero. */
struct root {
	_Atomic(struct crow_current_set *) set;
};

/* Both written once, by the constructor. */
static struct root *root;
static const char *snapshot_dir;

/* The set that root points to, or pointed to before a fork: a child finds its parent's here, whose
 * current copy is whole whenever the fork came. Never freed. Written by whoever put it there. */
static _Atomic(struct crow_current_set *) latest;

/* vDSO, no system call: 5 ns, 4 ms coarse. */
static int64_t coarse_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return ts.tv_sec * SECOND_NS + ts.tv_nsec;
}

static uint64_t random_start(void)
{
	uint64_t value;

	/* Early in boot there may be no entropy yet; address and time then differ enough. */
	if (getrandom(&value, sizeof(value), GRND_NONBLOCK) != sizeof(value))
		value = (uint64_t)(uintptr_t)&value ^ (uint64_t)coarse_now_ns() << 20;
	return value;
}

static uint32_t filter_bit(const struct crow_addr *addr)
{
	return (uint32_t)crow_addr_hash(addr) % FILTER_BITS;
}

static void add_to_filter(struct crow_current_set *set, const struct crow_image *img)
{
	for (uint32_t i = 0; i < img->header->instances.count; i++) {
		uint32_t bit = filter_bit(&img->instances[i].addr);
		_Atomic uint64_t *word = &set->filter[bit / 64];
		uint64_t bits = atomic_load_explicit(word, memory_order_relaxed);

		atomic_store_explicit(word, bits | UINT64_C(1) << bit % 64, memory_order_relaxed);
	}
}

/* Reads the file into the copy that nobody uses and makes it current if it is good. */
static void load(struct crow_current_set *set, unsigned other)
{
	enum crow_attach result = crow_copy_load(&set->copies[other], snapshot_dir, NULL);
	bool good = result == CROW_ATTACH_OK;

	if (good || result == CROW_ATTACH_INVALID)
		set->seen = set->copies[other].identity;
	if (good) {
		add_to_filter(set, &set->copies[other].image);
		atomic_fetch_add_explicit(&set->version, 1, memory_order_relaxed);
		atomic_store(&set->current, other);
		atomic_fetch_add_explicit(&set->version, 1, memory_order_release);
	} else {
		crow_trace(CROW_TRACE_ERROR, snapshot_dir, "/" CROW_SNAP_FILE " ",
			   crow_attach_strerror(result), NULL);
	}
	atomic_store_explicit(&set->good, good, memory_order_relaxed);
}

static void *map_zero(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

static void count_in(struct crow_current_set *set, struct crow_current *view)
{
	for (;;) {
		unsigned index = atomic_load(&set->current);

		atomic_fetch_add(&set->readers[index], 1);
		if (__builtin_expect(atomic_load(&set->current) == index, 1)) {
			*view = (struct crow_current){&set->copies[index].image, set, index};
			return;
		}
		/* An update came between: it may be writing to this copy by now. */
		atomic_fetch_sub(&set->readers[index], 1);
	}
}

/* A list once good is never lost: without a good file (a chroot, a seccomp filter, a directory that
 * was wiped) a new set goes on with what the process had, be it its parent's. */
static void inherit(struct crow_current_set *set)
{
	struct crow_current_set *before = atomic_load(&latest);
	struct crow_current view;

	if (before == NULL)
		return;
	count_in(before, &view);
	if (view.image->header != NULL &&
	    crow_copy_clone(&set->copies[1], &before->copies[view.index])) {
		add_to_filter(set, &set->copies[1].image);
		atomic_store(&set->current, 1);
	}
	crow_current_leave(&view);
}

static struct crow_current_set *set_new(void)
{
	struct crow_current_set *set = map_zero(sizeof(*set));
	uint64_t start;

	if (set == NULL)
		return NULL;
	start = random_start();
	for (uint64_t i = 0; i < SEQUENCES; i++)
		atomic_init(&set->seqs[i], start + (i << 32)); /* far from each other */
	atomic_init(&set->version, start & ~UINT64_C(1));
	atomic_init(&set->looked_ns, coarse_now_ns());
	load(set, 1);
	if (!atomic_load_explicit(&set->good, memory_order_relaxed))
		inherit(set);
	return set;
}

static void set_free(struct crow_current_set *set)
{
	crow_copy_fini(&set->copies[0]);
	crow_copy_fini(&set->copies[1]);
	munmap(set, sizeof(*set));
}

/* Puts a new set in the place of old (NULL: a child's first). Whoever comes second, be it another
 * thread or the code that a signal handler interrupted, takes the set of the first. */
static struct crow_current_set *replace_set(struct crow_current_set *old)
{
	struct crow_current_set *set;
	int cancel;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	set = set_new();
	if (set != NULL && !atomic_compare_exchange_strong(&root->set, &old, set)) {
		set_free(set);
		set = old;
	}
	if (set != NULL)
		atomic_store(&latest, set);
	pthread_setcancelstate(cancel, NULL);
	return set;
}

/* False if the copy to write to is being read. */
static bool look_locked(struct crow_current_set *set, int64_t now)
{
	unsigned other = 1 - atomic_load(&set->current);

	if (atomic_load(&set->readers[other]) != 0)
		return false;
	atomic_store_explicit(&set->blocked_ns, 0, memory_order_relaxed);
	atomic_store_explicit(&set->looked_ns, now, memory_order_relaxed);
	if (crow_copy_is_outdated(&set->seen, snapshot_dir))
		load(set, other);
	return true;
}

/* Looks for a new file. False if that is being done, or cannot be done now. */
static bool look(struct crow_current_set *set, int64_t now)
{
	bool busy = false;
	bool done;
	int cancel;

	/* open() and close() are cancellation points, and a cancelled update would never unlock. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	done = atomic_compare_exchange_strong(&set->updating, &busy, true);
	if (done) {
		done = look_locked(set, now);
		atomic_store(&set->updating, false);
	}
	pthread_setcancelstate(cancel, NULL);
	return done;
}

/* Returns the set to use from now on: another one if this one cannot be updated any more. */
static struct crow_current_set *refresh(struct crow_current_set *set, int64_t now)
{
	struct crow_current_set *successor;
	int64_t blocked;

	if (look(set, now))
		return set;
	blocked = atomic_load_explicit(&set->blocked_ns, memory_order_relaxed);
	if (blocked == 0)
		atomic_store_explicit(&set->blocked_ns, now, memory_order_relaxed);
	if (blocked == 0 || now - blocked < STUCK_NS)
		return set;
	successor = replace_set(set);
	return successor != NULL ? successor : set;
}

static bool is_look_due(const struct crow_current_set *set, enum crow_current_age age)
{
	int64_t elapsed;

	if (age == CROW_CURRENT_ANY)
		return false;
	elapsed = coarse_now_ns() - atomic_load_explicit(&set->looked_ns, memory_order_relaxed);
	if (age != CROW_CURRENT_SECOND && atomic_load_explicit(&set->good, memory_order_relaxed))
		return age == CROW_CURRENT_NOW || elapsed > 0;
	return elapsed >= SECOND_NS;
}

/* The set to use, as fresh as asked for; NULL if there is none. Keeps errno. */
static inline struct crow_current_set *fresh_set(enum crow_current_age age)
{
	struct crow_current_set *set;
	int saved;

	if (root == NULL)
		return NULL;
	set = atomic_load_explicit(&root->set, memory_order_acquire);
	if (__builtin_expect(set != NULL && !is_look_due(set, age), 1))
		return set;
	saved = errno;
	set = set != NULL ? refresh(set, coarse_now_ns()) : replace_set(NULL);
	errno = saved;
	return set;
}

bool crow_current_open(const char *dir)
{
	struct root *page = map_zero(sizeof(*page));

	if (page == NULL)
		return false;
	if (madvise(page, sizeof(*page), MADV_WIPEONFORK) < 0) {
		munmap(page, sizeof(*page));
		return false;
	}
	snapshot_dir = dir;
	root = page;
	return fresh_set(CROW_CURRENT_SECOND) != NULL;
}

const char *crow_current_dir(void)
{
	return snapshot_dir;
}

bool crow_current_may_have(const struct crow_addr *addr)
{
	struct crow_current_set *set = fresh_set(CROW_CURRENT_SECOND);
	uint32_t bit = filter_bit(addr);

	return set != NULL &&
	       atomic_load_explicit(&set->filter[bit / 64], memory_order_relaxed) >> bit % 64 & 1;
}

CROW_HOT uint64_t crow_current_version(enum crow_current_age age)
{
	struct crow_current_set *set =
		root != NULL ? atomic_load_explicit(&root->set, memory_order_acquire) : NULL;
	uint64_t version;

	if (set == NULL || is_look_due(set, age))
		return 0;
	version = atomic_load_explicit(&set->version, memory_order_acquire);
	return (version & 1) == 0 ? version : 0;
}

bool crow_current_enter(struct crow_current *view, enum crow_current_age age)
{
	struct crow_current_set *set = fresh_set(age);

	if (set == NULL)
		return false;
	count_in(set, view);
	return true;
}

void crow_current_leave(const struct crow_current *view)
{
	atomic_fetch_sub_explicit(&view->set->readers[view->index], 1, memory_order_release);
}

static uint32_t sequence_of(uint32_t service_or_connects)
{
	if (service_or_connects == CROW_CURRENT_FIRSTS)
		return SEQUENCES - 1;
	if (service_or_connects == CROW_CURRENT_OTHERS)
		return SEQUENCES - 2;
	return service_or_connects % (SEQUENCES - 2);
}

uint64_t crow_current_next_point(const struct crow_current *view, uint32_t service_or_connects)
{
	_Atomic uint64_t *seq = &view->set->seqs[sequence_of(service_or_connects)];

	return crow_pick_point(atomic_fetch_add_explicit(seq, 1, memory_order_relaxed));
}
