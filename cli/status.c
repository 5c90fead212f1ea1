/*
 * crowfly status: what the published snapshot holds. Needs no daemon.
 */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/face.h"
#include "cli/json.h"
#include "cli/status.h"
#include "cli/story.h"
#include "cli/view.h"
#include "resolver/name.h"

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

/* Lines of a service's facts begin here, below its name. */
#define INDENT 2

/* Instances of a service that nobody asked for by name, on a terminal: all of a hundred would push
 * the other services off it. */
#define ROWS_MAX 10u

/* The instances of a service by what they are. */
struct census {
	uint32_t up, drained, ejected;
	uint32_t kept; /* of those up: seem down, and are picked all the same */
};

/* It needs an eye: out of picks, or the daemon has something against it. */
static bool is_odd(const struct crow_snap_instance *instance,
		   const struct crow_story_instance *told)
{
	return instance->state != CROW_STATE_UP || (told && *told->health);
}

static void count_instances(const struct show *show, uint32_t index, struct census *out)
{
	const struct crow_snap_service *service = crow_image_service(show->img, index);

	*out = (struct census){0};
	for (uint32_t i = 0; i < service->count; i++) {
		const struct crow_snap_instance *instance =
			crow_image_instance(show->img, service->first + i);
		struct crow_story_instance told;

		out->up += instance->state == CROW_STATE_UP;
		out->drained += instance->state == CROW_STATE_DRAINED;
		out->ejected += instance->state == CROW_STATE_EJECTED;
		if (told_of(show, index, instance, &told))
			out->kept += strcmp(told.health, "kept") == 0;
	}
}

/* "97 up, 2 ejected, 1 drained": nothing is said of what there is none of. What is kept is picked,
 * but nobody is to take it for well. */
static unsigned put_census(const struct crow_term *term, unsigned at, const struct census *census)
{
	const struct {
		uint32_t count;
		enum crow_tint tint;
		const char *what;
	} parts[] = {
		{census->up - census->kept, CROW_GOOD, "up"},
		{census->kept, CROW_BAD, "down, and picked all the same"},
		{census->ejected, CROW_BAD, "ejected"},
		{census->drained, CROW_WARN, "drained"},
	};
	const char *before = "  ";
	char text[32];

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (parts[i].count == 0)
			continue;
		snprintf(text, sizeof(text), "%s%" PRIu32, before, parts[i].count);
		at = crow_term_wrap(term, CROW_PLAIN, at, INDENT, text);
		snprintf(text, sizeof(text), " %s", parts[i].what);
		at = crow_term_wrap(term, parts[i].tint, at, INDENT, text);
		before = ", ";
	}
	return at;
}

/* What is wrong with its list: that there is none, or that it is not confirmed. */
static void put_standing(const struct crow_term *term, unsigned at,
			 const struct crow_snap_service *service)
{
	bool waiting = crow_view_is_waiting(service);
	char age[CROW_AGE_TEXT], text[CROW_AGE_TEXT + 64];

	if (!waiting && !(service->flags & CROW_SERVICE_STALE))
		return;
	crow_view_age(crow_view_seconds_since(service->failing_boot_ns), age);
	if (!waiting)
		snprintf(text, sizeof(text), "  STALE for %s", age);
	else if (service->failing_boot_ns)
		snprintf(text, sizeof(text), "  WAITING for its first list, for %s", age);
	else
		snprintf(text, sizeof(text), "  WAITING for its first list");
	crow_term_wrap(term, CROW_BAD, at, INDENT, text);
}

static void put_facts(const struct crow_term *term, const struct show *show, uint32_t index,
		      const struct crow_story_service *told)
{
	const struct crow_snap_service *service = crow_image_service(show->img, index);
	char age[CROW_AGE_TEXT], text[4 * CROW_NAME_MAX];
	int length;

	length = snprintf(text, sizeof(text), "zone %.*s, port %u, source %.*s", CROW_NAME_MAX,
			  crow_view_zone(show->img, service), service->port, CROW_NAME_MAX,
			  crow_image_string(show->img, service->source));
	crow_view_age(crow_view_seconds_since(service->taken_boot_ns), age);
	if (service->taken_wall_s != 0)
		length += snprintf(text + length, sizeof(text) - (size_t)length, ", list of %s ago",
				   age);
	if (told->polled_s >= 0) {
		crow_view_age(told->polled_s, age);
		snprintf(text + length, sizeof(text) - (size_t)length, ", polled %s ago", age);
	}
	fprintf(term->out, "%*s", INDENT, "");
	crow_term_wrap(term, CROW_PLAIN, INDENT, INDENT, text);
	fputc('\n', term->out);
	if (!*told->detail)
		return;
	fprintf(term->out, "%*s", INDENT, "");
	crow_term_wrap(term, CROW_WARN, INDENT, INDENT, told->detail);
	fputc('\n', term->out);
}

/* Those that need an eye, or the others, as long as *rows are left. */
static void put_instances(const struct crow_term *term, const struct show *show, uint32_t index,
			  bool odd, uint32_t *rows)
{
	const struct crow_snap_service *service = crow_image_service(show->img, index);

	for (uint32_t i = 0; i<service->count && * rows> 0; i++) {
		const struct crow_snap_instance *instance =
			crow_image_instance(show->img, service->first + i);
		struct crow_story_instance told;
		const struct crow_story_instance *known = told_of(show, index, instance, &told);

		if (is_odd(instance, known) != odd)
			continue;
		crow_view_put_instance(term, show->img, service, instance, known);
		--*rows;
	}
}

static void put_table(const struct crow_term *term, const struct show *show, uint32_t index)
{
	uint32_t count = crow_image_service(show->img, index)->count, rows = count;

	if (count == 0)
		return;
	if (term->columns && !*show->status->wanted && rows > ROWS_MAX)
		rows = ROWS_MAX;
	crow_view_put_head(term, show->story != NULL);
	put_instances(term, show, index, true, &rows);
	put_instances(term, show, index, false, &rows);
	if (term->columns && !*show->status->wanted && count > ROWS_MAX)
		fprintf(term->out, "%*sand %" PRIu32 " more; name the service to see all\n", INDENT,
			"", count - ROWS_MAX);
}

static void put_service(const struct crow_term *term, const struct show *show, uint32_t index)
{
	struct crow_story_service told;
	struct census census;
	unsigned at;

	crow_story_service(show->story, service_name(show, index), &told);
	count_instances(show, index, &census);
	fputc('\n', term->out);
	at = crow_term_put(term, CROW_BOLD, 0, service_name(show, index));
	at = put_census(term, at, &census);
	put_standing(term, at, crow_image_service(show->img, index));
	fputc('\n', term->out);
	put_facts(term, show, index, &told);
	put_table(term, show, index);
}

static void put_daemon(const struct crow_term *term, const struct show *show)
{
	const struct crow_snap_header *header = show->img->header;
	const char *dir = show->status->dir;
	char age[CROW_AGE_TEXT], text[PATH_MAX + 128];
	unsigned at = crow_term_put(term, CROW_PLAIN, 0, "crowflyd ");

	crow_view_age(crow_view_seconds_since(header->built_boot_ns), age);
	if (!crow_view_daemon_lives(dir)) {
		at += crow_term_put(term, CROW_BAD, 0, "does not run");
		crow_term_wrap(
			term, CROW_PLAIN, at, INDENT,
			": programs under the library go on with this snapshot, while DNS "
			"and HTTP do not answer; start it: journalctl -u crowfly says why it "
			"ended");
		at = (unsigned)fprintf(term->out, "\nsnapshot ") - 1;
	} else {
		at += crow_term_put(term, CROW_GOOD, 0, "runs");
		snprintf(text, sizeof(text), " (pid %u)", header->publisher_pid);
		at = crow_term_wrap(term, CROW_PLAIN, at, INDENT, text);
		if (show->is_unheard)
			at = crow_term_wrap(term, CROW_WARN, at, INDENT,
					    ", but does not answer by HTTP (is it stuck, or in "
					    "another network namespace?)");
		at = crow_term_wrap(term, CROW_PLAIN, at, INDENT, "; ");
	}
	snprintf(text, sizeof(text), "generation %" PRIu64 ", published %s ago, in %s",
		 header->generation, age, dir);
	crow_term_wrap(term, CROW_PLAIN, at, INDENT, text);
	fputc('\n', term->out);
}

/* An eye should fall on it: stale, without a list, or with instances that are down. */
static bool is_troubled(const struct show *show, uint32_t index)
{
	const struct crow_snap_service *service = crow_image_service(show->img, index);
	struct census census;

	if ((service->flags & CROW_SERVICE_STALE) || crow_view_is_waiting(service))
		return true;
	count_instances(show, index, &census);
	return census.ejected > 0 || census.kept > 0;
}

/* Of all services; whoever names some knows what they want to see. */
static void put_verdict(const struct crow_term *term, const struct show *show)
{
	uint32_t count = crow_image_service_count(show->img), troubled = 0;

	for (uint32_t i = 0; i < count; i++)
		troubled += is_troubled(show, i);
	if (count == 0)
		fputs("\nno services yet\n", term->out);
	else if (*show->status->wanted)
		return;
	else if (troubled)
		fprintf(term->out, "%" PRIu32 " of %" PRIu32 " services need%s a look\n", troubled,
			count, troubled == 1 ? "s" : "");
	else if (count > 1)
		fprintf(term->out, "all %" PRIu32 " services are well\n", count);
}

static void put_services(const struct crow_term *term, const struct show *show, bool troubled,
			 bool sound)
{
	for (uint32_t i = 0; i < crow_image_service_count(show->img); i++) {
		if (is_wanted(show->img, i, show->status->wanted) &&
		    (is_troubled(show, i) ? troubled : sound))
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
		put_verdict(term, &show);
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
	bool waiting = crow_view_is_waiting(service), stale = service->flags & CROW_SERVICE_STALE;
	struct crow_story_instance told;

	putchar('{');
	print_json_member("name", service_name(show, index));
	print_json_member("source", crow_image_string(img, service->source));
	print_json_member("zone", crow_view_zone(img, service));
	print_json_member("state", waiting ? "waiting" : stale ? "stale" : "good");
	printf("\"port\":%u,\"attempt_timeout_ms\":%u,\"stale\":%s,", service->port,
	       service->attempt_timeout_ms, stale ? "true" : "false");
	print_json_seconds("list_age_s", service->taken_wall_s != 0, service->taken_boot_ns);
	print_json_seconds("failing_s", service->failing_boot_ns != 0, service->failing_boot_ns);
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
