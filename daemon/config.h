/*
 * The configuration: an immutable value. options.def is the one table of keys; from it come the
 * parser, the print-back (-n), the sample file and the manual page.
 */
#ifndef CROW_CONFIG_H
#define CROW_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "daemon/cidr.h"

struct crow_strings {
	char **items;
	size_t count;
};

/* An address to listen on. */
struct crow_listen {
	struct crow_addr addr;
	uint16_t port;
};

struct crow_listens {
	struct crow_listen *items;
	size_t count;
};

/* Servers, or a file of the form of resolv.conf(5) that names them; neither: none. */
struct crow_forward_to {
	struct crow_listens servers;
	char *path;
};

enum crow_source_type { CROW_SOURCE_EAS, CROW_SOURCE_FILE };

struct crow_source_config {
	char *name;
	enum crow_source_type type;
	char *endpoint; /* without a trailing slash; derived from uid and region if not given */
	char *uid;
	char *region;
	struct crow_strings paths; /* templates with {service} */
	struct crow_strings services;
	bool on_demand; /* services=* */
	uint32_t max_services;
	uint32_t poll_interval_ms;
	uint32_t timeout_ms;
	char *zone; /* folded */
	struct crow_cidrs accept;
};

struct crow_service_config {
	char *name;
	struct crow_strings aliases; /* folded */
	uint16_t port;
	uint32_t attempt_timeout_ms;
};

struct crow_config {
	char *runtime_dir;
	char *state_dir;
	char *user;
	struct crow_source_config *sources;
	size_t source_count;
	struct crow_service_config *services; /* the [service NAME] sections alone */
	size_t service_count;
	struct crow_service_config service_default; /* for services without a section; name NULL */
	struct crow_listens dns_listen;
	struct crow_cidrs dns_allow;
	uint32_t dns_rate_limit;
	uint32_t dns_ttl_s;
	uint32_t dns_answers;
	bool dns_https;
	uint32_t dns_workers;
	struct crow_forward_to dns_upstream;
	bool dns_mixed_case;
	uint32_t dns_cache;
	struct crow_listens http_listen;
	uint32_t probe_interval_ms; /* this and the next: [health] */
	uint32_t probe_rate;
	uint32_t probe_timeout_ms;
	uint32_t eject_backoff_min_ms, eject_backoff_max_ms;
	uint32_t recovery_ramp_ms;
	uint32_t slow_start_ms;
	struct crow_cidrs http_allow;
	struct crow_strings http_hosts; /* folded */
};

/* What the command line adds: a source of its own. */
#define CROW_COMMAND_LINE_SOURCE "command-line"
struct crow_config_args {
	const char *file;     /* NULL: no file */
	const char *endpoint; /* NULL: none */
	const char *accept;   /* NULL: the default */
	const char *const *services;
	size_t service_count;
};

/* Reads and checks everything. NULL: `complaint` (one line, no newline) says file:line, what was
 * read and what is allowed. */
struct crow_config *crow_config_load(const struct crow_config_args *args, char *complaint,
				     size_t complaint_size);
/* The same from text; `name` stands for the file in complaints. For tests and fuzzing. */
struct crow_config *crow_config_parse(const char *text, const char *name,
				      const struct crow_config_args *args, char *complaint,
				      size_t complaint_size);
void crow_config_free(struct crow_config *config);

/* Prints it back whole, defaults included, in a form that crow_config_load() reads. */
void crow_config_print(const struct crow_config *config, FILE *out);
/* The table as a commented sample, and as the body of crowfly.conf(5). */
void crow_config_print_sample(FILE *out);
void crow_config_print_manual(FILE *out);

/* The settings of a service, never NULL: its section's, or the defaults. Borrowed. */
const struct crow_service_config *crow_config_service(const struct crow_config *config,
						      const char *name);

#endif
