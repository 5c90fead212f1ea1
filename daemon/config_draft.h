/*
 * A configuration while it is being read: what config.h promises, and for each section and key the
 * place it came from, so that a rule over the whole can still name file and line.
 */
#ifndef CROW_CONFIG_DRAFT_H
#define CROW_CONFIG_DRAFT_H

#include "daemon/config.h"
#include "daemon/option.h"

/* "service" or "source", a blank, and the longest name (CROW_NAME_MAX), rounded up. */
#define CROW_HEADING_MAX 270

struct crow_draft_section {
	enum crow_section kind;
	size_t index; /* into sources or services of the config */
	const char *file;
	unsigned line; /* of the heading; 0: the command line has no lines */
	struct {
		bool set;
		unsigned line;     /* the last one of a list */
	} keys[CROW_OPTION_COUNT]; /* by crow_option_index() */
};

struct crow_draft {
	struct crow_config *config;
	struct crow_draft_section *sections; /* in the order of the file */
	size_t section_count;
	const char *file; /* being read; borrowed */
	bool failed;
	unsigned failed_line;
	char *complaint; /* the first one stays */
	size_t complaint_size;
};

/* Makes the config with every fallback in place. */
bool crow_draft_init(struct crow_draft *draft, const char *file, char *complaint, size_t size);
/* Frees all but the config, which is NULL afterwards if the draft failed. */
void crow_draft_fini(struct crow_draft *draft);

/* heading: what stands between [ and ]. Each of these two returns false once the draft failed. */
bool crow_draft_open_section(struct crow_draft *draft, const char *heading, unsigned line);
/* In the section opened last. */
bool crow_draft_set(struct crow_draft *draft, const char *key, const char *value, unsigned line);

/* Fails the draft, unless it has failed already. line 0: the whole file. Returns false. */
bool crow_draft_complain(struct crow_draft *draft, const char *file, unsigned line,
			 const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Whether a section names a key, and where: the line of its heading if not. */
bool crow_draft_has(const struct crow_draft_section *section, const char *key);
unsigned crow_draft_line(const struct crow_draft_section *section, const char *key);
/* The struct of config.h that a section fills. */
void *crow_draft_object(const struct crow_draft *draft, const struct crow_draft_section *section);

/* The parts of reading: config_ini.c fills a draft from text, config_check.c applies the rules
 * that need all of it. False: the draft failed. */
bool crow_config_read_ini(struct crow_draft *draft, const char *text);
bool crow_config_check(struct crow_draft *draft);

#endif
