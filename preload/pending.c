#include "preload/pending.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/single_threaded.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "preload/real.h"

/* A slot is held for as long as a handshake over loopback takes. */
#define STUCK_NS INT64_C(10000000000)

/* How often to look again at a slot that another thread holds, after a nap each: a holder that is
 * preempted is away for some 10 ms. 0.15 s in all, which ends if the holder is what this thread's
 * signal handler interrupted, beside other threads. */
#define NAPS_MAX 1000
#define NAP_NS   100000

/* Sockets asked of the kernel at once: 1.5 KiB of the stack of whoever called a wait function. */
#define BATCH 128

/* How long SO_ERROR waits for the instance that it has just moved to: an event loop may stall for
 * that long and nobody notices, and next door it is enough. */
#define SETTLE_MS 2

/* Where the activity counts. */
#define ONE_PENDING UINT64_C(1)
#define ONE_SETTLED (UINT64_C(1) << 16)
#define ONE_CHANGE  (UINT64_C(1) << 32)

enum state {
	FREE,
	BUSY,
	PENDING,
	SETTLED,
	LOST, /* its holder never came back, and may still */
};

/* What others than the holder look at; each is a hint until the slot is held. */
struct head {
	_Atomic uint32_t state;  /* who changes it to BUSY holds the slot (acquire, release) */
	_Atomic int fd;          /* holder; relaxed */
	_Atomic int64_t limit;   /* when the attempt's limit runs out, 0 = none; holder, relaxed */
	_Atomic int64_t held;    /* since when; holder, relaxed */
	_Atomic uint32_t change; /* the last count of changes by it; holder, relaxed */
};

/* The holder's alone. */
struct body {
	uint64_t cookie;
	struct crow_course course;
};

static struct table {
	_Atomic uint64_t activity;
	_Atomic int pid;       /* whose table it is, 0 = of whoever comes first */
	_Atomic unsigned next; /* where to look for a free slot: as far as may be from the last, so
				* that crow_pending_touched() finds it for long */
	struct head heads[CROW_PENDING_MAX];
	struct body bodies[CROW_PENDING_MAX];
} * table; /* written once, by the constructor */

static _Atomic uint64_t no_activity;
_Atomic uint64_t *crow_pending_word = &no_activity;

bool crow_pending_open(void)
{
	void *memory = mmap(NULL, sizeof(*table), PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return false;
	if (madvise(memory, sizeof(*table), MADV_WIPEONFORK) < 0) {
		munmap(memory, sizeof(*table));
		return false;
	}
	table = memory;
	atomic_init(&table->pid, getpid());
	crow_pending_word = &table->activity;
	return true;
}

/* held: how many slots the caller holds. What a child of vfork left in a table would stay there: the
 * table is its parent's, whether in use or not. Where the parent is itself a forked child that had no
 * use for one yet, the child may find it nobody's, and takes it: then the parent takes it back as soon
 * as no slot is in use. */
static bool is_own_table(unsigned held)
{
	int own = getpid();
	int pid = atomic_load_explicit(&table->pid, memory_order_relaxed);

	if (pid == own)
		return true;
	if (pid != 0 && (pid == getppid() || (crow_pending_activity() & 0xffffffff) != held))
		return false;
	return atomic_compare_exchange_strong(&table->pid, &pid, own) || pid == own;
}

/* Holding. Both ends are counted: a thread whose wait began when the slot was held already, and that
 * looks again when it no longer is, has to find a difference, since what it saw may be of the time
 * between a reset and the next connect(). */

static uint64_t counts_of(enum state state)
{
	return state == BUSY || state == PENDING ? ONE_PENDING : state == SETTLED ? ONE_SETTLED : 0;
}

/* The holder's: whoever finds the count but not yet this finds the slot held. */
static void note_change(struct head *head, uint64_t before)
{
	atomic_store_explicit(&head->change, crow_pending_changes(before) + 1,
			      memory_order_relaxed);
}

static bool hold(int slot, enum state state)
{
	struct head *head = &table->heads[slot];
	uint64_t delta = ONE_CHANGE + ONE_PENDING - counts_of(state);
	uint32_t seen = state;
	uint64_t before;

	/* Counted first: whoever meets the socket after we touched it then looks for us. */
	before = atomic_fetch_add(&table->activity, delta);
	if (!atomic_compare_exchange_strong(&head->state, &seen, BUSY)) {
		atomic_fetch_sub(&table->activity, delta - ONE_CHANGE);
		return false;
	}
	atomic_store_explicit(&head->held, crow_course_now_ns(), memory_order_relaxed);
	note_change(head, before);
	return true;
}

static void let_go(int slot, enum state state)
{
	struct head *head = &table->heads[slot];
	uint32_t busy = BUSY;

	note_change(head, atomic_fetch_add(&table->activity, ONE_CHANGE));
	/* Not if it was given up while we were stopped. */
	if (atomic_compare_exchange_strong(&head->state, &busy, state))
		atomic_fetch_add(&table->activity, counts_of(state) - ONE_PENDING);
}

static void give_up_if_stuck(struct head *head)
{
	int64_t held = atomic_load_explicit(&head->held, memory_order_relaxed);
	uint32_t busy = BUSY;

	if (held != 0 && crow_course_now_ns() - held > STUCK_NS &&
	    atomic_compare_exchange_strong(&head->state, &busy, LOST))
		atomic_fetch_sub(&table->activity, ONE_PENDING);
}

static enum state state_of(int slot)
{
	return atomic_load_explicit(&table->heads[slot].state, memory_order_acquire);
}

/* Whether a slot that is held is worth waiting for. Where there is no other thread, its holder is what
 * this signal handler has interrupted. */
static bool may_be_let_go(void)
{
	return !__libc_single_threaded;
}

static bool is_socket_of(int fd, int slot)
{
	uint64_t cookie;

	return crow_fd_cookie(fd, &cookie) && cookie == table->bodies[slot].cookie;
}

/* Waits while a slot is held, though not for ever. */
static enum state wait_for_holder(int slot)
{
	const struct timespec nap = {.tv_nsec = NAP_NS};

	for (int naps = 0; state_of(slot) == BUSY && may_be_let_go() && naps < NAPS_MAX; naps++)
		nanosleep(&nap, NULL);
	return state_of(slot);
}

/* The slot of the descriptor in one of two states, held; -1 if there is none. One that another
 * thread holds is waited for: the socket may be between a reset and the next connect(), and what
 * the kernel says of it then (ECONNRESET) is nobody's to know. */
static int hold_by_fd(int fd, enum state one, enum state other, enum state *was)
{
	for (int slot = 0; slot < CROW_PENDING_MAX; slot++) {
		struct head *head = &table->heads[slot];

		if (atomic_load_explicit(&head->fd, memory_order_relaxed) != fd)
			continue;
		*was = wait_for_holder(slot);
		if ((*was != one && *was != other) || !hold(slot, *was))
			continue;
		if (atomic_load_explicit(&head->fd, memory_order_relaxed) == fd)
			return slot;
		let_go(slot, *was);
	}
	return -1;
}

static int hold_free(void)
{
	for (int tries = 0; tries < CROW_PENDING_MAX; tries++) {
		unsigned next = atomic_fetch_add_explicit(&table->next, 1, memory_order_relaxed);
		int slot = (int)(next % CROW_PENDING_MAX);

		if (state_of(slot) == FREE && hold(slot, FREE))
			return slot;
	}
	return -1;
}

/* Slots of sockets that are gone. Settled ones stay behind where a program closes a socket without
 * asking for its error. */
static void sweep(enum state state)
{
	for (int slot = 0; slot < CROW_PENDING_MAX; slot++) {
		int fd = atomic_load_explicit(&table->heads[slot].fd, memory_order_relaxed);

		if (state_of(slot) == state && hold(slot, state))
			let_go(slot, is_socket_of(fd, slot) ? state : FREE);
	}
}

int crow_pending_claim(int fd)
{
	enum state was;
	int slot;

	if (table == NULL)
		return -1;
	if (crow_pending_may_have(crow_pending_activity())) {
		if (!is_own_table(0))
			return -1;
		slot = hold_by_fd(fd, PENDING, SETTLED, &was);
		if (slot >= 0)
			let_go(slot, FREE);
	}
	slot = hold_free();
	if (slot < 0) {
		sweep(SETTLED);
		sweep(PENDING);
		slot = hold_free();
	}
	if (slot >= 0)
		atomic_store_explicit(&table->heads[slot].fd, fd, memory_order_relaxed);
	return slot;
}

static enum state state_after(enum crow_action_kind kind)
{
	return kind == CROW_DO_WAIT ? PENDING : kind == CROW_DO_SETTLE ? SETTLED : FREE;
}

void crow_pending_release(int slot, const struct crow_course *course, struct crow_action action)
{
	enum state state = state_after(action.kind);
	struct body *body = &table->bodies[slot];

	if (state != FREE && !is_own_table(1))
		state = FREE;
	if (state != FREE) {
		body->course = *course;
		body->course.addr = NULL;
		if (!crow_fd_cookie(course->fd, &body->cookie))
			state = FREE;
	}
	atomic_store_explicit(&table->heads[slot].limit, course->attempt.limit_at,
			      memory_order_relaxed);
	let_go(slot, state);
}

/* Moving on. */

/* Looks at the socket of a held slot and does what follows. It is done on a descriptor of our own:
 * another thread may close this one, and open another socket, between any two calls of ours. */
static struct crow_action move_on(int slot)
{
	struct crow_course *course = &table->bodies[slot].course;
	struct crow_action action = {.kind = CROW_DO_RETURN};
	int fd = course->fd;
	int own = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);

	if (!is_socket_of(own >= 0 ? own : fd, slot)) {
		/* It is gone. */
	} else if (own >= 0 && crow_fd_mode(own) == CROW_FD_NONBLOCKING) {
		course->fd = own;
		action = crow_course_run(course, (struct crow_action){.kind = CROW_DO_LOOK});
		course->fd = fd;
	} else {
		/* No descriptor is free, or connect() would block: it is the kernel's now. */
		crow_course_restore(course);
	}
	if (own >= 0)
		close(own);
	atomic_store_explicit(&table->heads[slot].limit, course->attempt.limit_at,
			      memory_order_relaxed);
	return action;
}

static bool serve_slot(int slot)
{
	struct crow_attempt *attempt = &table->bodies[slot].course.attempt;
	unsigned index = attempt->index;
	struct crow_action action = move_on(slot);
	bool moved = attempt->index != index;

	let_go(slot, state_after(action.kind));
	return moved;
}

/* Up to BATCH pending slots from *slot on, as poll() wants them; *busy: others are held. */
static nfds_t list_pending(int *next, struct pollfd *fds, int *slots, bool *busy)
{
	nfds_t count = 0;

	while (*next < CROW_PENDING_MAX && count < BATCH) {
		int slot = (*next)++;
		struct head *head = &table->heads[slot];
		enum state state = state_of(slot);

		if (state == BUSY) {
			*busy = may_be_let_go();
			give_up_if_stuck(head);
		}
		if (state != PENDING)
			continue;
		slots[count] = slot;
		fds[count++] = (struct pollfd){
			.fd = atomic_load_explicit(&head->fd, memory_order_relaxed),
			.events = POLLOUT,
		};
	}
	return count;
}

static bool is_due(int slot, int64_t now)
{
	int64_t limit = atomic_load_explicit(&table->heads[slot].limit, memory_order_relaxed);

	return limit != 0 && now >= limit;
}

/* Those of which the kernel has news, or whose limit is over. */
static void serve_batch(const struct pollfd *fds, const int *slots, nfds_t count,
			struct crow_served *served)
{
	int64_t now = crow_course_now_ns();

	for (nfds_t i = 0; i < count; i++) {
		if (fds[i].revents == 0 && !is_due(slots[i], now))
			continue;
		if (!hold(slots[i], PENDING)) {
			served->busy = true;
			continue;
		}
		served->changes += 2;
		served->moved |= serve_slot(slots[i]);
	}
}

static struct crow_served serve(void)
{
	struct crow_served served = {0};
	struct pollfd fds[BATCH];
	int slots[BATCH];
	int next = 0;

	while (next < CROW_PENDING_MAX) {
		nfds_t count = list_pending(&next, fds, slots, &served.busy);

		if (count > 0 && crow_real_poll(fds, count, 0) >= 0)
			serve_batch(fds, slots, count, &served);
	}
	return served;
}

struct crow_served crow_pending_serve(void)
{
	struct crow_served served = {0};
	int saved = errno;
	int cancel;

	if (!is_own_table(0))
		return served;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	served = serve();
	pthread_setcancelstate(cancel, NULL);
	errno = saved;
	return served;
}

int64_t crow_pending_deadline(void)
{
	int64_t nearest = 0;

	if (!is_own_table(0))
		return 0;
	for (int slot = 0; slot < CROW_PENDING_MAX; slot++) {
		int64_t limit =
			atomic_load_explicit(&table->heads[slot].limit, memory_order_relaxed);

		if (limit != 0 && state_of(slot) == PENDING && (nearest == 0 || limit < nearest))
			nearest = limit;
	}
	return nearest;
}

size_t crow_pending_touched(uint64_t since, int fds[CROW_PENDING_MAX])
{
	size_t count = 0;

	for (int slot = 0; slot < CROW_PENDING_MAX; slot++) {
		struct head *head = &table->heads[slot];
		/* First: who finds it let go finds the change as well. */
		bool busy = state_of(slot) == BUSY;
		uint32_t change = atomic_load_explicit(&head->change, memory_order_relaxed);

		if (busy || (int32_t)(change - crow_pending_changes(since)) > 0)
			fds[count++] = atomic_load_explicit(&head->fd, memory_order_relaxed);
	}
	return count;
}

/* True if the descriptor's slot is pending, once nobody holds it. */
static bool is_pending(int fd)
{
	for (int slot = 0; slot < CROW_PENDING_MAX; slot++) {
		if (atomic_load_explicit(&table->heads[slot].fd, memory_order_relaxed) != fd)
			continue;
		if (wait_for_holder(slot) == PENDING)
			return true;
	}
	return false;
}

short crow_pending_hangup(int fd, short wanted)
{
	struct pollfd now = {.fd = fd, .events = wanted};

	if (is_pending(fd) || crow_real_poll(&now, 1, 0) <= 0)
		return 0;
	return (now.revents & (POLLHUP | POLLERR)) != 0 ? now.revents : 0;
}

/* What the program is told. */

/* All have failed, and the program asks. The kernel's own answer takes the last failure off the
 * socket; ours is the first. */
static int deliver(int slot, int kernels)
{
	struct crow_course *course = &table->bodies[slot].course;
	struct crow_action action = crow_attempt_on(
		&course->attempt, (struct crow_event){.kind = CROW_EVENT_DELIVERED}, 0);

	if (kernels != 0)
		crow_course_blame(course, kernels);
	return action.error != 0 ? action.error : kernels;
}

/* The program asks for the error of a socket that was pending: because it saw a failure by a call
 * that is not ours, if there was one. That cannot be unseen, and "no error" would say that it is
 * connected: so it has to be, soon, or to have failed. */
static int error_of_pending(int slot, enum state *next)
{
	struct crow_attempt *attempt = &table->bodies[slot].course.attempt;
	unsigned index = attempt->index;
	int fd = table->bodies[slot].course.fd;
	struct crow_action action = move_on(slot);

	if (action.kind == CROW_DO_WAIT && attempt->index != index) {
		struct pollfd ready = {.fd = fd, .events = POLLOUT};

		crow_real_poll(&ready, 1, SETTLE_MS);
		action = move_on(slot);
		if (action.kind == CROW_DO_WAIT) {
			*next = PENDING;
			return attempt->first_error;
		}
	}
	*next = state_after(action.kind);
	if (action.kind != CROW_DO_SETTLE)
		return crow_fd_take_error(fd);
	*next = FREE;
	return deliver(slot, crow_fd_take_error(fd));
}

static bool error_of(int fd, int *error)
{
	enum state was, next = FREE;
	int slot = hold_by_fd(fd, PENDING, SETTLED, &was);
	bool known;

	if (slot < 0)
		return false;
	known = is_socket_of(fd, slot);
	if (known && was == PENDING)
		*error = error_of_pending(slot, &next);
	else if (known)
		*error = deliver(slot, crow_fd_take_error(fd));
	let_go(slot, next);
	return known;
}

bool crow_pending_error(int fd, int *error)
{
	int saved = errno;
	bool known;
	int cancel;

	if (!is_own_table(0))
		return false;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	known = error_of(fd, error);
	pthread_setcancelstate(cancel, NULL);
	errno = saved;
	return known;
}

/* What connect() on a socket that was pending says: that it still is, or what the kernel's says,
 * which is that it is connected, or that it failed. */
static int connect_again(int slot, enum state was, const struct sockaddr *addr, socklen_t len,
			 enum state *next)
{
	int fd = table->bodies[slot].course.fd;
	struct crow_action action = {.kind = CROW_DO_SETTLE};
	int error;

	if (was == PENDING)
		action = move_on(slot);
	*next = state_after(action.kind);
	if (action.kind == CROW_DO_WAIT)
		return EALREADY;
	*next = FREE;
	error = crow_real_connect(fd, addr, len) == 0 ? 0 : errno;
	if (action.kind == CROW_DO_SETTLE && error != 0 && error != EINPROGRESS)
		error = deliver(slot, error);
	return error;
}

static bool connect_of(int fd, const struct sockaddr *addr, socklen_t len, int *error)
{
	enum state was, next = FREE;
	int slot = hold_by_fd(fd, PENDING, SETTLED, &was);
	bool known;

	if (slot < 0)
		return false;
	known = is_socket_of(fd, slot);
	/* Anything but a question for the outcome is the kernel's: AF_UNSPEC ends the attempt, and
	 * on a socket that blocks by now this waits for its end. */
	if (known && (addr->sa_family == AF_UNSPEC || crow_fd_mode(fd) != CROW_FD_NONBLOCKING)) {
		crow_course_restore(&table->bodies[slot].course);
		known = false;
	}
	if (known)
		*error = connect_again(slot, was, addr, len, &next);
	let_go(slot, next);
	return known;
}

bool crow_pending_connect(int fd, const struct sockaddr *addr, socklen_t len, int *error)
{
	int saved = errno;
	bool known;
	int cancel;

	if (!is_own_table(0))
		return false;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	known = connect_of(fd, addr, len, error);
	pthread_setcancelstate(cancel, NULL);
	errno = saved;
	return known;
}
