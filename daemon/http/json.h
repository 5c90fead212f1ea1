/*
 * The one door through which json-c writes. It takes its tree from malloc() and has no way to go
 * on without memory: each of these remembers a failure in the document, which is given up in the
 * end, and takes NULL where an earlier one failed.
 */
#ifndef CROW_JSON_WRITE_H
#define CROW_JSON_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/http/body.h"

struct json_object; /* json-c's */

struct crow_json {
	bool failed;
	int64_t now_ns; /* for ages */
};

struct json_object *crow_json_object(struct crow_json *json);
struct json_object *crow_json_array(struct crow_json *json);
/* An array whose elements are made by element(context, i) when it is written, one at a time: a
 * hundred thousand instances as a tree would take 120 MB. context_size bytes are copied. */
struct json_object *crow_json_lazy(struct crow_json *json, size_t count,
				   struct json_object *(*element)(const void *context, size_t i),
				   const void *context, size_t context_size);

/* Keys are literals, each added once. Values are taken over. */
void crow_json_add(struct crow_json *json, struct json_object *object, const char *key,
		   struct json_object *value);
void crow_json_add_null(struct crow_json *json, struct json_object *object, const char *key);
void crow_json_add_bool(struct crow_json *json, struct json_object *object, const char *key,
			bool value);
void crow_json_add_number(struct crow_json *json, struct json_object *object, const char *key,
			  uint64_t value);
/* Bytes that are not UTF-8 become U+FFFD. */
void crow_json_add_string(struct crow_json *json, struct json_object *object, const char *key,
			  const char *text);
/* Whole seconds from then to now; null if it never was. */
void crow_json_add_age(struct crow_json *json, struct json_object *object, const char *key,
		       bool ever, int64_t since_ns);

void crow_json_append(struct crow_json *json, struct json_object *array, struct json_object *value);
void crow_json_append_string(struct crow_json *json, struct json_object *array, const char *text);

/* The text of a tree, which is taken over, ended by a newline so that a shell's prompt stands below
 * it. NULL: no memory. */
struct crow_body *crow_json_finish(struct crow_json *json, struct json_object *root);

#endif
