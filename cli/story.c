#include "cli/story.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/get.h"

/* The document's arrays have the order of the snapshot, so a search begins where the last ended. */
struct crow_story {
	struct json_object *root;
	struct json_object *services;
	size_t next_service;
	struct json_object *instances; /* of the service looked at last */
	size_t next_instance;
};

/* ---- members that may be missing or of another kind ---- */

static struct json_object *member(struct json_object *object, const char *key)
{
	struct json_object *value = NULL;

	if (json_object_is_type(object, json_type_object))
		json_object_object_get_ex(object, key, &value);
	return value;
}

static struct json_object *array_member(struct json_object *object, const char *key)
{
	struct json_object *value = member(object, key);

	return json_object_is_type(value, json_type_array) ? value : NULL;
}

static const char *text_member(struct json_object *object, const char *key)
{
	struct json_object *value = member(object, key);

	return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";
}

static int64_t number_member(struct json_object *object, const char *key)
{
	struct json_object *value = member(object, key);

	return json_object_is_type(value, json_type_int) ? json_object_get_int64(value) : -1;
}

/* ---- loading ---- */

/* All but what a URL may hold as it is (RFC 3986 2.3). NULL without memory. */
static char *make_path(const char *service)
{
	static const char path[] = "/api/v1/status";
	char *out =
		malloc(sizeof(path) + strlen("?service=") + 3 * (service ? strlen(service) : 0));
	char *at = out;

	if (!out)
		return NULL;
	at += sprintf(at, "%s", path);
	if (service)
		at += sprintf(at, "?service=");
	for (; service && *service; service++) {
		unsigned char c = (unsigned char)*service;

		if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		    strchr("-._~", c))
			at += sprintf(at, "%c", c);
		else
			at += sprintf(at, "%%%02X", c);
	}
	return out;
}

/* From the first of the daemon's addresses that answers. */
static char *get_document(const struct crow_image *img, const char *service)
{
	struct crow_face faces[CROW_FACES_MAX];
	size_t count = crow_face_get(img, "http", faces);
	char *path = count > 0 ? make_path(service) : NULL;
	char *text = NULL;

	for (size_t i = 0; path && !text && i < count; i++)
		text = crow_get(&faces[i], path);
	free(path);
	return text;
}

struct crow_story *crow_story_load(const struct crow_image *img, const char *service)
{
	char *text = get_document(img, service);
	struct json_object *root = text ? json_tokener_parse(text) : NULL;
	struct crow_story *story = root ? calloc(1, sizeof(*story)) : NULL;

	free(text);
	if (!story) {
		json_object_put(root);
		return NULL;
	}
	story->root = root;
	story->services = array_member(root, "services");
	return story;
}

void crow_story_free(struct crow_story *story)
{
	if (!story)
		return;
	json_object_put(story->root);
	free(story);
}

/* ---- asking ---- */

static struct json_object *find_service(struct crow_story *story, const char *name)
{
	size_t count = story && story->services ? json_object_array_length(story->services) : 0;

	for (size_t i = 0; i < count; i++) {
		size_t at = (story->next_service + i) % count;
		struct json_object *service = json_object_array_get_idx(story->services, at);

		if (strcmp(text_member(service, "name"), name) == 0) {
			story->next_service = at;
			return service;
		}
	}
	return NULL;
}

static struct json_object *find_instance(struct crow_story *story, struct json_object *service,
					 const struct crow_addr *addr, uint16_t port)
{
	struct json_object *instances = array_member(service, "instances");
	size_t count = instances ? json_object_array_length(instances) : 0;
	char address[CROW_ENDPOINT_TEXT];

	crow_addr_format(addr, 0, address);
	if (story && instances != story->instances) {
		story->instances = instances;
		story->next_instance = 0;
	}
	for (size_t i = 0; i < count; i++) {
		size_t at = (story->next_instance + i) % count;
		struct json_object *instance = json_object_array_get_idx(instances, at);

		if (number_member(instance, "port") == port &&
		    strcmp(text_member(instance, "address"), address) == 0) {
			story->next_instance = at + 1;
			return instance;
		}
	}
	return NULL;
}

bool crow_story_image(const struct crow_story *story, int64_t *pid, int64_t *generation)
{
	struct json_object *root = story ? story->root : NULL;

	*pid = number_member(root, "pid");
	*generation = number_member(root, "generation");
	return *pid > 0 && *generation > 0;
}

void crow_story_service(struct crow_story *story, const char *name, struct crow_story_service *out)
{
	struct json_object *poll = member(find_service(story, name), "poll");

	out->outcome = text_member(poll, "outcome");
	out->detail = text_member(poll, "detail");
	out->polled_s = number_member(poll, "ended_s_ago");
}

void crow_story_instance(struct crow_story *story, const char *name, const struct crow_addr *addr,
			 uint16_t port, struct crow_story_instance *out)
{
	struct json_object *service = find_service(story, name);
	struct json_object *instance = find_instance(story, service, addr, port);

	out->given = number_member(instance, "given");
	out->given_of = number_member(service, "given");
	out->health = text_member(instance, "health");
	out->since_s = number_member(instance, "since_s");
	out->why = text_member(instance, "why");
}
