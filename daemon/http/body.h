/*
 * The bytes of an answer, shared by all who send them and gone with the last. Main thread alone,
 * so that a plain count is enough.
 *
 * The shelf bounds what large answers cost: the status of 100,000 instances is 14 MB and takes
 * 100 ms to write. One that was made is handed out again until 20 times the time that making it
 * took has passed, so that no number of askers for it costs more than a twentieth of the main
 * thread; and only four exist at a time, kept here or held by slow readers, so that those who ask
 * for ever another one cost a fifth, and the rest of them is turned away.
 */
#ifndef CROW_BODY_H
#define CROW_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct crow_body {
	char *bytes; /* NUL-terminated behind size */
	size_t size;
	unsigned users;
	unsigned *large; /* the shelf's count, if this is one of its large ones */
};

/* bytes are malloc'ed, with a NUL at bytes[size], and taken over unless it fails. NULL: no memory. */
struct crow_body *crow_body_new(char *bytes, size_t size);
struct crow_body *crow_body_copy(const char *text); /* NULL: no memory */
struct crow_body *crow_body_ref(struct crow_body *body);
void crow_body_unref(struct crow_body *body); /* NULL is none */

/* Smaller ones are cheaper to make than to explain why they are old. */
#define CROW_SHELF_LARGE ((size_t)262144)
/* Large ones at a time: with 14 MB each, 56 MB. */
#define CROW_SHELF_BODIES 4u
/* Holds all arguments of a request: see site.c. */
#define CROW_SHELF_KEY 1024

struct crow_shelf {
	unsigned large; /* large bodies that exist, kept here or held by readers */
	struct crow_shelf_slot {
		char key[CROW_SHELF_KEY];
		struct crow_body *body;
		int64_t until_ns;
	} slots[CROW_SHELF_BODIES];
};

/* What was asked by that key and may be handed out again, with a reference for the caller; NULL if
 * there is none, and then *full tells that no further large one may be made. */
struct crow_body *crow_shelf_find(struct crow_shelf *shelf, const char *key, int64_t now_ns,
				  bool *full);
/* Keeps a body (NULL is none) that was made between start_ns and now_ns, if it is large. */
void crow_shelf_keep(struct crow_shelf *shelf, const char *key, struct crow_body *body,
		     int64_t start_ns, int64_t now_ns);
/* Lets go of what is past its time; to be called now and then. */
void crow_shelf_sweep(struct crow_shelf *shelf, int64_t now_ns);
void crow_shelf_fini(struct crow_shelf *shelf); /* bodies that others hold must be gone before it */

#endif
