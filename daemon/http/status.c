/*
 * /api/v1/status: the one door through which json-c writes. docs/api.md describes the document.
 *
 * json-c takes its tree from malloc() and has no way to go on without memory: every value is made
 * by a helper that remembers a failure in `doc`, and the whole document is given up in the end.
 */
#include <json-c/json.h>
#include <json-c/printbuf.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/counters.h"
#include "daemon/http/http.h"
#include "resolver/utf8.h"

struct doc {
	const struct crow_image *img;
	const struct crow_table *table;
	int64_t now_ns;
	bool failed;
};

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

/* Both take value over, whatever happens; NULL is a value that could not be made. */
static void add(struct doc *doc, struct json_object *object, const char *key,
		struct json_object *value)
{
	/* Keys are literals and each is added once, so json-c neither copies nor looks for them. */
	const unsigned flags = JSON_C_OBJECT_ADD_KEY_IS_NEW | JSON_C_OBJECT_KEY_IS_CONSTANT;

	if (value && object && json_object_object_add_ex(object, key, value, flags) == 0)
		return;
	json_object_put(value);
	doc->failed = true;
}

static void append(struct doc *doc, struct json_object *array, struct json_object *value)
{
	if (value && array && json_object_array_add(array, value) == 0)
		return;
	json_object_put(value);
	doc->failed = true;
}

static void add_null(struct doc *doc, struct json_object *object, const char *key)
{
	if (!object || json_object_object_add(object, key, NULL) != 0)
		doc->failed = true;
}

static void add_string(struct doc *doc, struct json_object *object, const char *key,
		       const char *text)
{
	add(doc, object, key, new_string(text));
}

static void add_number(struct doc *doc, struct json_object *object, const char *key, uint64_t value)
{
	add(doc, object, key, json_object_new_uint64(value));
}

/* Whole seconds from then to now; null if it never was. */
static void add_seconds(struct doc *doc, struct json_object *object, const char *key, bool ever,
			int64_t since_ns)
{
	int64_t seconds = (doc->now_ns - since_ns) / 1000000000;

	if (ever)
		add_number(doc, object, key, seconds > 0 ? (uint64_t)seconds : 0);
	else
		add_null(doc, object, key);
}

/* ---- a service ---- */

static void add_endpoint(struct doc *doc, struct json_object *object, const struct crow_addr *addr,
			 uint16_t port)
{
	char address[CROW_ENDPOINT_TEXT];

	crow_addr_format(addr, 0, address);
	add_string(doc, object, "address", address);
	add_number(doc, object, "port", port);
}

static const char *state_name(uint8_t state)
{
	switch (state) {
	case CROW_STATE_UP:
		return "up";
	case CROW_STATE_DRAINED:
		return "drained";
	default:
		return "ejected";
	}
}

static struct json_object *new_instance(struct doc *doc, const struct crow_snap_instance *instance)
{
	struct json_object *object = json_object_new_object();

	add_endpoint(doc, object, &instance->addr, instance->port);
	add_number(doc, object, "weight", instance->weight);
	add_string(doc, object, "state", state_name(instance->state));
	add_string(doc, object, "app", crow_image_string(doc->img, instance->app));
	return object;
}

/* What the array of a service's instances is written from. */
struct slice {
	struct doc *doc;
	const struct crow_snap_service *service;
};

static void write_text(struct doc *doc, struct printbuf *out, const char *text, size_t length)
{
	if (!text || printbuf_memappend(out, text, (int)length) < 0)
		doc->failed = true;
}

static int write_instances(struct json_object *array, struct printbuf *out, int level, int flags)
{
	const struct slice *slice = json_object_get_userdata(array);
	struct doc *doc = slice->doc;

	(void)level;
	write_text(doc, out, "[", 1);
	for (uint32_t i = 0; i < slice->service->count && !doc->failed; i++) {
		struct json_object *object =
			new_instance(doc, crow_image_instance(doc->img, slice->service->first + i));
		size_t length = 0;
		const char *text = json_object_to_json_string_length(object, flags, &length);

		write_text(doc, out, ",", i > 0);
		write_text(doc, out, text, length);
		json_object_put(object);
	}
	write_text(doc, out, "]", 1);
	return doc->failed ? -1 : 0;
}

static void free_slice(struct json_object *array, void *slice)
{
	(void)array;
	free(slice);
}

/* A hundred thousand instances as a tree would take 120 MB: each is made when it is written. */
static struct json_object *new_instances(struct doc *doc, const struct crow_snap_service *service)
{
	struct json_object *array = json_object_new_array();
	struct slice *slice = malloc(sizeof(*slice));

	if (!array || !slice) {
		json_object_put(array);
		free(slice);
		return NULL;
	}
	*slice = (struct slice){doc, service};
	json_object_set_serializer(array, write_instances, slice, free_slice);
	return array;
}

static struct json_object *new_tombstones(struct doc *doc, const struct crow_service *service)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < service->tombstone_count && !doc->failed; i++) {
		struct json_object *object = json_object_new_object();

		add_endpoint(doc, object, &service->tombstones[i].addr,
			     service->tombstones[i].port);
		append(doc, array, object);
	}
	return array;
}

static struct json_object *new_poll(struct doc *doc, const struct crow_service *service)
{
	struct json_object *object = json_object_new_object();

	add_string(doc, object, "outcome", crow_poll_stroutcome(service->outcome));
	add_string(doc, object, "detail", service->detail);
	add_seconds(doc, object, "ended_s_ago", service->polled_ns != 0, service->polled_ns);
	add_seconds(doc, object, "failing_s", service->failing_ns != 0, service->failing_ns);
	add_number(doc, object, "dropped", service->tally.dropped);
	add_number(doc, object, "outside", service->tally.outside);
	add_number(doc, object, "merged", service->tally.merged);
	add_number(doc, object, "clamped", service->tally.clamped);
	return object;
}

static const char *zone_name(const struct crow_image *img, const struct crow_snap_service *service)
{
	if (service->zone >= img->header->zones.count)
		return "";
	return crow_image_string(img, img->zones[service->zone].name);
}

static struct json_object *new_service(struct doc *doc, const struct crow_snap_service *service)
{
	struct json_object *object = json_object_new_object();
	const char *name = crow_image_string(doc->img, service->name);
	/* The image lags behind the table by a few milliseconds, and by a reload. */
	const struct crow_service *polled = crow_table_find(doc->table, name);

	add_string(doc, object, "name", name);
	add_string(doc, object, "source", crow_image_string(doc->img, service->source));
	add_string(doc, object, "zone", zone_name(doc->img, service));
	add_number(doc, object, "port", service->port);
	add_number(doc, object, "attempt_timeout_ms", service->attempt_timeout_ms);
	add(doc, object, "stale", json_object_new_boolean(service->flags & CROW_SERVICE_STALE));
	add_seconds(doc, object, "list_age_s", service->taken_wall_s != 0, service->taken_boot_ns);
	add(doc, object, "instances", new_instances(doc, service));
	if (polled) {
		add(doc, object, "tombstones", new_tombstones(doc, polled));
		add(doc, object, "poll", new_poll(doc, polled));
	} else {
		add(doc, object, "tombstones", json_object_new_array());
		add_null(doc, object, "poll");
	}
	return object;
}

/* ---- the document ---- */

static struct json_object *new_services(struct doc *doc)
{
	struct json_object *array = json_object_new_array();

	for (uint32_t i = 0; i < crow_image_service_count(doc->img) && !doc->failed; i++)
		append(doc, array, new_service(doc, crow_image_service(doc->img, i)));
	return array;
}

static struct json_object *new_denied(struct doc *doc)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < doc->table->denial_count; i++)
		append(doc, array, new_string(doc->table->denials[i].name));
	return array;
}

static struct json_object *new_counters(struct doc *doc)
{
	struct json_object *object = json_object_new_object();
	struct crow_counter_value counter;

	for (size_t i = 0; crow_counter_get(i, &counter); i++)
		add_number(doc, object, counter.name, counter.value);
	return object;
}

static struct json_object *new_document(struct doc *doc)
{
	struct json_object *object = json_object_new_object();
	const struct crow_snap_header *header = doc->img->header;

	add_string(doc, object, "version", CROW_VERSION);
	add_number(doc, object, "pid", (uint64_t)getpid());
	add_number(doc, object, "generation", header ? header->generation : 0);
	add_seconds(doc, object, "built_s_ago", header != NULL, header ? header->built_boot_ns : 0);
	add(doc, object, "services", new_services(doc));
	add(doc, object, "denied", new_denied(doc));
	add(doc, object, "counters", new_counters(doc));
	return object;
}

/* The text, ended by a newline so that a shell's prompt stands below it. */
static char *copy_text(const char *text, size_t length, size_t *size)
{
	char *copy = malloc(length + 2);

	if (!copy)
		return NULL;
	memcpy(copy, text, length);
	memcpy(copy + length, "\n", 2);
	*size = length + 1;
	return copy;
}

char *crow_status_json(const struct crow_image *img, const struct crow_table *table, int64_t now_ns,
		       size_t *size)
{
	const int flags = JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE;
	struct doc doc = {.img = img, .table = table, .now_ns = now_ns};
	struct json_object *object = new_document(&doc);
	const char *text = NULL;
	char *copy = NULL;
	size_t length = 0;

	if (!doc.failed)
		text = json_object_to_json_string_length(object, flags, &length);
	if (text && !doc.failed) /* writing makes the instances */
		copy = copy_text(text, length, size);
	json_object_put(object);
	return copy;
}
