/*
 * Reading the platform's JSON: the one door through which json-c reads. The body is foreign and up
 * to 32 MiB long, so what a tree of it may cost is settled before json-c sees it.
 */
#include <json-c/json.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/list.h"

/* What discovery takes of an answer at most, decoded. */
#define BODY_MAX ((size_t)32 << 20)

/* The real nesting is 4; json-c's own default is 32. */
#define DEPTH_MAX 32

/*
 * What json-c 0.16 allocates on a 64-bit host, malloc's headers included: an object 48 bytes, its
 * table 80 and 16 entries of 40 in it; an array 48, its list 48 and 32 places of 8; a value 64 and
 * its key 32, and, in an object of very many, an entry of 40 in a table that is at most two thirds
 * full and doubles, so that the old and the new one are there at once: 40 * 3 * 3/2.
 */
#define OBJECT_COST ((size_t)48 + 80 + 656)
#define ARRAY_COST  ((size_t)48 + 48 + 272)
#define VALUE_COST  ((size_t)64 + 32 + 180)

/* CROW_LIST_MAX items of four fields, and a quarter for other fields: 676 MiB by this worst-case
 * account (the largest list took 330 MB in truth). Without it 32 MiB of `{},{},` become 8 GB. */
#define TREE_MAX (CROW_LIST_MAX * (OBJECT_COST + 5 * VALUE_COST) / 4 * 5)

/* A tree above this is worth giving back to the system at once (malloc would keep it for reuse). */
#define TREE_LARGE ((size_t)16 << 20)

/* The most that a tree of this text can cost. Strings end here where they end for the tokener:
 * in strict mode it knows neither comments nor single quotes. */
static size_t tree_cost(const char *json, size_t size)
{
	size_t cost = VALUE_COST + size; /* the text of all strings and keys */
	bool quoted = false;

	for (size_t i = 0; i < size; i++) {
		char c = json[i];

		if (c == '"')
			quoted = !quoted;
		else if (quoted)
			i += c == '\\';
		else if (c == '{')
			cost += OBJECT_COST + VALUE_COST;
		else if (c == '[')
			cost += ARRAY_COST + VALUE_COST;
		else if (c == ',')
			cost += VALUE_COST;
	}
	return cost;
}

/* Without memory, json-c 0.16 leaves out what it cannot insert, or stumbles over a key that it could
 * not copy (its pull request 759 mended that for 0.17), and an item without its port is not what
 * discovery sent. So there must be memory for all of the tree before json-c begins. */
static bool have_memory(size_t cost)
{
	void *volatile probe =
		malloc(cost); /* volatile: or gcc drops the pair and assumes success */

	free(probe);
	return probe != NULL;
}

static void complain(struct crow_list_tally *tally, const char *why, size_t at)
{
	snprintf(tally->example, sizeof(tally->example), "%s at byte %zu", why, at);
}

static enum crow_list_verdict parse(const char *json, size_t size, struct crow_list_tally *tally,
				    json_object **root)
{
	json_tokener *tokener = json_tokener_new_ex(DEPTH_MAX);
	enum json_tokener_error error;
	size_t end;

	if (!tokener)
		return CROW_LIST_NO_MEMORY;
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
	*root = json_tokener_parse_ex(tokener, json, (int)size);
	error = json_tokener_get_error(tokener);
	end = json_tokener_get_parse_end(tokener);
	json_tokener_free(tokener);

	if (error == json_tokener_success && end == size && *root)
		return CROW_LIST_OK;
	/* A cut text is read to its end; who stops before it without an error had no memory. */
	if (error == json_tokener_continue && end < size)
		return CROW_LIST_NO_MEMORY;
	if (error == json_tokener_continue)
		complain(tally, "the text ends too early", size);
	else if (error == json_tokener_success)
		complain(tally, "no object, or more than one,", end);
	else
		complain(tally, json_tokener_error_desc(error), end);
	return CROW_LIST_MALFORMED;
}

/* The text of a string; NULL if it is none, or if a NUL in it (\u0000) hides a part. */
static const char *plain_string(json_object *value)
{
	const char *text;

	if (!json_object_is_type(value, json_type_string))
		return NULL;
	text = json_object_get_string(value);
	return strlen(text) == (size_t)json_object_get_string_len(value) ? text : NULL;
}

static bool is_number(json_object *value)
{
	return json_object_is_type(value, json_type_int) ||
	       json_object_is_type(value, json_type_double);
}

static const char *type_name(json_object *value)
{
	return json_type_to_name(json_object_get_type(value));
}

/* False: no memory. A missing field reads as null, which is of no type that is wanted. */
static bool add_item(struct crow_list *list, json_object *item, const struct crow_cidrs *accept,
		     struct crow_list_tally *tally)
{
	json_object *ip = NULL, *port = NULL, *weight = NULL, *app = NULL;

	if (!json_object_is_type(item, json_type_object)) {
		crow_list_drop(tally, "%s instead of an object", type_name(item));
		return true;
	}
	json_object_object_get_ex(item, "ip", &ip);
	json_object_object_get_ex(item, "port", &port);
	json_object_object_get_ex(item, "weight", &weight);
	json_object_object_get_ex(item, "app", &app);
	if (!plain_string(ip)) {
		crow_list_drop(tally, "ip is %s, no text", type_name(ip));
		return true;
	}
	if (!json_object_is_type(port, json_type_int)) {
		crow_list_drop(tally, "port is %s, no whole number", type_name(port));
		return true;
	}
	if (!is_number(weight)) {
		crow_list_drop(tally, "weight is %s, no number", type_name(weight));
		return true;
	}
	return crow_list_add(list, accept, plain_string(ip), json_object_get_int64(port),
			     json_object_get_double(weight), plain_string(app), tally);
}

static enum crow_list_verdict add_items(struct crow_list *list, json_object *items,
					const struct crow_cidrs *accept,
					struct crow_list_tally *tally)
{
	size_t count = json_object_array_length(items);

	tally->seen = 0;
	if (count > CROW_LIST_MAX)
		return CROW_LIST_OVERSIZE;
	for (size_t i = 0; i < count; i++) {
		if (!add_item(list, json_object_array_get_idx(items, i), accept, tally))
			return CROW_LIST_NO_MEMORY;
	}
	return crow_list_finish(list, tally);
}

/* Go's encoder writes a list that was never filled as null: there, null is no items. */
static enum crow_list_verdict add_root(struct crow_list *list, json_object *root,
				       const struct crow_cidrs *accept,
				       struct crow_list_tally *tally)
{
	json_object *endpoints, *items;

	if (!json_object_object_get_ex(root, "endpoints", &endpoints)) {
		snprintf(tally->example, sizeof(tally->example), "no `endpoints` in it");
		return CROW_LIST_MALFORMED;
	}
	if (!endpoints)
		return CROW_LIST_EMPTY;
	if (!json_object_object_get_ex(endpoints, "items", &items)) {
		snprintf(tally->example, sizeof(tally->example), "no `endpoints.items` in it");
		return CROW_LIST_MALFORMED;
	}
	if (!items)
		return CROW_LIST_EMPTY;
	if (!json_object_is_type(items, json_type_array)) {
		snprintf(tally->example, sizeof(tally->example), "`endpoints.items` is %s",
			 type_name(items));
		return CROW_LIST_MALFORMED;
	}
	return add_items(list, items, accept, tally);
}

static enum crow_list_verdict read_tree(struct crow_list *list, const char *json, size_t size,
					const struct crow_cidrs *accept,
					struct crow_list_tally *tally)
{
	json_object *root = NULL;
	enum crow_list_verdict verdict = parse(json, size, tally, &root);

	if (verdict == CROW_LIST_OK)
		verdict = add_root(list, root, accept, tally);
	json_object_put(root);
	return verdict;
}

enum crow_list_verdict crow_list_read_json(struct crow_list *list, const char *json, size_t size,
					   const struct crow_cidrs *accept,
					   struct crow_list_tally *tally)
{
	enum crow_list_verdict verdict;
	size_t cost;

	memset(tally, 0, sizeof(*tally));
	if (size > BODY_MAX)
		return CROW_LIST_OVERSIZE;
	cost = tree_cost(json, size);
	if (cost > TREE_MAX)
		return CROW_LIST_OVERSIZE;
	if (!have_memory(cost))
		return CROW_LIST_NO_MEMORY;

	verdict = read_tree(list, json, size, accept, tally);
	if (verdict != CROW_LIST_OK && verdict != CROW_LIST_DRAINED)
		crow_list_fini(list);
	if (cost > TREE_LARGE)
		malloc_trim(0);
	return verdict;
}
