/*
 * crowfly status: what the published snapshot holds. Needs no daemon.
 */
#include <inttypes.h>
#include <stdio.h>

#include "cli/command.h"
#include "cli/face.h"
#include "cli/json.h"
#include "cli/status.h"
#include "cli/story.h"
#include "cli/view.h"

static int main_status(int argc, char **argv);

const struct crow_command crow_command_status = {
	.name = "status",
	.synopsis = "[--json] [--runtime-dir DIR] [SERVICE]...",
	.summary = "every service, its instances, and whether crowflyd runs",
	.details =
		"  --json                 for programs\n"
		"  --runtime-dir DIR      of crowflyd; default $CROWFLY_RUNTIME_DIR, then "
		"/run/crowfly\n"
		"\n"
		"SERVICE is a name in discovery or any of its DNS names. Exits 1 if there is no\n"
		"snapshot or no such service.\n",
	.main = main_status,
};

static bool read_options(struct crow_status *options, int argc, char **argv)
{
	enum { JSON = 256, RUNTIME_DIR };
	static const struct option longs[] = {
		{"json", no_argument, NULL, JSON},
		{"runtime-dir", required_argument, NULL, RUNTIME_DIR},
		{0},
	};
	const char *dir = NULL;
	int option;

	while ((option = crow_command_option(&crow_command_status, argc, argv, ":", longs)) != -1) {
		if (option == '?')
			return false;
		if (option == JSON)
			options->json = true;
		else
			dir = optarg;
	}
	options->dir = crow_view_dir(dir);
	options->wanted = argv + optind;
	return true;
}

/* ---- which services ---- */

static bool is_wanted(const struct crow_image *img, uint32_t index, char **wanted)
{
	if (!*wanted)
		return true;
	for (; *wanted; wanted++) {
		if (crow_view_is_named(img, index, *wanted))
			return true;
	}
	return false;
}

/* Complains of each name that is no service's. */
static bool all_are_known(const struct crow_image *img, const struct crow_status *status)
{
	uint32_t count = crow_image_service_count(img);
	bool known = true;

	for (char **wanted = status->wanted; *wanted; wanted++) {
		uint32_t i = 0;

		while (i < count && !crow_view_is_named(img, i, *wanted))
			i++;
		if (i < count)
			continue;
		crow_complain("there is no service \"%s\" in %s/" CROW_SNAP_FILE
			      "; `crowfly status` lists those that are",
			      *wanted, status->dir);
		known = false;
	}
	return known;
}

/* ---- the daemon's story ---- */

/* Above this many instances the whole story would be megabytes: then only of a service that was
 * asked for. */
#define STORY_INSTANCES_MAX 10000u

/* What is shown, and from where. */
struct show {
	const struct crow_status *status;
	const struct crow_image *img;
	struct crow_story *story; /* NULL: the snapshot is all that there is */
	bool is_unheard;          /* the daemon serves pages, and did not answer */
};

/* The discovery name of the only service wanted; NULL if it is not just one. */
static const char *only_wanted(const struct crow_image *img, char **wanted)
{
	if (!wanted[0] || wanted[1])
		return NULL;
	for (uint32_t i = 0; i < crow_image_service_count(img); i++)
		if (crow_view_is_named(img, i, wanted[0]))
			return crow_image_string(img, crow_image_service(img, i)->name);
	return NULL;
}

static void load_story(struct show *show)
{
	const char *only = only_wanted(show->img, show->status->wanted);
	struct crow_face faces[CROW_FACES_MAX];

	if (!crow_view_daemon_lives(show->status->dir) ||
	    (!only && show->img->header->instances.count > STORY_INSTANCES_MAX))
		return;
	show->story = crow_story_load(show->img, only);
	show->is_unheard = !show->story && crow_face_get(show->img, "http", faces) > 0;
}

/* Loads what there is; false after a complaint. */
static bool show_init(struct show *show, const struct crow_status *status, struct crow_copy *copy)
{
	*show = (struct show){.status = status, .img = &copy->image};
	if (!crow_view_load(copy, status->dir) || !all_are_known(&copy->image, status))
		return false;
	load_story(show);
	return true;
}

static const char *service_name(const struct show *show, uint32_t index)
{
	return crow_image_string(show->img, crow_image_service(show->img, index)->name);
}

/* NULL: nothing is known. */
static const struct crow_story_instance *told_of(const struct show *show, uint32_t index,
						 const struct crow_snap_instance *instance,
						 struct crow_story_instance *told)
{
	if (!show->story)
		return NULL;
	crow_story_instance(show->story, service_name(show, index), &instance->addr, instance->port,
			    told);
	return told;
}

/* ---- for people ---- */

static void put_age(const struct crow_term *term, const struct crow_snap_service *service)
{
	char age[CROW_AGE_TEXT];

	if (service->taken_wall_s == 0) {
		crow_term_put(term, CROW_WARN, 0, "no list yet");
		return;
	}
	crow_view_age(crow_view_seconds_since(service->taken_boot_ns), age);
	fprintf(term->out, "list of %s ago", age);
}

static void put_stale(const struct crow_term *term, const struct crow_snap_service *service)
{
	char age[CROW_AGE_TEXT], text[CROW_AGE_TEXT + 32];

	if (!(service->flags & CROW_SERVICE_STALE))
		return;
	crow_view_age(crow_view_seconds_since(service->failing_boot_ns), age);
	snprintf(text, sizeof(text), "STALE for %s", age);
	fputs(", ", term->out);
	crow_term_put(term, CROW_BAD, 0, text);
}

static void put_poll(const struct crow_term *term, const struct show *show, uint32_t index)
{
	struct crow_story_service told;
	char age[CROW_AGE_TEXT];

	crow_story_service(show->story, service_name(show, index), &told);
	if (told.polled_s < 0)
		return;
	crow_view_age(told.polled_s, age);
	fprintf(term->out, ", polled %s ago", age);
	if (*told.detail) {
		fputs(": ", term->out);
		crow_term_put(term, CROW_WARN, 0, told.detail);
	}
}

static void put_service(const struct crow_term *term, const struct show *show, uint32_t index)
{
	const struct crow_image *img = show->img;
	const struct crow_snap_service *service = crow_image_service(img, index);
	struct crow_story_instance told;

	fputc('\n', term->out);
	crow_term_put(term, CROW_BOLD, 0, service_name(show, index));
	fputs("  zone ", term->out);
	crow_term_put(term, CROW_PLAIN, 0, crow_view_zone(img, service));
	fprintf(term->out, ", port %u, source ", service->port);
	crow_term_put(term, CROW_PLAIN, 0, crow_image_string(img, service->source));
	fputs(", ", term->out);
	put_age(term, service);
	put_stale(term, service);
	put_poll(term, show, index);
	fputc('\n', term->out);
	if (service->count)
		crow_view_put_head(term, show->story != NULL);
	for (uint32_t i = 0; i < service->count; i++) {
		const struct crow_snap_instance *instance =
			crow_image_instance(img, service->first + i);

		crow_view_put_instance(term, img, service, instance,
				       told_of(show, index, instance, &told));
	}
}

static void put_daemon(const struct crow_term *term, const struct show *show)
{
	const struct crow_snap_header *header = show->img->header;
	char age[CROW_AGE_TEXT];

	crow_view_age(crow_view_seconds_since(header->built_boot_ns), age);
	if (crow_view_daemon_lives(show->status->dir)) {
		fputs("crowflyd ", term->out);
		crow_term_put(term, CROW_GOOD, 0, "runs");
		fprintf(term->out, " (pid %u)", header->publisher_pid);
		if (show->is_unheard) {
			fputs(", but ", term->out);
			crow_term_put(term, CROW_WARN, 0, "does not answer by HTTP");
			fputs(" (is it stuck, or in another network namespace?)", term->out);
		}
	} else {
		fputs("crowflyd ", term->out);
		crow_term_put(term, CROW_BAD, 0, "does not run");
		fputs(" (programs go on with this snapshot)", term->out);
	}
	fprintf(term->out, "; generation %" PRIu64 ", published %s ago, in ", header->generation,
		age);
	crow_term_put(term, CROW_PLAIN, 0, show->status->dir);
	fputc('\n', term->out);
}

/* An eye should fall on it: stale, without a list, or with instances that are not up. */
static bool is_troubled(const struct crow_image *img, uint32_t index)
{
	const struct crow_snap_service *service = crow_image_service(img, index);

	return (service->flags & CROW_SERVICE_STALE) || service->taken_wall_s == 0 ||
	       service->up4 + service->up6 < service->count;
}

static void put_services(const struct crow_term *term, const struct show *show, bool troubled,
			 bool sound)
{
	for (uint32_t i = 0; i < crow_image_service_count(show->img); i++) {
		if (is_wanted(show->img, i, show->status->wanted) &&
		    (is_troubled(show->img, i) ? troubled : sound))
			put_service(term, show, i);
	}
}

bool crow_status_print(const struct crow_status *status, const struct crow_term *term)
{
	struct crow_copy copy = {0};
	struct show show;
	bool loaded = show_init(&show, status, &copy);

	if (loaded) {
		put_daemon(term, &show);
		if (crow_image_service_count(show.img) == 0)
			fputs("\nno services yet\n", term->out);
		put_services(term, &show, true, !status->trouble_first);
		if (status->trouble_first)
			put_services(term, &show, false, true);
	}
	crow_story_free(show.story);
	crow_copy_fini(&copy);
	return loaded;
}

/* ---- for programs ---- */

static void print_json_member(const char *name, const char *text)
{
	printf("\"%s\":", name);
	crow_json_string(stdout, text);
	putchar(',');
}

static void print_json_seconds(const char *name, bool known, int64_t since_ns)
{
	if (known)
		printf("\"%s\":%" PRId64 ",", name, crow_view_seconds_since(since_ns));
	else
		printf("\"%s\":null,", name);
}

static void print_json_poll(const struct show *show, uint32_t index)
{
	struct crow_story_service told;

	crow_story_service(show->story, service_name(show, index), &told);
	fputs("\"poll\":", stdout);
	if (told.polled_s < 0) {
		fputs("null,", stdout);
		return;
	}
	putchar('{');
	print_json_member("outcome", told.outcome);
	print_json_member("detail", told.detail);
	printf("\"ended_s_ago\":%" PRId64 "},", told.polled_s);
}

static void print_json_service(const struct show *show, uint32_t index)
{
	const struct crow_image *img = show->img;
	const struct crow_snap_service *service = crow_image_service(img, index);
	bool stale = service->flags & CROW_SERVICE_STALE;
	struct crow_story_instance told;

	putchar('{');
	print_json_member("name", service_name(show, index));
	print_json_member("source", crow_image_string(img, service->source));
	print_json_member("zone", crow_view_zone(img, service));
	printf("\"port\":%u,\"attempt_timeout_ms\":%u,\"stale\":%s,", service->port,
	       service->attempt_timeout_ms, stale ? "true" : "false");
	print_json_seconds("list_age_s", service->taken_wall_s != 0, service->taken_boot_ns);
	print_json_seconds("failing_s", stale, service->failing_boot_ns);
	if (show->story)
		print_json_poll(show, index);
	fputs("\"instances\":[", stdout);
	for (uint32_t i = 0; i < service->count; i++) {
		const struct crow_snap_instance *instance =
			crow_image_instance(img, service->first + i);

		fputs(i ? "," : "", stdout);
		crow_view_json_instance(stdout, img, service, instance,
					told_of(show, index, instance, &told));
	}
	fputs("]}", stdout);
}

static void put_json(const struct show *show)
{
	const struct crow_snap_header *header = show->img->header;
	const char *comma = "";

	putchar('{');
	print_json_member("runtime_dir", show->status->dir);
	printf("\"daemon\":{\"alive\":%s,\"pid\":%u},\"generation\":%" PRIu64 ",",
	       crow_view_daemon_lives(show->status->dir) ? "true" : "false", header->publisher_pid,
	       header->generation);
	print_json_seconds("built_s_ago", true, header->built_boot_ns);
	fputs("\"services\":[", stdout);
	for (uint32_t i = 0; i < crow_image_service_count(show->img); i++) {
		if (!is_wanted(show->img, i, show->status->wanted))
			continue;
		fputs(comma, stdout);
		print_json_service(show, i);
		comma = ",";
	}
	puts("]}");
}

static bool print_json(const struct crow_status *status)
{
	struct crow_copy copy = {0};
	struct show show;
	bool loaded = show_init(&show, status, &copy);

	if (loaded)
		put_json(&show);
	crow_story_free(show.story);
	crow_copy_fini(&copy);
	return loaded;
}

static int main_status(int argc, char **argv)
{
	struct crow_status status = {0};
	struct crow_term term;

	if (!read_options(&status, argc, argv))
		return CROW_EXIT_USAGE;
	crow_term_init(&term, stdout);
	if (status.json ? print_json(&status) : crow_status_print(&status, &term))
		return CROW_EXIT_OK;
	return CROW_EXIT_FAILED;
}
