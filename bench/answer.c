/*
 * What an answer of our own names costs without a socket: bytes of a query to bytes of a reply, every
 * query for another service. Prints lines "<name> <value> <unit>" for bench/run.py.
 */
#include <stdio.h>

#include "bench/measure.h"
#include "daemon/dns/answer.h"
#include "tests/unit/fixture.h"

struct world {
	struct crow_published *published;
	unsigned services;
	struct query {
		uint8_t bytes[64];
		size_t size;
	} * queries;
};

static void make_query(struct query *query, const char *service, uint16_t type)
{
	size_t length = strlen(service);
	uint8_t *at = query->bytes;

	memcpy(at, "\xbe\xef\1\0\0\1\0\0\0\0\0\0", 12);
	at += 12;
	*at++ = (uint8_t)length;
	memcpy(at, service, length);
	at += length;
	memcpy(at,
	       "\3"
	       "eas\x08internal\0",
	       14);
	at += 14;
	*at++ = (uint8_t)(type >> 8);
	*at++ = (uint8_t)type;
	*at++ = 0;
	*at++ = CROW_CLASS_IN;
	query->size = (size_t)(at - query->bytes);
}

/* Instances of services are apart, in 10.0.0.0/8. Weights are the platform's default, or mixed. */
static void take(struct fixture *f, const char *service, unsigned number, unsigned instances,
		 bool mixed)
{
	struct fixture_item items[100];
	char text[100][32];

	for (unsigned i = 0; i < instances; i++) {
		unsigned n = number * instances + i;

		snprintf(text[i], sizeof(text[i]), "10.%u.%u.%u", n >> 16, n >> 8 & 255, n & 255);
		items[i] = (struct fixture_item){text[i], 8000,
						 mixed ? 1 + n * 2654435761u % 100 : 100};
	}
	fixture_take(f, service, items, instances);
}

static struct world make_world(unsigned services, unsigned instances, bool mixed)
{
	struct world world = {.services = services};
	char *config = NULL;
	size_t size;
	FILE *out = open_memstream(&config, &size);
	struct fixture f;

	fputs("[source s]\nendpoint=http://127.0.0.1:1\n", out);
	for (unsigned i = 0; i < services; i++)
		fprintf(out, "services=svc_%u\n", i);
	fclose(out);
	fixture_init(&f, config);
	world.queries = calloc(services, sizeof(*world.queries));
	for (unsigned i = 0; i < services; i++) {
		char name[32];

		snprintf(name, sizeof(name), "svc_%u", i);
		take(&f, name, i, instances, mixed);
		make_query(&world.queries[i], name, CROW_TYPE_A);
	}
	world.published = fixture_build(&f);
	fixture_fini(&f);
	free(config);
	return world;
}

static volatile size_t sink;

/* The median of several rounds. 7919 is a prime: the walk meets every service, none in order. */
static double cost_ns(const struct world *world, struct crow_answer_settings settings,
		      uint16_t type)
{
	enum { ROUNDS = 9, QUERIES = 100000 };
	uint8_t bytes[CROW_QUERY_UDP_MAX];
	struct crow_reply reply = {.bytes = bytes, .capacity = sizeof(bytes)};
	struct crow_wanted wanted;
	struct crow_query parsed;
	double took[ROUNDS];

	for (unsigned i = 0; i < world->services; i++)
		world->queries[i].bytes[world->queries[i].size - 3] = (uint8_t)type;
	for (int round = 0; round < ROUNDS; round++) {
		double start = seconds(CLOCK_PROCESS_CPUTIME_ID);

		for (unsigned i = 0; i < QUERIES; i++) {
			const struct query *query =
				&world->queries[(uint64_t)i * 7919 % world->services];

			crow_answer(query->bytes, query->size, false, &world->published->image,
				    &settings, &parsed, &reply, &wanted);
			sink = reply.size;
		}
		took[round] = (seconds(CLOCK_PROCESS_CPUTIME_ID) - start) / QUERIES * 1e9;
	}
	return median(took, ROUNDS);
}

static void measure(const char *name, unsigned services, unsigned instances, bool mixed)
{
	static struct crow_host near;
	struct crow_host_address address = {.addr = crow_addr_v4("\x0a\0\0\xfe"), .bits = 8};
	static uint64_t sequences[CROW_SEQUENCES];
	struct crow_answer_settings settings = {.ttl_s = 1, .answers = 3, .sequences = sequences};
	struct world world = make_world(services, instances, mixed);

	settings.given = world.published->given; /* as the daemon has it */
	crow_host_add(&near, &address);
	printf("answer_%s %.1f ns\n", name, cost_ns(&world, settings, CROW_TYPE_A));
	settings.host = &near;
	printf("answer_%s_near %.1f ns\n", name, cost_ns(&world, settings, CROW_TYPE_A));
	settings.host = NULL;
	settings.answers = 1;
	printf("answer_%s_one %.1f ns\n", name, cost_ns(&world, settings, CROW_TYPE_A));
	settings.answers = 8;
	printf("answer_%s_eight %.1f ns\n", name, cost_ns(&world, settings, CROW_TYPE_A));
	printf("answer_%s_nodata %.1f ns\n", name, cost_ns(&world, settings, CROW_TYPE_AAAA));
	free(world.queries);
	free(world.published);
}

int main(void)
{
	measure("800", 100, 8, false);
	measure("800_mixed", 100, 8, true);
	measure("100000", 1000, 100, false);
	measure("100000_mixed", 1000, 100, true);
	return 0;
}
