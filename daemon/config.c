#include "daemon/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config_draft.h"

/* A thousand services with all their settings are 100 kB; more than this is another file. */
#define FILE_MAX_BYTES (16 * 1024 * 1024)

/* What stands for the file in complaints about arguments. */
#define COMMAND_LINE "command line"

static bool apply_args(struct crow_draft *draft, const struct crow_config_args *args)
{
	draft->file = COMMAND_LINE;
	if (!args->endpoint && args->service_count > 0)
		return crow_draft_complain(
			draft, draft->file, 0,
			"--service needs --endpoint URL, which says whom to ask");
	if (!args->endpoint && args->accept)
		return crow_draft_complain(
			draft, draft->file, 0,
			"--accept needs --endpoint URL; a source of a file has its own accept=");
	if (!args->endpoint)
		return true;
	if (args->service_count == 0)
		return crow_draft_complain(draft, draft->file, 0,
					   "--endpoint needs --service NAME, or --service '*' for "
					   "any that is asked for");
	if (!crow_draft_open_section(draft, "source " CROW_COMMAND_LINE_SOURCE, 0) ||
	    !crow_draft_set(draft, "endpoint", args->endpoint, 0) ||
	    (args->accept && !crow_draft_set(draft, "accept", args->accept, 0)))
		return false;
	for (size_t i = 0; i < args->service_count; i++)
		if (!crow_draft_set(draft, "services", args->services[i], 0))
			return false;
	return true;
}

struct crow_config *crow_config_parse(const char *text, const char *name,
				      const struct crow_config_args *args, char *complaint,
				      size_t complaint_size)
{
	struct crow_draft draft;

	bool ok = crow_draft_init(&draft, name, complaint, complaint_size) &&
		  crow_config_read_ini(&draft, text);
	if (ok && args)
		ok = apply_args(&draft, args);
	draft.file = name;
	if (ok)
		crow_config_check(&draft);
	crow_draft_fini(&draft);
	return draft.config;
}

/* All of a file, NUL-terminated; NULL with a sentence. Not by its size: -c /dev/stdin works. */
static char *read_stream(FILE *in, const char *file, char *complaint, size_t complaint_size)
{
	char *text = NULL;
	size_t size = 0, capacity = 0;

	while (!feof(in) && !ferror(in) && size <= FILE_MAX_BYTES) {
		if (capacity - size < 4096) {
			char *grown = realloc(text, capacity * 2 + 8192);

			if (!grown)
				break;
			text = grown;
			capacity = capacity * 2 + 8192;
		}
		size += fread(text + size, 1, capacity - size - 1, in);
	}
	if (feof(in) && size <= FILE_MAX_BYTES) {
		text[size] = '\0';
		if (strlen(text) == size)
			return text;
		snprintf(complaint, complaint_size, "%s: expected text, and it holds a NUL byte",
			 file);
	} else if (size > FILE_MAX_BYTES) {
		snprintf(complaint, complaint_size, "%s: expected at most %d MiB", file,
			 FILE_MAX_BYTES / (1024 * 1024));
	} else {
		snprintf(complaint, complaint_size, "%s: cannot read it: %s", file,
			 strerror(errno));
	}
	free(text);
	return NULL;
}

static char *read_file(const char *file, char *complaint, size_t complaint_size)
{
	FILE *in = fopen(file, "re");

	if (!in) {
		snprintf(complaint, complaint_size, "%s: cannot open it: %s%s", file,
			 strerror(errno),
			 errno == ENOENT ? "; another file is named by -c FILE" : "");
		return NULL;
	}
	char *text = read_stream(in, file, complaint, complaint_size);
	fclose(in);
	return text;
}

struct crow_config *crow_config_load(const struct crow_config_args *args, char *complaint,
				     size_t complaint_size)
{
	if (!args->file)
		return crow_config_parse("", COMMAND_LINE, args, complaint, complaint_size);
	char *text = read_file(args->file, complaint, complaint_size);
	if (!text)
		return NULL;
	struct crow_config *config =
		crow_config_parse(text, args->file, args, complaint, complaint_size);
	free(text);
	return config;
}

static void clear(enum crow_section kind, void *object)
{
	const struct crow_option *option;

	for (size_t i = 0; (option = crow_option_get(i)) != NULL; i++)
		if (option->section == kind)
			crow_option_clear(option, object);
}

void crow_config_free(struct crow_config *config)
{
	if (!config)
		return;
	for (size_t i = 0; i < config->source_count; i++) {
		clear(CROW_SECTION_SOURCE, &config->sources[i]);
		free(config->sources[i].name);
	}
	for (size_t i = 0; i < config->service_count; i++) {
		clear(CROW_SECTION_SERVICE, &config->services[i]);
		free(config->services[i].name);
	}
	clear(CROW_SECTION_SERVICE, &config->service_default);
	clear(CROW_SECTION_DAEMON, config);
	clear(CROW_SECTION_DNS, config);
	clear(CROW_SECTION_HTTP, config);
	clear(CROW_SECTION_HEALTH, config);
	free(config->sources);
	free(config->services);
	free(config);
}

const struct crow_service_config *crow_config_service(const struct crow_config *config,
						      const char *name)
{
	for (size_t i = 0; i < config->service_count; i++)
		if (strcmp(config->services[i].name, name) == 0)
			return &config->services[i];
	return &config->service_default;
}
