#include "daemon/http/body.h"

#include <stdlib.h>
#include <string.h>

/* As daemon/publisher.c: making must not take more than a twentieth of the main thread. */
#define MAKING_TIMES 20

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
	if (body->large)
		--*body->large;
	free(body->bytes);
	free(body);
}

/* ---- the shelf ---- */

static void clear(struct crow_shelf_slot *slot)
{
	crow_body_unref(slot->body);
	memset(slot, 0, sizeof(*slot));
}

struct crow_body *crow_shelf_find(struct crow_shelf *shelf, const char *key, int64_t now_ns,
				  bool *full)
{
	crow_shelf_sweep(shelf, now_ns);
	for (size_t i = 0; i < CROW_SHELF_BODIES; i++) {
		struct crow_shelf_slot *slot = &shelf->slots[i];

		if (slot->body && strcmp(slot->key, key) == 0)
			return crow_body_ref(slot->body);
	}
	*full = shelf->large >= CROW_SHELF_BODIES;
	return NULL;
}

/* There is a free one: at most CROW_SHELF_BODIES exist, and `body` is one that has none yet. */
static struct crow_shelf_slot *free_slot(struct crow_shelf *shelf)
{
	struct crow_shelf_slot *slot = shelf->slots;

	while (slot->body)
		slot++;
	return slot;
}

void crow_shelf_keep(struct crow_shelf *shelf, const char *key, struct crow_body *body,
		     int64_t start_ns, int64_t now_ns)
{
	struct crow_shelf_slot *slot;

	if (!body || body->size < CROW_SHELF_LARGE)
		return;
	body->large = &shelf->large;
	shelf->large++;
	if (strlen(key) >= CROW_SHELF_KEY || shelf->large > CROW_SHELF_BODIES)
		return;
	slot = free_slot(shelf);
	strcpy(slot->key, key);
	slot->body = crow_body_ref(body);
	slot->until_ns = now_ns + (now_ns - start_ns) * MAKING_TIMES;
}

void crow_shelf_sweep(struct crow_shelf *shelf, int64_t now_ns)
{
	for (size_t i = 0; i < CROW_SHELF_BODIES; i++)
		if (shelf->slots[i].body && shelf->slots[i].until_ns <= now_ns)
			clear(&shelf->slots[i]);
}

void crow_shelf_fini(struct crow_shelf *shelf)
{
	for (size_t i = 0; i < CROW_SHELF_BODIES; i++)
		clear(&shelf->slots[i]);
}
