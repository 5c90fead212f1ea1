#include "daemon/option.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/config.h"
#include "daemon/value.h"
#include "resolver/name.h"

/* The struct that a section's keys are fields of. */
#define STRUCT_DAEMON  struct crow_config
#define STRUCT_SOURCE  struct crow_source_config
#define STRUCT_SERVICE struct crow_service_config
#define STRUCT_DNS     struct crow_config
#define STRUCT_HTTP    struct crow_config
#define STRUCT_HEALTH  struct crow_config

static const struct crow_option options[] = {
#define OPTION(section, key, type, field, min, max, fallback, example, prose)                      \
	{CROW_SECTION_##section,                                                                   \
	 key,                                                                                      \
	 CROW_OPTION_##type,                                                                       \
	 offsetof(STRUCT_##section, field),                                                        \
	 min,                                                                                      \
	 max,                                                                                      \
	 fallback,                                                                                 \
	 example,                                                                                  \
	 prose},
#include "daemon/options.def"
#undef OPTION
};

/* A list is printed in lines of about this many bytes, so that a person can read it. */
#define LIST_LINE 90

const struct crow_option *crow_option_get(size_t i)
{
	return i < CROW_OPTION_COUNT ? &options[i] : NULL;
}

size_t crow_option_index(const struct crow_option *option)
{
	return (size_t)(option - options);
}

const struct crow_option *crow_option_find(enum crow_section section, const char *key)
{
	for (size_t i = 0; i < CROW_OPTION_COUNT; i++)
		if (options[i].section == section && strcmp(options[i].key, key) == 0)
			return &options[i];
	return NULL;
}

bool crow_option_is_list(const struct crow_option *option)
{
	switch (option->type) {
	case CROW_OPTION_PATHS:
	case CROW_OPTION_NAMES:
	case CROW_OPTION_SERVICES:
	case CROW_OPTION_CIDRS:
	case CROW_OPTION_LISTENS:
	case CROW_OPTION_FORWARD_TO:
		return true;
	default:
		return false;
	}
}

/* A list without items means something: no alias, the addresses accepted anyway, no listener,
 * nobody to forward to. */
static bool may_be_empty(const struct crow_option *option)
{
	return option->type == CROW_OPTION_NAMES || option->type == CROW_OPTION_CIDRS ||
	       option->type == CROW_OPTION_LISTENS || option->type == CROW_OPTION_FORWARD_TO;
}

static void expect_duration(const struct crow_option *option, char *out, size_t size)
{
	uint32_t unit = option->type == CROW_OPTION_DURATION_S ? 1000 : 1;
	char min[CROW_DURATION_TEXT], max[CROW_DURATION_TEXT];

	crow_value_format_duration(option->min * unit, min);
	crow_value_format_duration(option->max * unit, max);
	snprintf(out, size, "a duration from %s to %s%s, such as %s", min, max,
		 unit == 1 ? "" : " in whole seconds", option->fallback);
}

void crow_option_expectation(const struct crow_option *option, char *out, size_t size)
{
	switch (option->type) {
	case CROW_OPTION_PATH:
		snprintf(out, size, "an absolute path of at most %u bytes", option->max);
		break;
	case CROW_OPTION_WORD:
		snprintf(out, size, "at most %u letters, digits, '.', '_' and '-'", option->max);
		break;
	case CROW_OPTION_URL:
		snprintf(out, size, "http://HOST[:PORT][/PATH] or https://HOST[:PORT][/PATH]");
		break;
	case CROW_OPTION_NAME:
		snprintf(out, size, "a DNS name such as %s", option->fallback);
		break;
	case CROW_OPTION_PATHS:
		snprintf(out, size, "paths that begin with /, of at most %u bytes", option->max);
		break;
	case CROW_OPTION_NAMES:
		snprintf(out, size, "DNS names such as %s", option->example);
		break;
	case CROW_OPTION_SERVICES:
		snprintf(out, size, "names of services such as %s, or *", option->example);
		break;
	case CROW_OPTION_SOURCE_TYPE:
		snprintf(out, size, "eas or file");
		break;
	case CROW_OPTION_YES_NO:
		snprintf(out, size, "yes or no");
		break;
	case CROW_OPTION_NUMBER:
	case CROW_OPTION_PORT:
		snprintf(out, size, "a number from %u to %u", option->min, option->max);
		break;
	case CROW_OPTION_DURATION_MS:
	case CROW_OPTION_DURATION_S:
		expect_duration(option, out, size);
		break;
	case CROW_OPTION_CIDRS:
		snprintf(out, size, "networks such as 10.0.0.0/8 or fd00::/8");
		break;
	case CROW_OPTION_LISTENS:
		snprintf(out, size, "addresses such as %s, [::1]:%u or 127.0.0.1, or none",
			 option->fallback, option->min);
		break;
	case CROW_OPTION_FORWARD_TO:
		snprintf(out, size,
			 "addresses of servers such as 10.0.0.2 or [fd00::2]:%u, or one absolute "
			 "path of at most %u bytes",
			 option->min, option->max);
		break;
	}
}

static bool set_string(char **field, const char *text, size_t len)
{
	char *copy = strndup(text, len);

	if (!copy)
		return false;
	free(*field);
	*field = copy;
	return true;
}

static bool append(void **items, size_t *count, const void *item, size_t size)
{
	char *grown = realloc(*items, (*count + 1) * size);

	if (!grown)
		return false;
	memcpy(grown + *count * size, item, size);
	*items = grown;
	++*count;
	return true;
}

static bool append_string(struct crow_strings *strings, const char *text)
{
	void *items = strings->items;
	char *copy = strdup(text);

	bool done = copy && append(&items, &strings->count, &copy, sizeof(copy));
	strings->items = items;
	if (!done)
		free(copy);
	return done;
}

/* The answers of the readers below. Memory is told apart, so that nobody looks for a mistake in a
 * value that has none. */
enum verdict { GOOD, BAD, NO_MEMORY };

static enum verdict verdict_of(bool done)
{
	return done ? GOOD : NO_MEMORY;
}

static bool is_path(const struct crow_option *option, const char *text)
{
	return text[0] == '/' && strlen(text) <= option->max;
}

static enum verdict read_string(const struct crow_option *option, const char *text, char **field)
{
	char folded[CROW_NAME_MAX + 1];
	size_t len = strlen(text);

	switch (option->type) {
	case CROW_OPTION_PATH:
		if (!is_path(option, text))
			return BAD;
		break;
	case CROW_OPTION_WORD:
		if (!crow_value_is_word(text) || len > option->max)
			return BAD;
		break;
	case CROW_OPTION_URL:
		if (!crow_value_is_url(text))
			return BAD;
		while (text[len - 1] == '/')
			len--;
		break;
	default:
		if (!crow_value_is_name(text))
			return BAD;
		len = crow_name_fold(text, len, folded);
		text = folded;
	}
	return verdict_of(set_string(field, text, len));
}

static enum verdict read_source_type(const char *text, enum crow_source_type *field)
{
	if (strcmp(text, "eas") == 0)
		*field = CROW_SOURCE_EAS;
	else if (strcmp(text, "file") == 0)
		*field = CROW_SOURCE_FILE;
	else
		return BAD;
	return GOOD;
}

static enum verdict read_yes_no(const char *text, bool *field)
{
	if (strcmp(text, "yes") == 0)
		*field = true;
	else if (strcmp(text, "no") == 0)
		*field = false;
	else
		return BAD;
	return GOOD;
}

static enum verdict read_number(const struct crow_option *option, const char *text, uint32_t *out)
{
	bool is_duration =
		option->type == CROW_OPTION_DURATION_MS || option->type == CROW_OPTION_DURATION_S;
	uint32_t value;

	if (!(is_duration ? crow_value_duration_ms : crow_value_number)(text, &value))
		return BAD;
	if (option->type == CROW_OPTION_DURATION_S) {
		if (value % 1000 != 0)
			return BAD;
		value /= 1000;
	}
	if (value < option->min || value > option->max)
		return BAD;
	*out = value;
	return GOOD;
}

static enum verdict read_port(const struct crow_option *option, const char *text, uint16_t *out)
{
	uint32_t value;
	enum verdict verdict = read_number(option, text, &value);

	if (verdict == GOOD)
		*out = (uint16_t)value;
	return verdict;
}

static enum verdict read_path_item(const struct crow_option *option, const char *text,
				   struct crow_strings *field)
{
	if (!is_path(option, text))
		return BAD;
	return verdict_of(append_string(field, text));
}

static enum verdict read_name_item(const char *text, struct crow_strings *field)
{
	char folded[CROW_NAME_MAX + 1];

	if (!crow_value_is_name(text))
		return BAD;
	crow_name_fold(text, strlen(text), folded);
	return verdict_of(append_string(field, folded));
}

static enum verdict read_service_item(const char *text, struct crow_source_config *source)
{
	if (strcmp(text, "*") == 0) {
		source->on_demand = true;
		return GOOD;
	}
	if (!crow_value_is_service(text))
		return BAD;
	return verdict_of(append_string(&source->services, text));
}

static enum verdict read_cidr_item(const char *text, struct crow_cidrs *field)
{
	void *items = field->items;
	struct crow_cidr cidr;

	if (!crow_cidr_parse(text, &cidr))
		return BAD;
	bool done = append(&items, &field->count, &cidr, sizeof(cidr));
	field->items = items;
	return verdict_of(done);
}

static enum verdict read_listen_item(const struct crow_option *option, const char *text,
				     struct crow_listens *field)
{
	void *items = field->items;
	struct crow_listen listen;

	if (!crow_value_listen(text, (uint16_t)option->min, &listen))
		return BAD;
	bool done = append(&items, &field->count, &listen, sizeof(listen));
	field->items = items;
	return verdict_of(done);
}

/* One file, or servers, and not both: a file is there to be the whole list. */
static enum verdict read_forward_to_item(const struct crow_option *option, const char *text,
					 struct crow_forward_to *field)
{
	struct crow_listen server;

	if (field->path || !*text)
		return BAD;
	if (text[0] == '/') {
		if (!is_path(option, text) || field->servers.count > 0)
			return BAD;
		return verdict_of(set_string(&field->path, text, strlen(text)));
	}
	if (!crow_value_listen(text, (uint16_t)option->min, &server) || server.port == 0)
		return BAD;
	return read_listen_item(option, text, &field->servers);
}

static enum verdict read_item(const struct crow_option *option, const char *text, void *object)
{
	void *field = (char *)object + option->offset;

	switch (option->type) {
	case CROW_OPTION_PATHS:
		return read_path_item(option, text, field);
	case CROW_OPTION_NAMES:
		return read_name_item(text, field);
	case CROW_OPTION_SERVICES:
		return read_service_item(text, object);
	case CROW_OPTION_CIDRS:
		return read_cidr_item(text, field);
	case CROW_OPTION_LISTENS:
		return read_listen_item(option, text, field);
	case CROW_OPTION_FORWARD_TO:
		return read_forward_to_item(option, text, field);
	case CROW_OPTION_YES_NO:
		return read_yes_no(text, field);
	case CROW_OPTION_SOURCE_TYPE:
		return read_source_type(text, field);
	case CROW_OPTION_NUMBER:
	case CROW_OPTION_DURATION_MS:
	case CROW_OPTION_DURATION_S:
		return read_number(option, text, field);
	case CROW_OPTION_PORT:
		return read_port(option, text, field);
	default:
		return read_string(option, text, field);
	}
}

static void say_why(const struct crow_option *option, enum verdict verdict, const char *item,
		    char *why, size_t why_size)
{
	bool named = option->type == CROW_OPTION_NAMES || option->type == CROW_OPTION_SERVICES;
	const char *excess = named && item ? crow_value_excess(item) : NULL;
	char expected[200];

	if (verdict == NO_MEMORY) {
		snprintf(why, why_size, "there is no memory left");
		return;
	}
	crow_option_expectation(option, expected, sizeof(expected));
	if (excess)
		snprintf(why, why_size, "`%.60s...` is no DNS name: %s", item, excess);
	else if (!item)
		snprintf(why, why_size, "expected %s", expected);
	else if (item[0] == '\0')
		snprintf(why, why_size, "expected %s, and none of them empty", expected);
	else
		snprintf(why, why_size, "expected %s, not `%.60s`", expected, item);
}

/* Cuts the item off the front of a list, without the blanks around it. NULL: the list is over. */
static char *next_item(char **rest)
{
	char *item = strsep(rest, ",");

	if (!item)
		return NULL;
	item += strspn(item, " \t");
	size_t len = strlen(item);
	while (len > 0 && strchr(" \t", item[len - 1]))
		len--;
	item[len] = '\0';
	return item;
}

static bool read_list(const struct crow_option *option, const char *text, void *object, char *why,
		      size_t why_size)
{
	char *copy = strdup(text), *rest = copy, *item = NULL;
	enum verdict verdict = verdict_of(copy != NULL);

	while (verdict == GOOD && (item = next_item(&rest)) != NULL)
		verdict = read_item(option, item, object);
	if (verdict != GOOD)
		say_why(option, verdict, item, why, why_size);
	free(copy);
	return verdict == GOOD;
}

bool crow_option_read(const struct crow_option *option, const char *text, void *object, char *why,
		      size_t why_size)
{
	if (may_be_empty(option) && text[0] == '\0')
		return true;
	if (option->type == CROW_OPTION_LISTENS && strcmp(text, "none") == 0)
		return true;
	if (crow_option_is_list(option))
		return read_list(option, text, object, why, why_size);
	enum verdict verdict = read_item(option, text, object);
	if (verdict != GOOD)
		say_why(option, verdict, NULL, why, why_size);
	return verdict == GOOD;
}

/* A list on its way out: "key=a,b", and a new line with the key again when one gets long. */
struct list_out {
	const char *key;
	FILE *out;
	size_t column; /* 0 at the beginning of a line */
};

static void put_item(struct list_out *list, const char *text)
{
	if (list->column > 0 && list->column + 1 + strlen(text) > LIST_LINE) {
		fputc('\n', list->out);
		list->column = 0;
	}
	int n = list->column == 0 ? fprintf(list->out, "%s=%s", list->key, text)
				  : fprintf(list->out, ",%s", text);
	list->column += n > 0 ? (size_t)n : 0;
}

static void put_strings(struct list_out *list, const struct crow_strings *strings)
{
	for (size_t i = 0; i < strings->count; i++)
		put_item(list, strings->items[i]);
}

static void put_cidrs(struct list_out *list, const struct crow_cidrs *cidrs)
{
	char text[CROW_CIDR_TEXT];

	for (size_t i = 0; i < cidrs->count; i++) {
		crow_value_format_cidr(&cidrs->items[i], text);
		put_item(list, text);
	}
}

static void put_listens(struct list_out *list, const struct crow_listens *listens)
{
	char text[CROW_LISTEN_TEXT];

	for (size_t i = 0; i < listens->count; i++) {
		crow_value_format_listen(&listens->items[i], text);
		put_item(list, text);
	}
}

static void print_list(const struct crow_option *option, const void *object, FILE *out)
{
	const void *field = (const char *)object + option->offset;
	struct list_out list = {.key = option->key, .out = out};

	switch (option->type) {
	case CROW_OPTION_CIDRS:
		put_cidrs(&list, field);
		break;
	case CROW_OPTION_LISTENS:
		put_listens(&list, field);
		if (list.column == 0)
			put_item(&list, "none");
		break;
	case CROW_OPTION_FORWARD_TO:
		put_listens(&list, &((const struct crow_forward_to *)field)->servers);
		if (((const struct crow_forward_to *)field)->path)
			put_item(&list, ((const struct crow_forward_to *)field)->path);
		break;
	default:
		put_strings(&list, field);
	}
	if (option->type == CROW_OPTION_SERVICES &&
	    ((const struct crow_source_config *)object)->on_demand)
		put_item(&list, "*");
	if (list.column > 0)
		fputc('\n', out);
}

static void print_duration(const char *key, uint32_t ms, FILE *out)
{
	char text[CROW_DURATION_TEXT];

	crow_value_format_duration(ms, text);
	fprintf(out, "%s=%s\n", key, text);
}

void crow_option_print(const struct crow_option *option, const void *object, FILE *out)
{
	const void *field = (const char *)object + option->offset;
	const char *key = option->key;

	switch (option->type) {
	case CROW_OPTION_PATH:
	case CROW_OPTION_WORD:
	case CROW_OPTION_URL:
	case CROW_OPTION_NAME:
		if (*(char *const *)field)
			fprintf(out, "%s=%s\n", key, *(char *const *)field);
		break;
	case CROW_OPTION_SOURCE_TYPE:
		fprintf(out, "%s=%s\n", key,
			*(const enum crow_source_type *)field == CROW_SOURCE_EAS ? "eas" : "file");
		break;
	case CROW_OPTION_YES_NO:
		fprintf(out, "%s=%s\n", key, *(const bool *)field ? "yes" : "no");
		break;
	case CROW_OPTION_NUMBER:
		fprintf(out, "%s=%u\n", key, *(const uint32_t *)field);
		break;
	case CROW_OPTION_PORT:
		fprintf(out, "%s=%u\n", key, *(const uint16_t *)field);
		break;
	case CROW_OPTION_DURATION_MS:
		print_duration(key, *(const uint32_t *)field, out);
		break;
	case CROW_OPTION_DURATION_S:
		print_duration(key, *(const uint32_t *)field * 1000, out);
		break;
	default:
		print_list(option, object, out);
	}
}

static void clear_strings(struct crow_strings *strings)
{
	for (size_t i = 0; i < strings->count; i++)
		free(strings->items[i]);
	free(strings->items);
	*strings = (struct crow_strings){0};
}

void crow_option_clear(const struct crow_option *option, void *object)
{
	void *field = (char *)object + option->offset;

	switch (option->type) {
	case CROW_OPTION_PATH:
	case CROW_OPTION_WORD:
	case CROW_OPTION_URL:
	case CROW_OPTION_NAME:
		free(*(char **)field);
		*(char **)field = NULL;
		break;
	case CROW_OPTION_PATHS:
	case CROW_OPTION_NAMES:
	case CROW_OPTION_SERVICES:
		clear_strings(field);
		break;
	case CROW_OPTION_CIDRS:
		free(((struct crow_cidrs *)field)->items);
		*(struct crow_cidrs *)field = (struct crow_cidrs){0};
		break;
	case CROW_OPTION_LISTENS:
		free(((struct crow_listens *)field)->items);
		*(struct crow_listens *)field = (struct crow_listens){0};
		break;
	case CROW_OPTION_FORWARD_TO:
		free(((struct crow_forward_to *)field)->servers.items);
		free(((struct crow_forward_to *)field)->path);
		*(struct crow_forward_to *)field = (struct crow_forward_to){0};
		break;
	default:
		break; /* numbers hold nothing */
	}
}
