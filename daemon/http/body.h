/*
 * The bytes of an answer, shared by all who send them and gone with the last. Main thread alone,
 * so that a plain count is enough.
 *
 * The shelf bounds what large answers cost: the status of 100,000 instances is 14 MB and takes
 * 100 ms to write. One that was made is handed out again until 20 times the time that making it
 * took has passed, and 5 times what all took that are kept then: so no number of askers costs more
 * than a twentieth of the main thread for one document, nor more than a fifth for ever another one.
 */
#ifndef CROW_BODY_H
#define CROW_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct crow_shelf;

struct crow_body {
	char *bytes; /* NUL-terminated behind size */
	size_t size;
	unsigned users;
	struct crow_shelf *shelf; /* which counts it, if it is large */
	bool kept;                /* by that shelf */
};

/* bytes are malloc'ed, with a NUL at bytes[size], and taken over unless it fails. NULL: no memory. */
struct crow_body *crow_body_new(char *bytes, size_t size);
struct crow_body *crow_body_copy(const char *text); /* NULL: no memory */
struct crow_body *crow_body_ref(struct crow_body *body);
void crow_body_unref(struct crow_body *body); /* NULL is none */

/* Smaller ones are cheaper to make than to explain why they are old. */
#define CROW_SHELF_LARGE ((size_t)262144)
/* Bytes that a shelf keeps, and one body more: of 100,000 instances the whole status, that of each
 * service and each page, 14 MB every time. */
#define CROW_SHELF_KEPT_MAX ((size_t)48 << 20)

struct crow_shelf_slot;
struct crow_shelf {
	size_t bytes;    /* of large bodies that exist: kept here, or held by readers */
	size_t kept;     /* bytes of those kept */
	size_t kept_max; /* see crow_shelf_is_full() */
	int64_t took_ns; /* to make those kept */
	struct crow_shelf_slot *slots;
};

void crow_shelf_init(struct crow_shelf *shelf);
/* What was asked by that key and may be handed out again, with a reference for the caller; NULL if
 * there is none. */
struct crow_body *crow_shelf_find(struct crow_shelf *shelf, const char *key, int64_t now_ns);
/* So much is kept that whatever is made is not: who asks for ever another one must wait. */
bool crow_shelf_is_full(const struct crow_shelf *shelf);
/* Keeps a body (NULL is none) that was made between start_ns and now_ns, if it is large, and if the
 * shelf is not full. */
void crow_shelf_keep(struct crow_shelf *shelf, const char *key, struct crow_body *body,
		     int64_t start_ns, int64_t now_ns);
/* Lets go of what is past its time; to be called now and then. */
void crow_shelf_sweep(struct crow_shelf *shelf, int64_t now_ns);
void crow_shelf_fini(struct crow_shelf *shelf); /* bodies that others hold must be gone before it */

#endif
