#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/doctor.h"
#include "cli/face.h"
#include "cli/get.h"
#include "cli/story.h"
#include "cli/view.h"

#define STRING(number) #number
#define DIGITS(number) STRING(number)

static const char *reason(int error)
{
	switch (error) {
	case ETIMEDOUT:
		return "no answer came within " DIGITS(CROW_GET_TIMEOUT_S) " s";
	case EPROTO:
		return "what came is not HTTP";
	default:
		return strerror(error);
	}
}

static const char *remedy(int error)
{
	switch (error) {
	case ETIMEDOUT:
		return "crowflyd hangs, or a firewall drops loopback TCP; top -H shows whether a "
		       "thread of it spins, systemctl restart crowfly ends it (DNS and the "
		       "library do without it meanwhile)";
	case EPROTO:
		return "does another program listen there? ss -ltnp shows it";
	default:
		return "does crowflyd run in another network namespace? ss -ltnp shows who "
		       "listens here";
	}
}

/* Up to its first line's end: a sentence of the daemon's. */
static int first_line(const char *body)
{
	return (int)strcspn(body, "\r\n");
}

/* False after a finding. */
static bool look_at_health(struct crow_doctor *doctor, const struct crow_face *face,
			   const char *endpoint)
{
	struct crow_got got;
	bool well;

	crow_get_page(face, "/healthz", &got);
	well = got.error == 0 && got.status == 200 && strcmp(got.body, "ok\n") == 0;
	if (got.error == ECONNREFUSED && !doctor->daemon_lives)
		crow_finding(&doctor->findings, CROW_VERDICT_NOTE, "http", CROW_DOCTOR_FOLLOWS,
			     "http://%s/ refuses connections, as crowflyd does not run", endpoint);
	else if (got.error)
		crow_finding(&doctor->findings, CROW_VERDICT_FAIL, "http", remedy(got.error),
			     "http://%s/ does not answer: %s", endpoint, reason(got.error));
	else if (!well)
		crow_finding(&doctor->findings, CROW_VERDICT_FAIL, "http", remedy(EPROTO),
			     "http://%s/healthz answers %u, as crowflyd does not", endpoint,
			     got.status);
	free(got.body);
	return well;
}

static void look_at_readiness(struct crow_doctor *doctor, const struct crow_face *face,
			      const char *endpoint)
{
	struct crow_got got;

	crow_get_page(face, "/readyz", &got);
	if (got.error)
		crow_finding(&doctor->findings, CROW_VERDICT_FAIL, "http", remedy(got.error),
			     "http://%s/readyz does not answer: %s", endpoint, reason(got.error));
	else if (got.status != 200)
		crow_finding(&doctor->findings, CROW_VERDICT_WARN, "http",
			     "wait for the first poll of each, which [source] timeout= bounds; "
			     "`crowfly status` shows what it brought",
			     "http://%s/ answers, but is not ready: %.*s", endpoint,
			     first_line(got.body), got.body);
	else
		crow_finding(&doctor->findings, CROW_VERDICT_OK, "http", NULL,
			     "http://%s/ answers, and is ready", endpoint);
	free(got.body);
}

/* Whether the snapshot here is what crowflyd has: it writes each image before it answers the next
 * request, so that the file, looked at after the answer, is not older than that. */
static void look_at_image(struct crow_doctor *doctor)
{
	struct crow_story *story =
		crow_story_load(doctor->img, "-"); /* its services are not asked for */
	char complaint[CROW_VIEW_COMPLAINT];
	struct crow_copy copy = {0};
	int64_t pid, generation;
	const struct crow_snap_header *here;

	if (crow_story_image(story, &pid, &generation) &&
	    crow_view_try(&copy, doctor->dir, complaint)) {
		here = copy.image.header;
		if (here->publisher_pid != pid || (int64_t)here->generation < generation)
			crow_finding(
				&doctor->findings, CROW_VERDICT_WARN, "snapshot",
				"crowflyd's log says whether it cannot write there (a full or "
				"read-only file system); in a container, mount the directory, "
				"not the file",
				"the snapshot in %s is older than what crowflyd has (generation "
				"%" PRIu64 " of pid %" PRIu32 ", against %" PRId64 " of %" PRId64
				"): programs under the library miss the changes",
				doctor->dir, here->generation, here->publisher_pid, generation,
				pid);
	}
	crow_copy_fini(&copy);
	crow_story_free(story);
}

void crow_doctor_pages(struct crow_doctor *doctor)
{
	struct crow_face faces[CROW_FACES_MAX];
	size_t count = crow_face_get(doctor->img, "http", faces);
	char endpoint[CROW_ENDPOINT_TEXT];

	if (count == 0)
		crow_finding(&doctor->findings, CROW_VERDICT_NOTE, "http",
			     "nothing, if nobody wants the page, /metrics or the mirror; else give "
			     "it an address with [http] listen= of crowfly.conf(5)",
			     "the HTTP pages are off ([http] listen=none)");
	for (size_t i = 0; i < count; i++) {
		crow_addr_format(&faces[i].addr, faces[i].port, endpoint);
		if (!look_at_health(doctor, &faces[i], endpoint))
			continue;
		look_at_readiness(doctor, &faces[i], endpoint);
		doctor->pages_answer = true;
	}
	if (doctor->pages_answer)
		look_at_image(doctor);
}
