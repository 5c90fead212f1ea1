/*
 * An option: one key of the configuration, as options.def lists it, and how its text becomes a
 * field of a struct of config.h and text again.
 */
#ifndef CROW_OPTION_H
#define CROW_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* DAEMON, DNS, HTTP and HEALTH are fields of struct crow_config; SOURCE and SERVICE have names, may be
 * many, and are a struct each. */
enum crow_section {
	CROW_SECTION_DAEMON,
	CROW_SECTION_SOURCE,
	CROW_SECTION_SERVICE,
	CROW_SECTION_DNS,
	CROW_SECTION_HTTP,
	CROW_SECTION_HEALTH,
	CROW_SECTION_COUNT
};

enum crow_option_type {
	CROW_OPTION_PATH,        /* char *: absolute */
	CROW_OPTION_WORD,        /* char *: letters, digits, '.', '_', '-' */
	CROW_OPTION_URL,         /* char *: http or https, host, perhaps port and path */
	CROW_OPTION_NAME,        /* char *: DNS name, folded */
	CROW_OPTION_PATHS,       /* struct crow_strings, each as PATH */
	CROW_OPTION_NAMES,       /* struct crow_strings, each as NAME */
	CROW_OPTION_SERVICES,    /* struct crow_strings of a source, and its on_demand for "*" */
	CROW_OPTION_SOURCE_TYPE, /* enum crow_source_type */
	CROW_OPTION_YES_NO,      /* bool */
	CROW_OPTION_NUMBER,      /* uint32_t */
	CROW_OPTION_PORT,        /* uint16_t */
	CROW_OPTION_DURATION_MS, /* uint32_t */
	CROW_OPTION_DURATION_S,  /* uint32_t */
	CROW_OPTION_CIDRS,       /* struct crow_cidrs */
	CROW_OPTION_LISTENS,     /* struct crow_listens */
	CROW_OPTION_FORWARD_TO,  /* struct crow_forward_to */
};

struct crow_option {
	enum crow_section section;
	const char *key;
	enum crow_option_type type;
	size_t offset; /* of the field in the section's struct */
	uint32_t min, max;
	const char *fallback;
	const char *example;
	const char *prose;
};

enum {
#define OPTION(...) +1
	CROW_OPTION_COUNT = 0
#include "daemon/options.def"
#undef OPTION
};

/* The i-th of options.def, NULL past the last; and which one an option is. */
const struct crow_option *crow_option_get(size_t i);
size_t crow_option_index(const struct crow_option *option);
const struct crow_option *crow_option_find(enum crow_section section, const char *key);
/* Keys that may stand on several lines, each adding to the list. */
bool crow_option_is_list(const struct crow_option *option);

/* What a value may be, as a noun phrase. */
void crow_option_expectation(const struct crow_option *option, char *out, size_t size);
/* Reads text into the field of object: adds to a list, replaces everything else. False with a
 * clause in `why`; a list may have been added to in part. */
bool crow_option_read(const struct crow_option *option, const char *text, void *object, char *why,
		      size_t why_size);
/* Writes lines of "key=value" that read back as the same value; long lists take several lines. An
 * unset string or empty list writes nothing, but for LISTENS, which is "none". */
void crow_option_print(const struct crow_option *option, const void *object, FILE *out);
/* Frees what the field holds and leaves it unset. */
void crow_option_clear(const struct crow_option *option, void *object);

#endif
