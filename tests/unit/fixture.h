/*
 * A table made by hand, for tests and benchmarks that need an image: static inline, since each of
 * them is a program of its own. What goes wrong here ends the program with its reason.
 */
#ifndef CROW_FIXTURE_H
#define CROW_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/log.h"
#include "daemon/publish.h"

#define FIXTURE_MUST(condition)                                                                    \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "fixture: %s is false\n", #condition);                     \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

struct fixture {
	struct crow_config *config;
	struct crow_table table;
};

/* A configuration from text; the test fails with its complaint if it is wrong. */
static inline void fixture_init(struct fixture *f, const char *config_text)
{
	char complaint[512] = "";

	crow_log_init(CROW_LOG_ERROR);
	f->config = crow_config_parse(config_text, "fixture", NULL, complaint, sizeof(complaint));
	if (f->config == NULL)
		fprintf(stderr, "%s\n", complaint);
	FIXTURE_MUST(f->config != NULL);
	crow_table_init(&f->table, NULL, NULL);
	FIXTURE_MUST(crow_table_configure(&f->table, f->config));
}

static inline void fixture_fini(struct fixture *f)
{
	crow_table_fini(&f->table);
	crow_config_free(f->config);
}

struct fixture_item {
	const char *ip;
	int port;
	double weight;
};

/* Gives a service a list of count items, as discovery would. */
static inline void fixture_take(struct fixture *f, const char *service,
				const struct fixture_item *items, size_t count)
{
	static const struct crow_cidr everything[] = {{.bits = 0}};
	const struct crow_cidrs accept = {(struct crow_cidr *)(uintptr_t)everything, 1};
	struct crow_list_tally tally = {0};
	struct crow_list list;

	crow_list_init(&list);
	for (size_t i = 0; i < count; i++)
		FIXTURE_MUST(crow_list_add(&list, &accept, items[i].ip, items[i].port,
					   items[i].weight, "app", &tally));
	FIXTURE_MUST(crow_list_finish(&list, &tally) == CROW_LIST_OK);
	crow_table_take(&f->table, crow_table_find(&f->table, service), &list, &tally, 1);
	crow_list_fini(&list);
}

/* What health makes of a service: a percentage for each of its items, 0 = ejected. */
static inline void fixture_set_shares(struct fixture *f, const char *service, const uint8_t *shares)
{
	struct crow_service *at = crow_table_find(&f->table, service);
	uint8_t *copy = malloc(at->list.count);

	FIXTURE_MUST(copy != NULL);
	memcpy(copy, shares, at->list.count);
	crow_table_set_shares(&f->table, at, copy);
}

static inline struct crow_published *fixture_build(struct fixture *f)
{
	struct crow_published *image = crow_publish_build(&f->table, 1, 1000, 1000);

	FIXTURE_MUST(image != NULL);
	return image;
}

/* A service of n IPv4 instances, 10.x.y.z:8000, whose weights are given by a function. */
static inline void fixture_take_many(struct fixture *f, const char *service, unsigned n,
				     double (*weight)(unsigned i))
{
	struct fixture_item *items = calloc(n, sizeof(*items));
	char(*text)[16] = calloc(n, sizeof(*text));

	for (unsigned i = 0; i < n; i++) {
		snprintf(text[i], sizeof(text[i]), "10.%u.%u.%u", i >> 16 & 255, i >> 8 & 255,
			 i & 255);
		items[i] = (struct fixture_item){text[i], 8000, weight(i)};
	}
	fixture_take(f, service, items, n);
	free(items);
	free(text);
}

#define FIXTURE_CONFIG "[source s]\nendpoint=http://127.0.0.1:1\nservices=one,two_b\n"

#endif
