/*
 * 100,000 instances in one service through every stage of the daemon, each timed by itself: JSON
 * read under the rules, taken into the table, built into an image, written, read by a client.
 */
#include <unistd.h>

#include "bench/measure.h"
#include "daemon/runtime.h"
#include "resolver/attach.h"
#include "tests/unit/fixture.h"

enum { INSTANCES = 100000 };

static double last;

static void stage(const char *name)
{
	double now = seconds(CLOCK_PROCESS_CPUTIME_ID);

	printf("stage_%s %.2f ms\n", name, (now - last) * 1e3);
	last = seconds(CLOCK_PROCESS_CPUTIME_ID);
}

/* As the platform prints it: one field a line. */
static char *make_json(size_t *size)
{
	char *json = NULL;
	FILE *out = open_memstream(&json, size);

	fputs("{\n  \"correlative\": [\n    \"one\"\n  ],\n  \"endpoints\": {\n    \"items\": [",
	      out);
	for (unsigned i = 0; i < INSTANCES; i++)
		fprintf(out,
			"%s\n      {\n        \"app\": \"one\",\n        \"ip\": \"10.%u.%u.%u\",\n"
			"        \"port\": 50000,\n        \"weight\": 100\n      }",
			i ? "," : "", i >> 16, i >> 8 & 255, i & 255);
	fputs("\n    ]\n  }\n}\n", out);
	fclose(out);
	return json;
}

int main(void)
{
	char dir[] = "/dev/shm/crowfly-bench-XXXXXX", path[64];
	const struct crow_cidrs accept = {NULL, 0};
	struct crow_list_tally tally = {0};
	struct crow_published *published;
	struct crow_copy copy = {0};
	struct crow_list list;
	struct stat identity;
	struct fixture f;
	size_t size;
	char *json = make_json(&size);

	FIXTURE_MUST(mkdtemp(dir) != NULL);
	fixture_init(&f, FIXTURE_CONFIG);
	crow_list_init(&list);
	printf("json_size %.2f MB\n", (double)size / 1e6);
	last = seconds(CLOCK_PROCESS_CPUTIME_ID);
	FIXTURE_MUST(crow_list_read_json(&list, json, size, &accept, &tally) == CROW_LIST_OK);
	stage("parse");
	crow_table_take(&f.table, crow_table_find(&f.table, "one"), &list, &tally, 1);
	stage("take");
	published = fixture_build(&f);
	stage("build");
	FIXTURE_MUST(crow_runtime_write_snapshot(dir, published->bytes, published->image.size,
						 &identity));
	stage("write");
	FIXTURE_MUST(crow_copy_load(&copy, dir, NULL) == CROW_ATTACH_OK);
	stage("attach");
	crow_copy_fini(&copy);
	free(published);
	free(json);
	crow_list_fini(&list);
	fixture_fini(&f);
	snprintf(path, sizeof(path), "%s/snapshot", dir);
	unlink(path);
	return rmdir(dir);
}
