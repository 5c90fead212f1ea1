/*
 * The table of options on paper: the configuration in force, the sample, the manual page.
 */
#include <string.h>

#include "daemon/config.h"
#include "daemon/option.h"

/* Where prose is wrapped, "# " included. */
#define COLUMNS 78

static bool is_empty(const struct crow_option *option, const void *object)
{
	const void *field = (const char *)object + option->offset;
	const struct crow_cidrs *cidrs = field;
	const struct crow_forward_to *to = field;

	if (option->type == CROW_OPTION_FORWARD_TO)
		return to->servers.count == 0 && !to->path;
	return option->type == CROW_OPTION_CIDRS && cidrs->count == 0;
}

/* What holds where nothing is set. */
static const char *empty_means(const struct crow_option *option)
{
	if (option->type == CROW_OPTION_FORWARD_TO)
		return "other names are refused";
	return "this host alone"; /* the allow= of [dns] and [http] */
}

static void print_section(enum crow_section kind, const void *object, FILE *out)
{
	const struct crow_option *option;

	for (size_t i = 0; (option = crow_option_get(i)) != NULL; i++) {
		if (option->section != kind)
			continue;
		if (is_empty(option, object))
			fprintf(out, "# %s= is not set: %s\n", option->key, empty_means(option));
		else
			crow_option_print(option, object, out);
	}
}

static void print_source(const struct crow_source_config *source, FILE *out)
{
	const struct crow_option *option;

	fprintf(out, "\n[source %s]\n", source->name);
	for (size_t i = 0; (option = crow_option_get(i)) != NULL; i++) {
		if (option->section != CROW_SECTION_SOURCE)
			continue;
		/* Made of uid and region, beside which it is not allowed. */
		if (option->type == CROW_OPTION_URL && source->uid)
			fprintf(out, "# %s=%s\n", option->key, source->endpoint);
		else if (is_empty(option, source))
			fprintf(out,
				"# %s= is not set: all but 0/8, 127/8, 169.254/16, multicast, "
				"::, ::1, fe80::/10\n",
				option->key);
		else
			crow_option_print(option, source, out);
	}
}

void crow_config_print(const struct crow_config *config, FILE *out)
{
	fputs("[daemon]\n", out);
	print_section(CROW_SECTION_DAEMON, config, out);
	for (size_t i = 0; i < config->source_count; i++)
		print_source(&config->sources[i], out);
	for (size_t i = 0; i < config->service_count; i++) {
		fprintf(out, "\n[service %s]\n", config->services[i].name);
		print_section(CROW_SECTION_SERVICE, &config->services[i], out);
	}
	fputs("\n[dns]\n", out);
	print_section(CROW_SECTION_DNS, config, out);
	fputs("\n[http]\n", out);
	print_section(CROW_SECTION_HTTP, config, out);
	fputs("\n[health]\n", out);
	print_section(CROW_SECTION_HEALTH, config, out);
}

/* How a section is headed and what it is, for the sample and the manual. */
static const struct {
	const char *heading; /* in the sample: it is read back */
	const char *title;   /* in the manual */
	const char *prose;
} sections[CROW_SECTION_COUNT] = {
	[CROW_SECTION_DAEMON] = {"[daemon]", "[daemon]", "The daemon as a process."},
	[CROW_SECTION_SOURCE] =
		{"[source eas]", "[source NAME]",
		 "Where lists of instances come from. There may be several; NAME is "
		 "free, and shown in the log and on the status pages."},
	[CROW_SECTION_SERVICE] = {"[service mnist_saved_model_example]", "[service NAME]",
				  "Settings of one service of a source. Services without a section "
				  "have the defaults."},
	[CROW_SECTION_DNS] = {"[dns]", "[dns]", "The DNS responder."},
	[CROW_SECTION_HTTP] = {"[http]", "[http]", "The status pages."},
	[CROW_SECTION_HEALTH] = {"[health]", "[health]",
				 "Which instances are out of picks: what a program, or a probe, "
				 "finds to be down, until a probe connects again."},
};

static void wrap(const char *prose, const char *prefix, FILE *out)
{
	size_t column = 0;

	while (*prose) {
		size_t word = strcspn(prose, " ");

		if (column > 0 && column + 1 + word > COLUMNS) {
			fputc('\n', out);
			column = 0;
		}
		if (column == 0)
			column = (size_t)fprintf(out, "%s", prefix);
		else
			column += (size_t)fprintf(out, " ");
		column += (size_t)fprintf(out, "%.*s", (int)word, prose);
		prose += word + strspn(prose + word, " ");
	}
	fputc('\n', out);
}

static void print_sample_option(const struct crow_option *option, FILE *out)
{
	bool live = option->example[0] != '\0';

	fputc('\n', out);
	wrap(option->prose, "# ", out);
	fprintf(out, "%s%s=%s\n", live ? "" : "#", option->key,
		live ? option->example : option->fallback);
}

void crow_config_print_sample(FILE *out)
{
	const struct crow_option *option;

	wrap("Configuration of crowflyd, see crowfly.conf(5). Lines with #key=value show the "
	     "defaults. Lists have commas between their items, or go on in a second line with "
	     "the same key. Durations are written with ms, s, m or h.",
	     "# ", out);
	for (int kind = 0; kind < CROW_SECTION_COUNT; kind++) {
		fputc('\n', out);
		wrap(sections[kind].prose, "# ", out);
		fprintf(out, "%s\n", sections[kind].heading);
		for (size_t i = 0; (option = crow_option_get(i)) != NULL; i++)
			if ((int)option->section == kind)
				print_sample_option(option, out);
	}
}

/* Text for troff(1): a hyphen to be typed is \-, and a line must not begin with a request. */
static void print_troff(const char *text, FILE *out)
{
	if (*text == '.' || *text == '\'')
		fputs("\\&", out);
	for (; *text; text++) {
		if (*text == '-')
			fputs("\\-", out);
		else if (*text == '\\')
			fputs("\\e", out);
		else
			fputc(*text, out);
	}
}

static void print_manual_option(const struct crow_option *option, FILE *out)
{
	char expectation[200];

	fputs(".TP\n.B ", out);
	print_troff(option->key, out);
	fputc('\n', out);
	print_troff(option->prose, out);
	fputs("\nTakes ", out);
	crow_option_expectation(option, expectation, sizeof(expectation));
	print_troff(expectation, out);
	fputs(crow_option_is_list(option) ? ", with commas between them.\n" : ".\n", out);
	if (option->fallback[0] == '\0')
		return;
	fputs("Default:\n.B ", out);
	print_troff(option->fallback, out);
	fputc('\n', out);
}

void crow_config_print_manual(FILE *out)
{
	const struct crow_option *option;

	for (int kind = 0; kind < CROW_SECTION_COUNT; kind++) {
		fprintf(out, ".SS %s\n", sections[kind].title);
		print_troff(sections[kind].prose, out);
		fputc('\n', out);
		for (size_t i = 0; (option = crow_option_get(i)) != NULL; i++)
			if ((int)option->section == kind)
				print_manual_option(option, out);
	}
}
