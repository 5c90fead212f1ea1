#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/dial.h"
#include "cli/doctor.h"
#include "cli/host.h"
#include "cli/view.h"

/* Long enough for the kernel's second SYN, after 1 s: one lost packet is no verdict. */
#define DIAL_TIMEOUT_MS 2500

/* Lines about instances of one service; the rest is counted. */
#define LINES_MAX 8

/* Instances dialled in all: 128 at once with 2.5 s each make a minute of the worst case. */
#define DIALS_MAX 3000

static void show_progress(void *context, size_t done, size_t count)
{
	(void)context;
	if (count < 64 || !isatty(STDERR_FILENO))
		return;
	fprintf(stderr, "\rconnected to %zu of %zu instances", done, count);
	if (done == count)
		fputs("\r\033[K", stderr); /* EL of ECMA-48: the line is empty again */
	fflush(stderr);
}

/* ---- why ---- */

static const char *reason(const struct crow_dial *dial)
{
	switch (dial->error) {
	case ECONNREFUSED:
		return "refuses connections: nothing listens there";
	case ETIMEDOUT:
		return crow_host_is_onlink(&dial->addr)
			       ? "does not answer, though it is in a network of this host"
			       : "does not answer, and lies behind a router";
	case ENETUNREACH:
	case EHOSTUNREACH:
		return crow_dial_has_route(&dial->addr)
			       ? "is unreachable: a router or the neighbour table says so"
			       : "is outside the networks that this host has a route to";
	case ECONNRESET:
		return "resets connections";
	default:
		return strerror(dial->error);
	}
}

static const char *remedy(const struct crow_dial *dial, enum crow_verdict verdict)
{
	switch (dial->error) {
	case ECONNREFUSED:
		return verdict == CROW_VERDICT_FAIL
			       ? "look at the instances' processes; there is none to go round to"
			       : "look at the instance's process; crowfly goes round it meanwhile";
	case ETIMEDOUT:
		return "a security group or firewall that drops TCP to this port, a route that is "
		       "missing on the way back, or a dead machine: allow this host's network in "
		       "the instances' security group, then look at ip route get ADDRESS";
	case ENETUNREACH:
	case EHOSTUNREACH:
		return "VPC direct connection must be on for this host's VPC (vSwitch and security "
		       "group), or a route is missing: ip route get ADDRESS";
	default:
		return "try it by hand: curl -v http://ADDRESS:PORT/";
	}
}

/* ---- one service ---- */

static void tell_failed(struct crow_doctor *doctor, const char *name, const struct crow_dial *dial,
			enum crow_verdict verdict)
{
	char endpoint[CROW_ENDPOINT_TEXT];

	crow_addr_format(&dial->addr, dial->port, endpoint);
	crow_finding(&doctor->findings, verdict, "instance", remedy(dial, verdict), "%s: %s %s",
		     name, endpoint, reason(dial));
}

/* A part that fails is what crowfly is for; all of them is an outage. */
static void tell_service(struct crow_doctor *doctor, const char *name,
			 const struct crow_dial *dials, size_t count)
{
	enum crow_verdict verdict;
	size_t failed = 0, told = 0;

	for (size_t i = 0; i < count; i++)
		failed += dials[i].error != 0;
	verdict = failed == count ? CROW_VERDICT_FAIL : CROW_VERDICT_WARN;
	if (failed < count)
		crow_finding(&doctor->findings, CROW_VERDICT_OK, "instance", NULL,
			     "%s: %zu of %zu instances take connections", name, count - failed,
			     count);
	for (size_t i = 0; i < count && told < LINES_MAX; i++) {
		if (dials[i].error == 0)
			continue;
		tell_failed(doctor, name, &dials[i], verdict);
		told++;
	}
	if (failed > told)
		crow_finding(&doctor->findings, verdict, "instance",
			     "mend the first ones, then ask again", "%s: and %zu more", name,
			     failed - told);
}

/* ---- all of them ---- */

/* The instances of a service that somebody may be sent to: nobody misses one of weight 0 that is
 * being taken down. They are appended to dials, as far as there is room; returns how many. */
static size_t collect_service(const struct crow_image *img, const struct crow_snap_service *service,
			      struct crow_dial *dials, size_t room)
{
	size_t count = 0;

	for (uint32_t i = 0; i < service->count && count < room; i++) {
		const struct crow_snap_instance *instance =
			crow_image_instance(img, service->first + i);

		if (instance->state == CROW_STATE_DRAINED)
			continue;
		dials[count].addr = instance->addr;
		dials[count++].port = instance->port;
	}
	return count;
}

/* counts: for each service of the image, how many of the dials are its own. */
static size_t collect(const struct crow_doctor *doctor, struct crow_dial *dials, size_t room,
		      size_t *counts)
{
	const struct crow_image *img = doctor->img;
	size_t count = 0;

	for (uint32_t i = 0; i < crow_image_service_count(img); i++) {
		if (crow_doctor_wants(doctor, i))
			counts[i] = collect_service(img, crow_image_service(img, i), dials + count,
						    room - count);
		count += counts[i];
	}
	return count;
}

static void tell_services(struct crow_doctor *doctor, const struct crow_dial *dials,
			  const size_t *counts)
{
	const struct crow_image *img = doctor->img;

	for (uint32_t i = 0; i < crow_image_service_count(img); i++) {
		if (counts[i] > 0)
			tell_service(doctor,
				     crow_image_string(img, crow_image_service(img, i)->name),
				     dials, counts[i]);
		dials += counts[i];
	}
}

void crow_doctor_instances(struct crow_doctor *doctor)
{
	struct crow_dial *dials = calloc(DIALS_MAX, sizeof(*dials));
	size_t *counts = calloc(crow_image_service_count(doctor->img), sizeof(*counts));
	size_t count;

	if (dials && counts) {
		count = collect(doctor, dials, DIALS_MAX, counts);
		crow_dial_all(dials, count, DIAL_TIMEOUT_MS, show_progress, NULL);
		tell_services(doctor, dials, counts);
		if (count == DIALS_MAX)
			crow_finding(&doctor->findings, CROW_VERDICT_NOTE, "instance",
				     "--service NAME looks at one service",
				     "only the first %d instances were tried", DIALS_MAX);
	}
	free(counts);
	free(dials);
}
