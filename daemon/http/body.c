#include "daemon/http/body.h"

#include <stdlib.h>
#include <string.h>

/* As daemon/publisher.c: making must not take more than a twentieth of the main thread. */
#define MAKING_TIMES 20
/* Times what all that are kept took: when each of them is made again as soon as it may be, all of
 * them together take a fifth. */
#define MAKING_TIMES_ALL 5

struct crow_body *crow_body_new(char *bytes, size_t size)
{
	struct crow_body *body = malloc(sizeof(*body));

	if (body)
		*body = (struct crow_body){.bytes = bytes, .size = size, .users = 1};
	return body;
}

struct crow_body *crow_body_copy(const char *text)
{
	char *bytes = strdup(text);
	struct crow_body *body = bytes ? crow_body_new(bytes, strlen(bytes)) : NULL;

	if (!body)
		free(bytes);
	return body;
}

struct crow_body *crow_body_ref(struct crow_body *body)
{
	body->users++;
	return body;
}

void crow_body_unref(struct crow_body *body)
{
	if (!body || --body->users > 0)
		return;
	if (body->shelf)
		body->shelf->bytes -= body->size;
	free(body->bytes);
	free(body);
}

/* ---- the shelf ---- */

struct crow_shelf_slot {
	struct crow_shelf_slot *next;
	struct crow_body *body;
	int64_t until_ns, took_ns;
	char key[];
};

void crow_shelf_init(struct crow_shelf *shelf)
{
	*shelf = (struct crow_shelf){.kept_max = CROW_SHELF_KEPT_MAX};
}

struct crow_body *crow_shelf_find(struct crow_shelf *shelf, const char *key, int64_t now_ns)
{
	crow_shelf_sweep(shelf, now_ns);
	for (struct crow_shelf_slot *slot = shelf->slots; slot; slot = slot->next)
		if (strcmp(slot->key, key) == 0)
			return crow_body_ref(slot->body);
	return NULL;
}

bool crow_shelf_is_full(const struct crow_shelf *shelf)
{
	return shelf->kept >= shelf->kept_max;
}

static void put(struct crow_shelf *shelf, struct crow_shelf_slot *slot)
{
	shelf->kept += slot->body->size;
	shelf->took_ns += slot->took_ns;
	slot->body->kept = true;
	slot->next = shelf->slots;
	shelf->slots = slot;
}

static int64_t keeping_ns(const struct crow_shelf *shelf, int64_t took_ns)
{
	int64_t own_ns = took_ns * MAKING_TIMES, all_ns = shelf->took_ns * MAKING_TIMES_ALL;

	return own_ns > all_ns ? own_ns : all_ns;
}

void crow_shelf_keep(struct crow_shelf *shelf, const char *key, struct crow_body *body,
		     int64_t start_ns, int64_t now_ns)
{
	struct crow_shelf_slot *slot;

	if (!body || body->size < CROW_SHELF_LARGE)
		return;
	body->shelf = shelf;
	shelf->bytes += body->size;
	slot = crow_shelf_is_full(shelf) ? NULL : malloc(sizeof(*slot) + strlen(key) + 1);
	if (!slot)
		return;
	slot->body = crow_body_ref(body);
	slot->took_ns = now_ns - start_ns;
	strcpy(slot->key, key);
	put(shelf, slot);
	slot->until_ns = now_ns + keeping_ns(shelf, slot->took_ns);
}

/* Takes the slot that *at leads to out of the list. */
static void drop(struct crow_shelf *shelf, struct crow_shelf_slot **at)
{
	struct crow_shelf_slot *slot = *at;

	*at = slot->next;
	shelf->kept -= slot->body->size;
	shelf->took_ns -= slot->took_ns;
	slot->body->kept = false;
	crow_body_unref(slot->body);
	free(slot);
}

void crow_shelf_sweep(struct crow_shelf *shelf, int64_t now_ns)
{
	struct crow_shelf_slot **at = &shelf->slots;

	while (*at) {
		if ((*at)->until_ns <= now_ns)
			drop(shelf, at);
		else
			at = &(*at)->next;
	}
}

void crow_shelf_fini(struct crow_shelf *shelf)
{
	crow_shelf_sweep(shelf, INT64_MAX);
}
