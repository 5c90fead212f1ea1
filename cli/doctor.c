/*
 * crowfly doctor: why does this not work? From the daemon to the instances, each thing is tried as
 * a program would use it, and what is wrong comes with the next step.
 */
#include "cli/doctor.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/program.h"
#include "cli/story.h"
#include "cli/view.h"

static int main_doctor(int argc, char **argv);

const struct crow_command crow_command_doctor = {
	.name = "doctor",
	.synopsis = "[--service NAME] [--json] [--runtime-dir DIR] [CMD]",
	.summary = "find out why something does not work",
	.details =
		"  --service NAME         look at this service alone\n"
		"  --json                 for programs\n"
		"  --runtime-dir DIR      of crowflyd; default $CROWFLY_RUNTIME_DIR, then "
		"/run/crowfly\n"
		"\n"
		"Looks at the daemon, the snapshot, its HTTP pages, whether names resolve (in a\n"
		"program with the preload library, by DNS, and as this host is set up), and\n"
		"connects to every instance once without sending a byte. With CMD also whether "
		"the\n"
		"preload library can act in that program. Every finding that is not ok comes with\n"
		"the next step.\n"
		"Exits 1 if something does not work.\n",
	.main = main_doctor,
};

struct doctor_options {
	bool json;
	const char *dir;
	const char *service;
	const char *command; /* NULL: none */
};

static bool read_options(struct doctor_options *options, int argc, char **argv)
{
	enum { JSON = 256, RUNTIME_DIR, SERVICE };
	static const struct option longs[] = {
		{"json", no_argument, NULL, JSON},
		{"runtime-dir", required_argument, NULL, RUNTIME_DIR},
		{"service", required_argument, NULL, SERVICE},
		{0},
	};
	const char *dir = NULL;
	int option;

	while ((option = crow_command_option(&crow_command_doctor, argc, argv, "+:", longs)) !=
	       -1) {
		if (option == JSON)
			options->json = true;
		else if (option == RUNTIME_DIR)
			dir = optarg;
		else if (option == SERVICE)
			options->service = optarg;
		else
			return false;
	}
	options->dir = crow_view_dir(dir);
	options->command = optind < argc ? argv[optind] : NULL;
	return true;
}

bool crow_doctor_wants(const struct crow_doctor *doctor, uint32_t index)
{
	return !doctor->service || crow_view_is_named(doctor->img, index, doctor->service);
}

/* ---- the daemon and its snapshot ---- */

/* False if there is nothing to look at further. */
static bool look_at_daemon(struct crow_doctor *doctor)
{
	if (access(doctor->dir, X_OK) < 0 && errno == EACCES) {
		crow_finding(&doctor->findings, CROW_VERDICT_FAIL, "daemon",
			     "namei -l shows which directory of the path is closed; each must be "
			     "open to all who are to use crowfly (crowflyd makes its own 0755)",
			     "this user may not look into %s: whether crowflyd runs cannot be "
			     "told, and programs of this user run as if crowfly were not installed",
			     doctor->dir);
		return false;
	}
	doctor->daemon_lives = crow_view_daemon_lives(doctor->dir);
	if (doctor->daemon_lives)
		crow_finding(&doctor->findings, CROW_VERDICT_OK, "daemon", NULL,
			     "crowflyd runs on %s", doctor->dir);
	else
		crow_finding(&doctor->findings, CROW_VERDICT_FAIL, "daemon",
			     "systemctl start crowfly, or run crowflyd -c /etc/crowfly.conf; its "
			     "log says why it ended: journalctl -u crowfly; if it runs on another "
			     "directory, name that with --runtime-dir",
			     "crowflyd does not run on %s: DNS and HTTP do not answer; if it has "
			     "left a snapshot there, programs under the library go on with that, "
			     "and it grows old",
			     doctor->dir);
	return true;
}

static bool is_absent(const char *dir)
{
	char path[PATH_MAX];

	return snprintf(path, sizeof(path), "%s/" CROW_SNAP_FILE, dir) >= (int)sizeof(path) ||
	       access(path, F_OK) < 0;
}

static void tell_no_snapshot(struct crow_doctor *doctor, const char *complaint)
{
	if (!is_absent(doctor->dir))
		crow_finding(&doctor->findings, CROW_VERDICT_FAIL, "snapshot",
			     "until then programs run as if crowfly were not installed", "%s",
			     complaint);
	else if (doctor->daemon_lives)
		crow_finding(&doctor->findings, CROW_VERDICT_FAIL, "snapshot",
			     "crowflyd writes it again within a second; where it does not, its log "
			     "says why: journalctl -u crowfly",
			     "there is no snapshot in %s, though crowflyd runs: programs run as if "
			     "crowfly were not installed",
			     doctor->dir);
	else
		crow_finding(&doctor->findings, CROW_VERDICT_NOTE, "snapshot", CROW_DOCTOR_FOLLOWS,
			     "there is no snapshot in %s: programs run as if crowfly were not "
			     "installed",
			     doctor->dir);
}

static bool look_at_snapshot(struct crow_doctor *doctor, struct crow_copy *copy)
{
	char complaint[CROW_VIEW_COMPLAINT], age[CROW_AGE_TEXT];
	const struct crow_snap_header *header;

	if (!crow_view_try(copy, doctor->dir, complaint)) {
		tell_no_snapshot(doctor, complaint);
		return false;
	}
	doctor->img = &copy->image;
	header = doctor->img->header;
	crow_view_age(crow_view_seconds_since(header->built_boot_ns), age);
	crow_finding(&doctor->findings, CROW_VERDICT_OK, "snapshot", NULL,
		     "generation %" PRIu64 ", published %s ago (a new one comes with every change)",
		     header->generation, age);
	return true;
}

/* ---- services ---- */

/* Services whose last poll is asked for: what fails, fails alike as a rule. */
#define POLLS_MAX 8u

/* What to do where no list has come, by the outcome of the last poll (docs/api.md). */
static const char *next_without_list(const char *outcome)
{
	static const struct {
		const char *outcome, *next;
	} steps[] = {
		{"unknown", "is that its name in discovery, and is this its endpoint?"},
		{"connect",
		 "does this host reach the endpoint? look at address, route, security group"},
		{"timeout",
		 "does this host reach the endpoint? look at address, route, security group"},
		{"empty", "start an instance of it, or give one a weight above 0"},
		{"refused", "discovery answers, but crowflyd does not believe the list: where its "
			    "addresses are right, let accept= of the source cover them"},
	};

	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++)
		if (strcmp(outcome, steps[i].outcome) == 0)
			return steps[i].next;
	return "is the name right, and does this host reach the endpoint? crowflyd's log has every "
	       "change";
}

/* The last poll of a service, if crowflyd tells. */
struct last_poll {
	char text[512];   /* ": http://...: answered 404", or "" */
	const char *next; /* what to do if it was to be the first list */
};

static void get_poll(struct crow_doctor *doctor, const char *name, struct last_poll *out)
{
	struct crow_story_service told = {.outcome = "", .detail = ""};
	struct crow_story *story = NULL;

	if (doctor->pages_answer && doctor->polls_told++ < POLLS_MAX)
		story = crow_story_load(doctor->img, name);
	crow_story_service(story, name, &told);
	snprintf(out->text, sizeof(out->text), "%s%s", *told.detail ? ": " : "", told.detail);
	out->next = next_without_list(told.outcome);
	crow_story_free(story);
}

static void look_at_service(struct crow_doctor *doctor, const struct crow_snap_service *service)
{
	const char *name = crow_image_string(doctor->img, service->name);
	char age[CROW_AGE_TEXT];
	struct last_poll poll;

	if (crow_view_is_waiting(service)) {
		get_poll(doctor, name, &poll);
		crow_finding(&doctor->findings, CROW_VERDICT_FAIL, "service", poll.next,
			     "%s has no list yet, so that its names do not resolve%s", name,
			     poll.text);
		return;
	}
	if (service->flags & CROW_SERVICE_STALE) {
		get_poll(doctor, name, &poll);
		crow_view_age(crow_view_seconds_since(service->failing_boot_ns), age);
		crow_finding(&doctor->findings, CROW_VERDICT_WARN, "service",
			     "the last good list serves on; look at discovery: crowflyd's log has "
			     "every change",
			     "%s: discovery has not confirmed its list for %s%s", name, age,
			     poll.text);
	}
	if (service->up4 + service->up6 == 0)
		crow_finding(&doctor->findings, CROW_VERDICT_FAIL, "service",
			     "give one of its instances a weight above 0",
			     "%s has no instance that may be picked", name);
}

/* False if there is nothing to look at further. */
static bool look_at_services(struct crow_doctor *doctor)
{
	unsigned before = doctor->findings.counts[CROW_VERDICT_WARN] +
			  doctor->findings.counts[CROW_VERDICT_FAIL];
	uint32_t count = crow_image_service_count(doctor->img), wanted = 0;

	for (uint32_t i = 0; i < count; i++) {
		if (!crow_doctor_wants(doctor, i))
			continue;
		wanted++;
		look_at_service(doctor, crow_image_service(doctor->img, i));
	}
	if (wanted == 0 && doctor->service)
		crow_finding(&doctor->findings, CROW_VERDICT_FAIL, "service",
			     "`crowfly status` lists those that are; new ones go to [source] "
			     "services= of crowfly.conf(5)",
			     "there is no service %s", doctor->service);
	else if (wanted == 0)
		crow_finding(&doctor->findings, CROW_VERDICT_WARN, "service",
			     "name them in [source] services= of crowfly.conf(5); with * a "
			     "service is there once a program asked for its name",
			     "the snapshot has no services");
	else if (before == doctor->findings.counts[CROW_VERDICT_WARN] +
				   doctor->findings.counts[CROW_VERDICT_FAIL])
		crow_finding(&doctor->findings, CROW_VERDICT_OK, "service", NULL,
			     "%u %s with a good list", wanted,
			     wanted == 1 ? "service" : "services");
	return wanted > 0;
}

/* ---- the program ---- */

static void look_at_program(struct crow_doctor *doctor, const char *command)
{
	struct crow_program program;
	const char *reason;

	if (!crow_program_examine(command, &program)) {
		crow_finding(&doctor->findings, CROW_VERDICT_FAIL, "program",
			     "give its path, or look at PATH", "there is no program %s", command);
		return;
	}
	reason = crow_reach_strreason(program.reach);
	if (access(program.path, X_OK) < 0)
		crow_finding(&doctor->findings, CROW_VERDICT_FAIL, "program",
			     "mend the first line of the script (#!), or install what it names",
			     "%s cannot be started: there is no interpreter %s", command,
			     program.path);
	else if (reason)
		crow_finding(&doctor->findings, CROW_VERDICT_WARN, "program",
			     "let DNS serve it: point resolv.conf at the responder (crowflyd(8)); "
			     "then ports are not translated, and a failed connection is its own",
			     "%s %s: the preload library cannot act in it", program.path, reason);
	else
		crow_finding(&doctor->findings, CROW_VERDICT_OK, "program", NULL,
			     "the preload library can act in %s: crowfly run -- %s", program.path,
			     command);
}

static int main_doctor(int argc, char **argv)
{
	static const struct crow_image nothing;
	struct doctor_options options = {0};
	struct crow_doctor doctor = {.img = &nothing};
	struct crow_copy copy = {0};
	bool well;

	if (!read_options(&options, argc, argv))
		return CROW_EXIT_USAGE;
	doctor.dir = options.dir;
	doctor.service = options.service;
	crow_findings_begin(&doctor.findings, options.json);
	if (look_at_daemon(&doctor) && look_at_snapshot(&doctor, &copy)) {
		crow_doctor_pages(&doctor);
		if (look_at_services(&doctor)) {
			crow_doctor_names(&doctor);
			crow_doctor_instances(&doctor);
		}
	}
	if (options.command)
		look_at_program(&doctor, options.command);
	well = crow_findings_end(&doctor.findings);
	crow_copy_fini(&copy);
	return well ? CROW_EXIT_OK : CROW_EXIT_FAILED;
}
