/*
 * The process's current image of the snapshot.
 *
 * A set holds two private copies, each with a count of its readers. Readers use the copy that is
 * current; an update loads the file into the other one, if nobody reads that, and then makes it
 * current. Nothing is freed or written under a reader, and nobody waits: whoever finds an update
 * under way, or the other copy in use, goes on with the copy that is current. So all of this may
 * run in a signal handler that interrupted any part of it.
 *
 * fork: the pointer to the set lies in a page that is zero in a child (MADV_WIPEONFORK). The child
 * makes a set of its own when it first needs one, from the file, or from its parent's current copy
 * if there is no good file; the parent's set, whose counts and lock may have been caught in any
 * state, stays mapped there. Code that a fork (in a signal
 * handler) cut in two ends in the child on the old set, which does no harm: each reader leaves the
 * set that it entered.
 */
#ifndef CROW_CURRENT_H
#define CROW_CURRENT_H

#include "resolver/image.h"

/* How fresh the image must be: as it is, looked for a new file within the last second, within this
 * tick of the coarse clock (1 to 10 ms), or just now. A process that has no good snapshot looks once
 * a second at most. Looking is one stat(), 1 us. */
enum crow_current_age {
	CROW_CURRENT_ANY,
	CROW_CURRENT_SECOND,
	CROW_CURRENT_TICK,
	CROW_CURRENT_NOW
};

struct crow_current_set;

struct crow_current {
	const struct crow_image *image; /* maybe an empty one */
	struct crow_current_set *set;
	unsigned index;
};

/* Loads <dir>/snapshot for the first time; dir is borrowed for ever. Called once, by the
 * constructor. False: no memory, or a kernel before 4.14, and then enter never succeeds. */
bool crow_current_open(const char *dir);

/* The directory, NULL if crow_current_open() was not called. */
const char *crow_current_dir(void);

/* False if no instance or tombstone has this address, as of a look within the last second: the
 * quick answer for the connects of a program to everywhere else, which needs no reader's count.
 * True means maybe. errno is kept. */
bool crow_current_may_have(const struct crow_addr *addr);

/* Tells the current image from each that was or will be; 0 = none is as fresh as that, a look is
 * due, or another one is just becoming current. */
uint64_t crow_current_version(enum crow_current_age age);

/* Between enter and leave the image stays as it is: microseconds, and no call that may block or be
 * a cancellation point. errno is kept. False: there is none, and nothing to leave. */
bool crow_current_enter(struct crow_current *view, enum crow_current_age age);
void crow_current_leave(const struct crow_current *view);

/* The next point of one of this process's sequences of picks, which start at random, and anew in a
 * child. A sequence is even only for who takes all of it (resolver/pick.h): the look-ups of a service
 * have one, or share it where services are many; connects have two. Points for the others are taken
 * where a first has failed: of the same sequence, they would be those that follow a dead instance's
 * points, always, and the instances there would hardly ever be first. */
#define CROW_CURRENT_FIRSTS UINT32_MAX
#define CROW_CURRENT_OTHERS (UINT32_MAX - 1)
uint64_t crow_current_next_point(const struct crow_current *view, uint32_t service_or_connects);

#endif
