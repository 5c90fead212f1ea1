#include "daemon/config_draft.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/value.h"

/* The name of a source ends up in log lines, JSON and the snapshot. */
#define SOURCE_NAME_MAX 63

static const struct {
	const char *word;
	bool has_name;
} kinds[CROW_SECTION_COUNT] = {
	[CROW_SECTION_DAEMON] = {"daemon", false},  [CROW_SECTION_SOURCE] = {"source", true},
	[CROW_SECTION_SERVICE] = {"service", true}, [CROW_SECTION_DNS] = {"dns", false},
	[CROW_SECTION_HTTP] = {"http", false},      [CROW_SECTION_HEALTH] = {"health", false},
};

bool crow_draft_complain(struct crow_draft *draft, const char *file, unsigned line,
			 const char *format, ...)
{
	size_t size = draft->complaint_size;
	va_list args;

	if (draft->failed)
		return false;
	draft->failed = true;
	draft->failed_line = line;
	int n = line ? snprintf(draft->complaint, size, "%s:%u: ", file, line)
		     : snprintf(draft->complaint, size, "%s: ", file);
	if (n < 0 || (size_t)n >= size)
		return false;
	va_start(args, format);
	vsnprintf(draft->complaint + n, size - (size_t)n, format, args);
	va_end(args);
	return false;
}

static bool no_memory(struct crow_draft *draft)
{
	return crow_draft_complain(draft, draft->file, 0, "there is no memory left");
}

/* An example of a heading, for people. */
static void format_heading(enum crow_section kind, const char *name, char *out, size_t size)
{
	if (kinds[kind].has_name)
		snprintf(out, size, "[%s %s]", kinds[kind].word, name);
	else
		snprintf(out, size, "[%s]", kinds[kind].word);
}

static bool set_fallbacks(struct crow_draft *draft, enum crow_section kind, void *object)
{
	const struct crow_option *option;
	char why[300];

	for (size_t i = 0; (option = crow_option_get(i)) != NULL; i++) {
		if (option->section != kind || option->fallback[0] == '\0')
			continue;
		if (!crow_option_read(option, option->fallback, object, why, sizeof(why)))
			return crow_draft_complain(draft, draft->file, 0, "default of %s: %s",
						   option->key, why);
	}
	return true;
}

bool crow_draft_init(struct crow_draft *draft, const char *file, char *complaint, size_t size)
{
	struct crow_config *config = calloc(1, sizeof(*config));

	*draft = (struct crow_draft){
		.config = config, .file = file, .complaint = complaint, .complaint_size = size};
	if (!config)
		return no_memory(draft);
	return set_fallbacks(draft, CROW_SECTION_DAEMON, config) &&
	       set_fallbacks(draft, CROW_SECTION_DNS, config) &&
	       set_fallbacks(draft, CROW_SECTION_HTTP, config) &&
	       set_fallbacks(draft, CROW_SECTION_HEALTH, config) &&
	       set_fallbacks(draft, CROW_SECTION_SERVICE, &config->service_default);
}

void crow_draft_fini(struct crow_draft *draft)
{
	free(draft->sections);
	draft->sections = NULL;
	draft->section_count = 0;
	if (!draft->failed)
		return;
	crow_config_free(draft->config);
	draft->config = NULL;
}

void *crow_draft_object(const struct crow_draft *draft, const struct crow_draft_section *section)
{
	switch (section->kind) {
	case CROW_SECTION_SOURCE:
		return &draft->config->sources[section->index];
	case CROW_SECTION_SERVICE:
		return &draft->config->services[section->index];
	default:
		return draft->config;
	}
}

static const char *section_name(const struct crow_draft *draft,
				const struct crow_draft_section *section)
{
	switch (section->kind) {
	case CROW_SECTION_SOURCE:
		return draft->config->sources[section->index].name;
	case CROW_SECTION_SERVICE:
		return draft->config->services[section->index].name;
	default:
		return "";
	}
}

/* One element more, zeroed, at the end of an array. */
static void *grow(void **items, size_t count, size_t size)
{
	char *grown = realloc(*items, (count + 1) * size);

	if (!grown)
		return NULL;
	*items = grown;
	return memset(grown + count * size, 0, size);
}

static bool add_source(struct crow_draft *draft, const char *name, size_t *index)
{
	struct crow_config *config = draft->config;
	void *items = config->sources;
	struct crow_source_config *source = grow(&items, config->source_count, sizeof(*source));

	config->sources = items;
	if (!source || !(source->name = strdup(name)))
		return no_memory(draft);
	*index = config->source_count++;
	return set_fallbacks(draft, CROW_SECTION_SOURCE, source);
}

static bool add_service(struct crow_draft *draft, const char *name, size_t *index)
{
	struct crow_config *config = draft->config;
	void *items = config->services;
	struct crow_service_config *service = grow(&items, config->service_count, sizeof(*service));

	config->services = items;
	if (!service || !(service->name = strdup(name)))
		return no_memory(draft);
	*index = config->service_count++;
	return set_fallbacks(draft, CROW_SECTION_SERVICE, service);
}

static bool add_section(struct crow_draft *draft, enum crow_section kind, const char *name,
			unsigned line)
{
	void *items = draft->sections;
	struct crow_draft_section *section = grow(&items, draft->section_count, sizeof(*section));

	draft->sections = items;
	if (!section)
		return no_memory(draft);
	section->kind = kind;
	section->file = draft->file;
	section->line = line;
	if (kind == CROW_SECTION_SOURCE && !add_source(draft, name, &section->index))
		return false;
	if (kind == CROW_SECTION_SERVICE && !add_service(draft, name, &section->index))
		return false;
	draft->section_count++;
	return true;
}

static bool complain_unknown_section(struct crow_draft *draft, const char *heading, unsigned line)
{
	char known[200] = "";
	size_t len = 0;

	for (int kind = 0; kind < CROW_SECTION_COUNT; kind++) {
		char example[32];

		format_heading((enum crow_section)kind, "NAME", example, sizeof(example));
		len += (size_t)snprintf(known + len, sizeof(known) - len, "%s%s", kind ? ", " : "",
					example);
	}
	return crow_draft_complain(draft, draft->file, line,
				   "[%.60s]: there is no such section; there are %s", heading,
				   known);
}

static bool check_name(struct crow_draft *draft, enum crow_section kind, const char *name,
		       unsigned line)
{
	const char *word = kinds[kind].word;

	if (!kinds[kind].has_name) {
		if (name[0] == '\0')
			return true;
		return crow_draft_complain(draft, draft->file, line,
					   "[%s %.60s]: expected [%s], which takes no name", word,
					   name, word);
	}
	if (name[0] == '\0')
		return crow_draft_complain(draft, draft->file, line,
					   "[%s]: expected a name, as in [%s models]", word, word);
	if (kind == CROW_SECTION_SERVICE && crow_value_excess(name))
		return crow_draft_complain(draft, draft->file, line, "[service %.60s...]: %s", name,
					   crow_value_excess(name));
	if (kind == CROW_SECTION_SERVICE && !crow_value_is_service(name))
		return crow_draft_complain(draft, draft->file, line,
					   "[service %.60s]: expected the name of a service", name);
	if (kind == CROW_SECTION_SOURCE &&
	    (!crow_value_is_word(name) || strlen(name) > SOURCE_NAME_MAX))
		return crow_draft_complain(draft, draft->file, line,
					   "[source %.60s]: expected a name of at most %d letters, "
					   "digits, '.', '_' and '-'",
					   name, SOURCE_NAME_MAX);
	return true;
}

static bool check_not_repeated(struct crow_draft *draft, enum crow_section kind, const char *name,
			       unsigned line)
{
	char heading[300];

	for (size_t i = 0; i < draft->section_count; i++) {
		const struct crow_draft_section *section = &draft->sections[i];

		if (section->kind != kind || strcmp(section_name(draft, section), name) != 0)
			continue;
		format_heading(kind, name, heading, sizeof(heading));
		return crow_draft_complain(
			draft, draft->file, line,
			"%s: this section begins at %s:%u already; merge the two", heading,
			section->file, section->line);
	}
	return true;
}

bool crow_draft_open_section(struct crow_draft *draft, const char *heading, unsigned line)
{
	size_t word = strcspn(heading, " \t");
	const char *name = heading + word + strspn(heading + word, " \t");

	for (int i = 0; i < CROW_SECTION_COUNT; i++) {
		enum crow_section kind = (enum crow_section)i;

		if (strlen(kinds[i].word) != word || memcmp(heading, kinds[i].word, word) != 0)
			continue;
		return check_name(draft, kind, name, line) &&
		       check_not_repeated(draft, kind, name, line) &&
		       add_section(draft, kind, name, line);
	}
	return complain_unknown_section(draft, heading, line);
}

static bool complain_unknown_key(struct crow_draft *draft, const struct crow_draft_section *section,
				 const char *key, unsigned line)
{
	const struct crow_option *option;
	char known[400] = "", heading[64];
	size_t len = 0;

	for (size_t i = 0; (option = crow_option_get(i)) != NULL; i++)
		if (option->section == section->kind && len < sizeof(known))
			len += (size_t)snprintf(known + len, sizeof(known) - len, "%s%s",
						len ? ", " : "", option->key);
	format_heading(section->kind, "NAME", heading, sizeof(heading));
	return crow_draft_complain(draft, draft->file, line,
				   "%.60s: there is no such key in %s; there are %s", key, heading,
				   known);
}

static bool complain_value(struct crow_draft *draft, const char *key, const char *value,
			   unsigned line, const char *why)
{
	return crow_draft_complain(draft, draft->file, line, "%s=%.60s%s: %s", key, value,
				   strlen(value) > 60 ? "..." : "", why);
}

bool crow_draft_set(struct crow_draft *draft, const char *key, const char *value, unsigned line)
{
	struct crow_draft_section *section;
	const struct crow_option *option;
	char why[400];

	if (draft->section_count == 0)
		return crow_draft_complain(draft, draft->file, line,
					   "%.60s: expected a section first, such as [daemon]",
					   key);
	section = &draft->sections[draft->section_count - 1];
	option = crow_option_find(section->kind, key);
	if (!option)
		return complain_unknown_key(draft, section, key, line);

	void *object = crow_draft_object(draft, section);
	size_t i = crow_option_index(option);
	if (!section->keys[i].set) {
		crow_option_clear(option, object); /* its fallback */
	} else if (!crow_option_is_list(option)) {
		snprintf(why, sizeof(why), "%s is set in line %u already", key,
			 section->keys[i].line);
		return complain_value(draft, key, value, line, why);
	}
	section->keys[i].set = true;
	section->keys[i].line = line;
	if (!crow_option_read(option, value, object, why, sizeof(why)))
		return complain_value(draft, key, value, line, why);
	return true;
}

bool crow_draft_has(const struct crow_draft_section *section, const char *key)
{
	return section->keys[crow_option_index(crow_option_find(section->kind, key))].set;
}

unsigned crow_draft_line(const struct crow_draft_section *section, const char *key)
{
	size_t i = crow_option_index(crow_option_find(section->kind, key));

	return section->keys[i].set ? section->keys[i].line : section->line;
}
