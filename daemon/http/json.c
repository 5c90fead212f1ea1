#include "daemon/http/json.h"

#include <json-c/json.h>
#include <json-c/printbuf.h>
#include <stdlib.h>
#include <string.h>

#include "resolver/utf8.h"

/* ---- values ---- */

static bool is_utf8(const char *text)
{
	size_t length;

	while ((length = crow_utf8_length(text)) > 0)
		text += length;
	return *text == '\0';
}

/* json-c copies bytes as they are, so that a label that is not UTF-8 would make the document
 * something that is not JSON. Each such byte becomes U+FFFD. */
static char *to_utf8(const char *text)
{
	static const char replacement[] = "\xef\xbf\xbd";
	char *out = malloc(3 * strlen(text) + 1), *end = out;

	while (out && *text) {
		size_t length = crow_utf8_length(text);

		memcpy(end, length ? text : replacement, length ? length : 3);
		end += length ? length : 3;
		text += length ? length : 1;
	}
	if (out)
		*end = '\0';
	return out;
}

static struct json_object *new_string(const char *text)
{
	struct json_object *value;
	char *clean;

	if (is_utf8(text))
		return json_object_new_string(text);
	clean = to_utf8(text);
	value = clean ? json_object_new_string(clean) : NULL;
	free(clean);
	return value;
}

static struct json_object *made(struct crow_json *json, struct json_object *value)
{
	json->failed |= !value;
	return value;
}

struct json_object *crow_json_object(struct crow_json *json)
{
	return made(json, json_object_new_object());
}

struct json_object *crow_json_array(struct crow_json *json)
{
	return made(json, json_object_new_array());
}

/* ---- adding ---- */

void crow_json_add(struct crow_json *json, struct json_object *object, const char *key,
		   struct json_object *value)
{
	/* Keys are literals and each is added once, so json-c neither copies nor looks for them. */
	const unsigned flags = JSON_C_OBJECT_ADD_KEY_IS_NEW | JSON_C_OBJECT_KEY_IS_CONSTANT;

	if (value && object && json_object_object_add_ex(object, key, value, flags) == 0)
		return;
	json_object_put(value);
	json->failed = true;
}

void crow_json_add_null(struct crow_json *json, struct json_object *object, const char *key)
{
	if (!object || json_object_object_add(object, key, NULL) != 0)
		json->failed = true;
}

void crow_json_add_bool(struct crow_json *json, struct json_object *object, const char *key,
			bool value)
{
	crow_json_add(json, object, key, json_object_new_boolean(value));
}

void crow_json_add_number(struct crow_json *json, struct json_object *object, const char *key,
			  uint64_t value)
{
	crow_json_add(json, object, key, json_object_new_uint64(value));
}

void crow_json_add_string(struct crow_json *json, struct json_object *object, const char *key,
			  const char *text)
{
	crow_json_add(json, object, key, new_string(text));
}

void crow_json_add_age(struct crow_json *json, struct json_object *object, const char *key,
		       bool ever, int64_t since_ns)
{
	int64_t seconds = (json->now_ns - since_ns) / 1000000000;

	if (ever)
		crow_json_add_number(json, object, key, seconds > 0 ? (uint64_t)seconds : 0);
	else
		crow_json_add_null(json, object, key);
}

void crow_json_append(struct crow_json *json, struct json_object *array, struct json_object *value)
{
	if (value && array && json_object_array_add(array, value) == 0)
		return;
	json_object_put(value);
	json->failed = true;
}

void crow_json_append_string(struct crow_json *json, struct json_object *array, const char *text)
{
	crow_json_append(json, array, new_string(text));
}

/* ---- arrays made while they are written ---- */

struct lazy {
	struct crow_json *json;
	size_t count;
	struct json_object *(*element)(const void *context, size_t i);
	_Alignas(16) char context[];
};

static void write_text(struct crow_json *json, struct printbuf *out, const char *text,
		       size_t length)
{
	if (!text || printbuf_memappend(out, text, (int)length) < 0)
		json->failed = true;
}

static int write_lazy(struct json_object *array, struct printbuf *out, int level, int flags)
{
	const struct lazy *lazy = json_object_get_userdata(array);
	struct crow_json *json = lazy->json;

	(void)level;
	write_text(json, out, "[", 1);
	for (size_t i = 0; i < lazy->count && !json->failed; i++) {
		struct json_object *object = lazy->element(lazy->context, i);
		size_t length = 0;
		const char *text = json_object_to_json_string_length(object, flags, &length);

		write_text(json, out, ",", i > 0);
		write_text(json, out, text, length);
		json_object_put(object);
	}
	write_text(json, out, "]", 1);
	return json->failed ? -1 : 0;
}

static void free_lazy(struct json_object *array, void *lazy)
{
	(void)array;
	free(lazy);
}

struct json_object *crow_json_lazy(struct crow_json *json, size_t count,
				   struct json_object *(*element)(const void *context, size_t i),
				   const void *context, size_t context_size)
{
	struct json_object *array = json_object_new_array();
	struct lazy *lazy = malloc(sizeof(*lazy) + context_size);

	if (!array || !lazy) {
		json_object_put(array);
		free(lazy);
		return made(json, NULL);
	}
	*lazy = (struct lazy){.json = json, .count = count, .element = element};
	memcpy(lazy->context, context, context_size);
	json_object_set_serializer(array, write_lazy, lazy, free_lazy);
	return array;
}

/* ---- the end ---- */

static struct crow_body *copy(const char *text, size_t length)
{
	char *bytes = malloc(length + 2);
	struct crow_body *body;

	if (!bytes)
		return NULL;
	memcpy(bytes, text, length);
	memcpy(bytes + length, "\n", 2);
	body = crow_body_new(bytes, length + 1);
	if (!body)
		free(bytes);
	return body;
}

struct crow_body *crow_json_finish(struct crow_json *json, struct json_object *root)
{
	const int flags = JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE;
	struct crow_body *body = NULL;
	const char *text = NULL;
	size_t length = 0;

	if (!json->failed)
		text = json_object_to_json_string_length(root, flags, &length);
	if (text && !json->failed) /* writing makes elements */
		body = copy(text, length);
	json_object_put(root);
	return body;
}
