#include "daemon/http/mirror.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/http/json.h"

bool crow_mirror_is_name(const char *name)
{
	static const char characters[] = "abcdefghijklmnopqrstuvwxyz"
					 "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
					 "0123456789._-";
	size_t length = strspn(name, characters);

	return length > 0 && length <= CROW_NAME_MAX && name[length] == '\0' && name[0] != '.';
}

/* ---- who is shown ---- */

static const struct crow_snap_instance *
instance_at(const struct crow_view *view, const struct crow_view_service *service, uint32_t i)
{
	return crow_image_instance(view->img, service->snap->first + i);
}

static void show(struct crow_mirror *mirror, const struct crow_view_service *service, uint32_t i)
{
	mirror->instances[mirror->count++] = service->snap->first + i;
}

/* Those that are picked, which stand first; then as many of the ejected as make it half of both.
 * Never the drained; a list of nothing else is no list (daemon/list.h). */
static void select_instances(struct crow_mirror *mirror, const struct crow_view *view,
			     const struct crow_view_service *service)
{
	size_t least = (service->up + service->ejected + 1) / 2;

	for (uint32_t i = 0; i < service->up; i++)
		show(mirror, service, i);
	for (uint32_t i = service->up; i < service->snap->count && mirror->count < least; i++)
		if (instance_at(view, service, i)->state == CROW_STATE_EJECTED)
			show(mirror, service, i);
}

/* Added up, so that the order has no part in it. */
static uint64_t hash_instance(const struct crow_view *view, uint32_t index)
{
	const struct crow_snap_instance *instance = crow_image_instance(view->img, index);
	const char *app = crow_image_string(view->img, instance->app);
	const uint64_t words[] = {
		crow_addr_hash(&instance->addr),
		instance->port,
		instance->weight,
		crow_name_hash(app, strlen(app)),
	};

	return crow_name_hash((const char *)words, sizeof(words));
}

bool crow_mirror_init(struct crow_mirror *mirror, const struct crow_view *view,
		      const struct crow_view_service *service)
{
	uint64_t sum = 0;

	*mirror = (struct crow_mirror){.instances = calloc(service->snap->count, sizeof(uint32_t))};
	if (!mirror->instances)
		return false;
	select_instances(mirror, view, service);
	for (size_t i = 0; i < mirror->count; i++)
		sum += hash_instance(view, mirror->instances[i]);
	snprintf(mirror->etag, sizeof(mirror->etag), "W/\"%016" PRIx64 "\"", sum);
	return true;
}

void crow_mirror_fini(struct crow_mirror *mirror)
{
	free(mirror->instances);
}

/* ---- what the asker has ---- */

static const char *skip_blanks(const char *at)
{
	return at + strspn(at, " \t");
}

/* Of an opaque-tag with its quotes (RFC 9110 8.8.3), 0 if it is none. What may stand between them is
 * all but controls, the blank and the quote. */
static size_t tag_length(const char *at)
{
	const char *end = at + 1;

	if (*at != '"')
		return 0;
	while ((unsigned char)*end > ' ' && *end != '"' && *end != '\x7f')
		end++;
	return *end == '"' ? (size_t)(end - at) + 1 : 0;
}

/* RFC 9110 13.1.2: "*", or a list of tags, in which empty elements are to be ignored (5.6.1.2). They
 * are compared weakly: with W/ and without it are equal. What is no such value names nothing, and
 * the asker gets the list. */
bool crow_mirror_is_known(const struct crow_mirror *mirror, const char *if_none_match)
{
	const char *own = strchr(mirror->etag, '"');
	const char *at = skip_blanks(if_none_match ? if_none_match : "");
	bool known = false;

	if (*at == '*')
		return *skip_blanks(at + 1) == '\0';
	for (;; at = skip_blanks(at + 1)) {
		if (*at != ',' && *at != '\0') {
			size_t length;

			at += strncmp(at, "W/", 2) == 0 ? 2 : 0;
			length = tag_length(at);
			if (length == 0)
				return false;
			known |= length == strlen(own) && memcmp(at, own, length) == 0;
			at = skip_blanks(at + length);
		}
		if (*at != ',')
			return *at == '\0' && known;
	}
}

/* ---- the document ---- */

struct items {
	struct crow_json *json;
	const struct crow_mirror *mirror;
	const struct crow_view *view;
	size_t first;
};

static struct json_object *new_item(const void *context, size_t i)
{
	const struct items *items = context;
	const struct crow_image *img = items->view->img;
	size_t at = (items->first + i) % items->mirror->count;
	const struct crow_snap_instance *instance =
		crow_image_instance(img, items->mirror->instances[at]);
	struct json_object *object = crow_json_object(items->json);
	char address[CROW_ENDPOINT_TEXT];

	crow_addr_format(&instance->addr, 0, address);
	crow_json_add_string(items->json, object, "app", crow_image_string(img, instance->app));
	crow_json_add_string(items->json, object, "ip", address);
	crow_json_add_number(items->json, object, "port", instance->port);
	crow_json_add_number(items->json, object, "weight", instance->weight);
	return object;
}

struct crow_body *crow_mirror_render(const struct crow_mirror *mirror, const struct crow_view *view,
				     const struct crow_view_service *service, uint64_t turn)
{
	struct crow_json json = {.now_ns = view->now_ns};
	const struct items items = {&json, mirror, view, (size_t)(turn % mirror->count)};
	struct json_object *root = crow_json_object(&json);
	struct json_object *names = crow_json_array(&json), *endpoints = crow_json_object(&json);

	crow_json_append_string(&json, names, service->name);
	crow_json_add(&json, endpoints, "items",
		      crow_json_lazy(&json, mirror->count, new_item, &items, sizeof(items)));
	crow_json_add(&json, root, "correlative", names);
	crow_json_add(&json, root, "endpoints", endpoints);
	return crow_json_finish(&json, root);
}
