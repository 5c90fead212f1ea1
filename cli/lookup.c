/*
 * crowfly lookup: what the preload library would answer for a name, from the same snapshot and by
 * the same pick.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "cli/command.h"
#include "cli/json.h"
#include "cli/view.h"
#include "resolver/name.h"
#include "resolver/pick.h"

static int main_lookup(int argc, char **argv);

const struct crow_command crow_command_lookup = {
	.name = "lookup",
	.synopsis = "[--count N] [--json] [--runtime-dir DIR] NAME",
	.summary = "what a program would get for a name",
	.details = "  --count N              at most so many instances, 1 to 32; default 4\n"
		   "  --json                 for programs\n"
		   "  --runtime-dir DIR      of crowflyd; default $CROWFLY_RUNTIME_DIR, then "
		   "/run/crowfly\n"
		   "\n"
		   "The first instance is the pick, those below it are where a failed connection "
		   "would\n"
		   "go. Each run picks anew. Exits 1 if the snapshot does not know NAME.\n",
	.main = main_lookup,
};

struct lookup_options {
	bool json;
	size_t count;
	const char *dir;
	const char *name;
};

static bool read_count(struct lookup_options *options, const char *text)
{
	char *end;
	unsigned long count = strtoul(text, &end, 10);

	if (text[0] < '0' || text[0] > '9' || *end || count < 1 || count > CROW_PICK_SEVERAL_MAX) {
		crow_complain_usage(&crow_command_lookup,
				    "--count \"%s\" is not a number from 1 to %d", text,
				    CROW_PICK_SEVERAL_MAX);
		return false;
	}
	options->count = count;
	return true;
}

static bool read_options(struct lookup_options *options, int argc, char **argv)
{
	enum { COUNT = 256, JSON, RUNTIME_DIR };
	static const struct option longs[] = {
		{"count", required_argument, NULL, COUNT},
		{"json", no_argument, NULL, JSON},
		{"runtime-dir", required_argument, NULL, RUNTIME_DIR},
		{0},
	};
	const char *dir = NULL;
	int option;

	while ((option = crow_command_option(&crow_command_lookup, argc, argv, ":", longs)) != -1) {
		if (option == JSON)
			options->json = true;
		else if (option == RUNTIME_DIR)
			dir = optarg;
		else if (option != COUNT || !read_count(options, optarg))
			return false;
	}
	if (argc - optind != 1) {
		crow_complain_usage(&crow_command_lookup, "lookup takes one NAME, not %d",
				    argc - optind);
		return false;
	}
	options->dir = crow_view_dir(dir);
	options->name = argv[optind];
	return true;
}

/* ---- names that have no answer ---- */

static const struct crow_snap_service *find_service(const struct crow_image *img, const char *name)
{
	for (uint32_t i = 0; i < crow_image_service_count(img); i++) {
		const struct crow_snap_service *service = crow_image_service(img, i);

		if (strcmp(crow_image_string(img, service->name), name) == 0)
			return service;
	}
	return NULL;
}

/* The name of a service alone is no DNS name of it: say which is. */
static void complain_service_name(const struct crow_image *img, const char *name)
{
	const struct crow_snap_service *service = find_service(img, name);

	if (service && service->zone < img->header->zones.count)
		crow_complain("\"%s\" is a service, but not a name of it: look up %s.%s", name,
			      name, crow_image_string(img, img->zones[service->zone].name));
	else
		crow_complain(
			"crowfly does not know \"%s\", so programs ask the system's resolver; "
			"`crowfly status` lists the services",
			name);
}

static void complain_unknown(const struct crow_image *img, const char *name, const char *folded,
			     const struct crow_snap_name *found)
{
	const struct crow_snap_zone *zone = crow_image_find_zone(img, folded, strlen(folded));

	if (found && found->kind == CROW_NAME_UNKNOWN)
		crow_complain(
			"discovery was asked for \"%s\" and does not know it; it will be asked "
			"again in a few seconds",
			name);
	else if (found)
		crow_complain(
			"discovery could not be asked for \"%s\"; it will be tried again in a "
			"few seconds",
			name);
	else if (zone && zone->timeout_ms)
		crow_complain(
			"\"%s\" is not in the snapshot; zone %s is looked up on demand, so the "
			"first program that asks for it makes crowflyd ask discovery",
			name, crow_image_string(img, zone->name));
	else if (zone)
		crow_complain("zone %s has no service \"%s\"; `crowfly status` lists those it has",
			      crow_image_string(img, zone->name), name);
	else
		complain_service_name(img, name);
}

/* ---- answers ---- */

static uint64_t random_point(void)
{
	uint64_t seq;

	/* Up to 256 bytes are never cut short once the kernel's pool is seeded (getrandom(2)). */
	if (getrandom(&seq, sizeof(seq), 0) != sizeof(seq))
		seq = 0;
	return crow_pick_point(seq);
}

static void print_json(const struct crow_image *img, const struct lookup_options *options,
		       const struct crow_snap_service *service, const uint32_t *picks, size_t count)
{
	fputs("{\"name\":", stdout);
	crow_json_string(stdout, options->name);
	fputs(",\"service\":", stdout);
	crow_json_string(stdout, crow_image_string(img, service->name));
	fputs(",\"source\":", stdout);
	crow_json_string(stdout, crow_image_string(img, service->source));
	printf(",\"port\":%u,\"up\":%u,\"total\":%u,\"instances\":[", service->port,
	       service->up4 + service->up6, service->count);
	for (size_t i = 0; i < count; i++) {
		fputs(i ? "," : "", stdout);
		crow_view_json_instance(stdout, img, service, crow_image_instance(img, picks[i]),
					NULL);
	}
	puts("]}");
}

static void print_text(const struct crow_image *img, const struct lookup_options *options,
		       const struct crow_snap_service *service, const uint32_t *picks, size_t count)
{
	struct crow_term term;

	crow_term_init(&term, stdout);
	crow_term_put(&term, CROW_PLAIN, 0, options->name);
	fputs(" is service ", stdout);
	crow_term_put(&term, CROW_BOLD, 0, crow_image_string(img, service->name));
	if (crow_view_is_waiting(service))
		printf(", port %u; it has no list yet\n", service->port);
	else
		printf(", port %u; %u of its %u instances are up\n", service->port,
		       service->up4 + service->up6, service->count);
	if (count)
		crow_view_put_head(&term, false);
	for (size_t i = 0; i < count; i++)
		crow_view_put_instance(&term, img, service, crow_image_instance(img, picks[i]),
				       NULL);
}

static int answer(const struct crow_image *img, const struct lookup_options *options)
{
	const struct crow_snap_service *service = NULL;
	const struct crow_snap_name *found = NULL;
	char folded[CROW_NAME_MAX + 1] = "";
	uint32_t picks[CROW_PICK_SEVERAL_MAX];
	size_t count, length = crow_name_fold(options->name, strlen(options->name), folded);

	if (length)
		found = crow_image_find_name(img, folded, length);
	if (found && found->kind == CROW_NAME_SERVICE)
		service = crow_image_service(img, found->service);
	if (!service) {
		complain_unknown(img, options->name, folded, found);
		return CROW_EXIT_FAILED;
	}
	count = crow_pick_several(img, found->service, CROW_ANY, random_point(), picks,
				  options->count);
	(options->json ? print_json : print_text)(img, options, service, picks, count);
	return CROW_EXIT_OK;
}

static int main_lookup(int argc, char **argv)
{
	struct lookup_options options = {.count = 4};
	struct crow_copy copy = {0};
	int status = CROW_EXIT_FAILED;

	if (!read_options(&options, argc, argv))
		return CROW_EXIT_USAGE;
	if (crow_view_load(&copy, options.dir))
		status = answer(&copy.image, &options);
	crow_copy_fini(&copy);
	return status;
}
