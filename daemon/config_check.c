/*
 * The rules that a configuration keeps as a whole: every source can be asked, every name means one
 * service, and no port is open to more than were named.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config_draft.h"
#include "daemon/value.h"
#include "resolver/name.h"

/* Discovery tries them one after the other, within one poll; and keeps a bit for each. */
#define PATHS_MAX 8

#define SERVICE_SLOT "{service}"

static bool complain_key(struct crow_draft *draft, const struct crow_draft_section *section,
			 const char *key, const char *sentence)
{
	return crow_draft_complain(draft, section->file, crow_draft_line(section, key),
				   "[source %s] %s: %s",
				   draft->config->sources[section->index].name, key, sentence);
}

static bool check_eas_endpoint(struct crow_draft *draft, const struct crow_draft_section *section,
			       struct crow_source_config *source)
{
	if (source->endpoint && source->uid)
		return complain_key(draft, section, "uid", "expected this or endpoint, not both");
	if (source->endpoint && source->region)
		return complain_key(draft, section, "region",
				    "expected this or endpoint, not both");
	if (source->endpoint)
		return true;
	if (!source->uid && !source->region)
		return complain_key(draft, section, "endpoint",
				    "it is missing; expected endpoint, or uid and region");
	if (!source->uid)
		return complain_key(draft, section, "uid", "it is missing, and region needs it");
	if (!source->region)
		return complain_key(draft, section, "region", "it is missing, and uid needs it");
	if (asprintf(&source->endpoint, "http://%s.vpc.%s.pai-eas.aliyuncs.com", source->uid,
		     source->region) < 0) {
		source->endpoint = NULL; /* it is undefined now */
		return complain_key(draft, section, "endpoint", "there is no memory left");
	}
	if (!crow_value_is_url(source->endpoint))
		return complain_key(draft, section, "uid",
				    "with region it makes no name of a host");
	return true;
}

static bool check_paths(struct crow_draft *draft, const struct crow_draft_section *section,
			const struct crow_source_config *source)
{
	bool many = source->on_demand || source->services.count > 1;

	if (source->paths.count > PATHS_MAX)
		return complain_key(draft, section, "path", "expected at most 8 paths");
	for (size_t i = 0; i < source->paths.count; i++) {
		const char *path = source->paths.items[i];

		if (many && !strstr(path, SERVICE_SLOT))
			return complain_key(draft, section, "path",
					    "expected {service} in it, since there is more than "
					    "one service");
		if (source->type == CROW_SOURCE_EAS && strpbrk(path, " \t#"))
			return complain_key(draft, section, "path",
					    "expected no blank and no # in a URL; write %20, %23");
	}
	return true;
}

static bool check_eas(struct crow_draft *draft, const struct crow_draft_section *section,
		      struct crow_source_config *source)
{
	return check_eas_endpoint(draft, section, source) && check_paths(draft, section, source);
}

static bool check_file(struct crow_draft *draft, const struct crow_draft_section *section,
		       const struct crow_source_config *source)
{
	static const char *const of_eas[] = {"endpoint", "uid", "region"};

	for (size_t i = 0; i < sizeof(of_eas) / sizeof(of_eas[0]); i++)
		if (crow_draft_has(section, of_eas[i]))
			return complain_key(draft, section, of_eas[i],
					    "a source of type=file has none");
	if (!crow_draft_has(section, "path"))
		return complain_key(draft, section, "path",
				    "it is missing, and type=file needs it");
	if (source->paths.count > 1)
		return complain_key(draft, section, "path", "expected one path for type=file");
	if (source->on_demand)
		return complain_key(draft, section, "services",
				    "expected the names; a file cannot be asked for any (*)");
	return check_paths(draft, section, source);
}

static bool check_source(struct crow_draft *draft, const struct crow_draft_section *section)
{
	struct crow_source_config *source = &draft->config->sources[section->index];

	if (source->services.count == 0 && !source->on_demand)
		return complain_key(draft, section, "services",
				    "it is missing; expected names, or * for any");
	if (source->type == CROW_SOURCE_FILE)
		return check_file(draft, section, source);
	return check_eas(draft, section, source);
}

/* What belongs to one owner alone. */
enum claim_kind {
	CLAIM_SERVICE, /* a service, to one source */
	CLAIM_NAME,    /* a DNS name, to one service */
	CLAIM_ZONE,    /* all names of a zone on demand, to one source */
};

struct claim {
	enum claim_kind kind;
	char *text;
	const char *owner;
	const struct crow_draft_section *section; /* where it is claimed */
	const char *key;                          /* and by which key */
	size_t order;                             /* of claiming: qsort() keeps none */
};

struct claims {
	struct claim *items;
	size_t count, capacity;
};

/* Takes text, which may be NULL: no memory. */
static bool claim(struct claims *claims, struct claim what, char *text)
{
	if (claims->count == claims->capacity) {
		size_t capacity = claims->capacity ? claims->capacity * 2 : 64;
		struct claim *items = realloc(claims->items, capacity * sizeof(*items));

		if (!items) {
			free(text);
			return false;
		}
		claims->items = items;
		claims->capacity = capacity;
	}
	what.text = text;
	what.order = claims->count;
	claims->items[claims->count++] = what;
	return text != NULL;
}

/* A service has its name below the zone, and the same with '-' for '_' (Java's URI takes no '_'). */
static bool claim_names(struct claims *claims, struct claim what, const char *service,
			const char *zone)
{
	char *name, folded[CROW_NAME_MAX + 1];

	if (asprintf(&name, "%s.%s", service, zone) < 0)
		return false;
	crow_name_fold(name, strlen(name), folded);
	free(name);
	if (!claim(claims, what, strdup(folded)))
		return false;
	if (!strchr(folded, '_'))
		return true;
	for (char *c = folded; *c; c++)
		if (*c == '_')
			*c = '-';
	return claim(claims, what, strdup(folded));
}

static bool complain_long(struct crow_draft *draft, const struct crow_draft_section *section,
			  const char *service, const char *zone)
{
	char sentence[256];

	snprintf(sentence, sizeof(sentence),
		 "`%.60s...` has %zu bytes, and with .%.60s more than the 253 that DNS allows; "
		 "choose a shorter name or zone",
		 service, strlen(service), zone);
	return complain_key(draft, section, "services", sentence);
}

static bool claim_source(struct crow_draft *draft, struct claims *claims,
			 const struct crow_draft_section *section)
{
	const struct crow_source_config *source = &draft->config->sources[section->index];
	struct claim what = {.section = section, .key = "services"};

	for (size_t i = 0; i < source->services.count; i++) {
		const char *service = source->services.items[i];

		if (strlen(service) + 1 + strlen(source->zone) > CROW_NAME_MAX)
			return complain_long(draft, section, service, source->zone);
		what.kind = CLAIM_SERVICE;
		what.owner = source->name;
		if (!claim(claims, what, strdup(service)))
			return false;
		what.kind = CLAIM_NAME;
		what.owner = service;
		if (!claim_names(claims, what, service, source->zone))
			return false;
	}
	what.kind = CLAIM_ZONE;
	what.owner = source->name;
	return !source->on_demand || claim(claims, what, strdup(source->zone));
}

static bool claim_service(struct crow_draft *draft, struct claims *claims,
			  const struct crow_draft_section *section)
{
	const struct crow_service_config *service = &draft->config->services[section->index];
	struct claim what = {
		.kind = CLAIM_NAME, .owner = service->name, .section = section, .key = "alias"};

	for (size_t i = 0; i < service->aliases.count; i++)
		if (!claim(claims, what, strdup(service->aliases.items[i])))
			return false;
	return true;
}

static int compare_claims(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	int text = strcmp(x->text, y->text);
	if (text != 0)
		return text;
	return x->order < y->order ? -1 : x->order > y->order;
}

static bool complain_claim(struct crow_draft *draft, const struct claim *first,
			   const struct claim *second)
{
	static const char *const owners[] = {
		[CLAIM_SERVICE] = "a service of source",
		[CLAIM_NAME] = "a name of service",
		[CLAIM_ZONE] = "a zone with services=* of source",
	};

	return crow_draft_complain(draft, second->section->file,
				   crow_draft_line(second->section, second->key),
				   "%s: %.255s is %s %s already; expected it once", second->key,
				   second->text, owners[second->kind], first->owner);
}

static bool check_claims(struct crow_draft *draft, const struct claims *claims)
{
	const struct claim *first = NULL, *second = NULL;

	if (claims->count == 0)
		return true;
	qsort(claims->items, claims->count, sizeof(claims->items[0]), compare_claims);
	for (size_t i = 1; i < claims->count; i++) {
		const struct claim *a = &claims->items[i - 1], *b = &claims->items[i];

		if (a->kind != b->kind || strcmp(a->text, b->text) != 0)
			continue;
		/* The one that comes first in the file is the one to name. */
		if (!second || b->order < second->order) {
			first = a;
			second = b;
		}
	}
	return !second || complain_claim(draft, first, second);
}

static bool claim_all(struct crow_draft *draft, struct claims *claims)
{
	for (size_t i = 0; i < draft->section_count; i++) {
		const struct crow_draft_section *section = &draft->sections[i];

		if (section->kind == CROW_SECTION_SOURCE && !claim_source(draft, claims, section))
			return false;
		if (section->kind == CROW_SECTION_SERVICE && !claim_service(draft, claims, section))
			return false;
	}
	return true;
}

static bool check_names(struct crow_draft *draft)
{
	struct claims claims = {0};
	bool ok = claim_all(draft, &claims);

	if (ok)
		ok = check_claims(draft, &claims);
	else
		crow_draft_complain(draft, draft->file, 0, "there is no memory left");
	for (size_t i = 0; i < claims.count; i++)
		free(claims.items[i].text);
	free(claims.items);
	return ok;
}

static bool is_in_a_source(const struct crow_config *config, const char *service)
{
	for (size_t i = 0; i < config->source_count; i++) {
		const struct crow_source_config *source = &config->sources[i];

		if (source->on_demand)
			return true;
		for (size_t j = 0; j < source->services.count; j++)
			if (strcmp(source->services.items[j], service) == 0)
				return true;
	}
	return false;
}

static bool check_service(struct crow_draft *draft, const struct crow_draft_section *section)
{
	const char *name = draft->config->services[section->index].name;

	if (is_in_a_source(draft->config, name))
		return true;
	return crow_draft_complain(draft, section->file, section->line,
				   "[service %s]: no source has this service; expected it in "
				   "services= of a [source NAME]",
				   name);
}

static bool is_loopback_alone(const struct crow_listens *listens, const struct crow_listen **other)
{
	for (size_t i = 0; i < listens->count; i++) {
		*other = &listens->items[i];
		if (!crow_addr_is_loopback(&listens->items[i].addr))
			return false;
	}
	return true;
}

/* An address that other hosts reach is opened only together with the word on who may ask. */
static bool check_allow(struct crow_draft *draft, const struct crow_draft_section *section,
			const struct crow_listens *listens, const struct crow_cidrs *allow)
{
	const struct crow_listen *other;
	char text[CROW_LISTEN_TEXT];

	if (allow->count > 0 || is_loopback_alone(listens, &other))
		return true;
	crow_value_format_listen(other, text);
	return crow_draft_complain(
		draft, section->file, crow_draft_line(section, "listen"),
		"[%s] listen=%s: other hosts can reach it, and allow= is missing; write which of "
		"them may ask, as in allow=%s, or listen on 127.0.0.1 or ::1",
		section->kind == CROW_SECTION_DNS ? "dns" : "http", text,
		crow_addr_is_v4(&other->addr) ? "10.0.0.0/8" : "fd00::/8");
}

/* An endpoint that is in both, or twice in the same one; NULL: none. Port 0 is another one each time. */
static const struct crow_listen *find_common(const struct crow_listens *a,
					     const struct crow_listens *b)
{
	for (size_t i = 0; i < a->count; i++)
		for (size_t j = a == b ? i + 1 : 0; j < b->count; j++)
			if (a->items[i].port != 0 && a->items[i].port == b->items[j].port &&
			    crow_addr_equal(&a->items[i].addr, &b->items[j].addr))
				return &a->items[i];
	return NULL;
}

/* Each is bound once: DNS takes TCP, too. The kernel would say of the second time that somebody else
 * is there. */
static bool check_listen(struct crow_draft *draft, const struct crow_draft_section *section)
{
	const struct crow_config *config = draft->config;
	bool dns = section->kind == CROW_SECTION_DNS;
	const struct crow_listens *own = dns ? &config->dns_listen : &config->http_listen;
	const struct crow_listen *common = find_common(own, own);
	bool twice = common != NULL;
	char text[CROW_LISTEN_TEXT];

	if (!common)
		common = find_common(&config->dns_listen, &config->http_listen);
	if (!common)
		return check_allow(draft, section, own,
				   dns ? &config->dns_allow : &config->http_allow);
	crow_value_format_listen(common, text);
	return crow_draft_complain(draft, section->file, crow_draft_line(section, "listen"),
				   "[%s] listen=%s: %s", dns ? "dns" : "http", text,
				   twice ? "it is there twice; expected it once"
					 : "DNS and HTTP cannot both listen there; give one of "
					   "them another port or address");
}

static bool check_health(struct crow_draft *draft, const struct crow_draft_section *section)
{
	const struct crow_config *config = draft->config;

	if (config->eject_backoff_min_ms <= config->eject_backoff_max_ms)
		return true;
	return crow_draft_complain(
		draft, section->file, crow_draft_line(section, "eject-backoff-max"),
		"[health] eject-backoff-max is below eject-backoff-min; expected "
		"the longest wait to be no shorter than the first");
}

static bool check_section(struct crow_draft *draft, const struct crow_draft_section *section)
{
	switch (section->kind) {
	case CROW_SECTION_SOURCE:
		return check_source(draft, section);
	case CROW_SECTION_SERVICE:
		return check_service(draft, section);
	case CROW_SECTION_DNS:
	case CROW_SECTION_HTTP:
		return check_listen(draft, section);
	case CROW_SECTION_HEALTH:
		return check_health(draft, section);
	default:
		return true;
	}
}

bool crow_config_check(struct crow_draft *draft)
{
	if (draft->config->source_count == 0)
		return crow_draft_complain(draft, draft->file, 0,
					   "there is no source of instances; expected a "
					   "[source NAME] section with endpoint= and services=, or "
					   "--endpoint URL --service NAME");
	for (size_t i = 0; i < draft->section_count; i++)
		if (!check_section(draft, &draft->sections[i]))
			return false;
	return check_names(draft);
}
