#include <stdio.h>
#include <string.h>

#include "cli/ask.h"
#include "cli/doctor.h"
#include "cli/face.h"
#include "cli/host.h"
#include "cli/library.h"
#include "cli/program.h"
#include "cli/view.h"
#include "resolver/name.h"

/* Names tried: one that resolves is good evidence for its neighbours. */
#define NAMES_MAX 4

/* A DNS name of the service, in the form without `_`, which every program takes. */
static bool make_name(const struct crow_image *img, uint32_t index, char out[CROW_NAME_MAX + 1])
{
	const struct crow_snap_service *service = crow_image_service(img, index);
	int length = snprintf(out, CROW_NAME_MAX + 1, "%s.%s",
			      crow_image_string(img, service->name), crow_view_zone(img, service));

	for (char *p = out; *p; p++)
		*p = *p == '_' ? '-' : *p;
	return length <= CROW_NAME_MAX && crow_view_is_named(img, index, out);
}

/* Whether all that was found are addresses of the service's instances. */
static bool is_right(const struct crow_image *img, uint32_t index, const struct crow_asked *asked)
{
	const struct crow_snap_service *service = crow_image_service(img, index);

	for (size_t i = 0; i < asked->count; i++) {
		uint32_t j = 0;

		while (j < service->count &&
		       !crow_addr_equal(&crow_image_instance(img, service->first + j)->addr,
					&asked->addrs[i]))
			j++;
		if (j == service->count)
			return false;
	}
	return asked->count > 0;
}

static bool can_resolve(const struct crow_image *img, uint32_t index)
{
	const struct crow_snap_service *service = crow_image_service(img, index);

	return service->up4 + service->up6 > 0;
}

/* One way to resolve, tried with a few names: the first that fails ends it. */
struct way {
	const struct crow_doctor *doctor;
	void (*ask)(const struct way *way, const char *name, struct crow_asked *out);
	const char *library;
	struct crow_face server;
	struct crow_asked asked; /* the last answer */
	char name[CROW_NAME_MAX + 1];
	unsigned tried;
};

/* True if every name that was tried came out right. */
static bool try_names(struct way *way)
{
	const struct crow_image *img = way->doctor->img;

	for (uint32_t i = 0; i < crow_image_service_count(img) && way->tried < NAMES_MAX; i++) {
		if (!crow_doctor_wants(way->doctor, i) || !can_resolve(img, i) ||
		    !make_name(img, i, way->name))
			continue;
		way->tried++;
		way->ask(way, way->name, &way->asked);
		if (!is_right(img, i, &way->asked))
			return false;
	}
	return true;
}

static const char *what_came(const struct crow_asked *asked)
{
	if (!asked->answered)
		return "no answer came in time";
	return asked->count ? "the answer has addresses that are not its instances'"
			    : "the answer has no address";
}

/* ---- by the preload library ---- */

static void ask_libc(const struct way *way, const char *name, struct crow_asked *out)
{
	crow_ask_libc(way->library, way->doctor->dir, name, out);
}

static void look_at_preload(struct crow_doctor *doctor)
{
	char library[PATH_MAX];
	struct way way = {.doctor = doctor, .ask = ask_libc, .library = library};

	if (!crow_library_find(library))
		crow_finding(&doctor->findings, CROW_VERDICT_FAIL, "preload",
			     "install crowfly whole, with `make install`",
			     "the preload library cannot be found or used");
	else if (!try_names(&way))
		crow_finding(&doctor->findings, CROW_VERDICT_FAIL, "preload",
			     "run it with CROWFLY_LOG=debug to see what the library says: crowfly "
			     "run -v -- getent ahosts NAME",
			     "a program with the preload library does not find %s: %s", way.name,
			     what_came(&way.asked));
	else if (way.tried > 0)
		crow_finding(&doctor->findings, CROW_VERDICT_OK, "preload", NULL,
			     "programs with the preload library find %s", way.name);
}

/* ---- by DNS ---- */

static void ask_server(const struct way *way, const char *name, struct crow_asked *out)
{
	crow_ask_dns(&way->server.addr, way->server.port, name, out);
}

static const char *next_of_responder(const struct crow_asked *asked)
{
	if (asked->answered)
		return "does another name server listen there? ss -lunp shows it";
	return "does crowflyd hang (top -H), does a firewall drop loopback UDP, or does crowflyd "
	       "run in another network namespace?";
}

static void look_at_responder(struct crow_doctor *doctor, const struct crow_face *face)
{
	struct way way = {.doctor = doctor, .ask = ask_server, .server = *face};
	char endpoint[CROW_ENDPOINT_TEXT];
	bool right = try_names(&way);

	crow_addr_format(&face->addr, face->port, endpoint);
	doctor->responder_answers |= right;
	if (!right && !way.asked.answered && !doctor->daemon_lives)
		crow_finding(&doctor->findings, CROW_VERDICT_NOTE, "dns", CROW_DOCTOR_FOLLOWS,
			     "the responder at %s does not answer, as crowflyd does not run",
			     endpoint);
	else if (!right)
		crow_finding(&doctor->findings, CROW_VERDICT_FAIL, "dns",
			     next_of_responder(&way.asked),
			     "the responder at %s does not resolve %s: %s", endpoint, way.name,
			     what_came(&way.asked));
	else if (way.tried > 0)
		crow_finding(&doctor->findings, CROW_VERDICT_OK, "dns", NULL,
			     "the responder at %s resolves %s", endpoint, way.name);
}

/* ---- as the host is set up ---- */

static bool is_among(const struct crow_addr *addr, const struct crow_addr *addrs, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (crow_addr_equal(addr, &addrs[i]))
			return true;
	return false;
}

/* Whether resolv.conf names one of our addresses, which it can for port 53 alone. */
static bool names_us(const struct crow_face *faces, size_t face_count,
		     const struct crow_addr *servers, size_t count)
{
	for (size_t i = 0; i < face_count; i++)
		if (faces[i].port == 53 && is_among(&faces[i].addr, servers, count))
			return true;
	return false;
}

static void tell_setup(struct crow_doctor *doctor, const struct crow_face *faces, size_t face_count)
{
	static const uint8_t stub_bytes[4] = {127, 0, 0, 53}; /* systemd-resolved(8) */
	const struct crow_addr stub = crow_addr_v4(stub_bytes);
	struct crow_addr servers[CROW_NAMESERVERS_MAX];
	size_t count = crow_host_nameservers("/etc/resolv.conf", servers);
	const char *next = "nothing, if crowfly run is all you use; else let resolv.conf name the "
			   "responder's address alone, and [dns] upstream= the servers that it "
			   "names today";

	if (is_among(&stub, servers, count))
		next = "nothing, if crowfly run is all you use; else install "
		       "examples/resolved-crowfly.conf, which sends the zone from "
		       "systemd-resolved to the responder";
	if (names_us(faces, face_count, servers, count) && !doctor->responder_answers)
		crow_finding(&doctor->findings, CROW_VERDICT_NOTE, "system", CROW_DOCTOR_FOLLOWS,
			     "programs without the preload library do not find services: "
			     "/etc/resolv.conf names the responder, which does not answer");
	else if (names_us(faces, face_count, servers, count))
		crow_finding(
			&doctor->findings, CROW_VERDICT_FAIL, "system",
			"getent ahosts NAME and dig @ADDRESS NAME show which of the two fails; "
			"options in resolv.conf(5) and an nscd in between may be the reason",
			"/etc/resolv.conf names the responder, and still other programs do not "
			"find services");
	else
		crow_finding(&doctor->findings, CROW_VERDICT_NOTE, "system", next,
			     "programs without the preload library do not find services: "
			     "/etc/resolv.conf %s",
			     count ? "names other servers" : "names no server");
}

static void look_at_system(struct crow_doctor *doctor, const struct crow_face *faces,
			   size_t face_count)
{
	struct way way = {.doctor = doctor, .ask = ask_libc};

	if (!crow_host_asks_dns())
		crow_finding(&doctor->findings, CROW_VERDICT_WARN, "system",
			     "add dns to the line hosts: of /etc/nsswitch.conf",
			     "/etc/nsswitch.conf lets no program ask DNS for hosts");
	else if (!try_names(&way))
		tell_setup(doctor, faces, face_count);
	else if (way.tried > 0)
		crow_finding(&doctor->findings, CROW_VERDICT_OK, "system", NULL,
			     "programs without the preload library find %s, too", way.name);
}

void crow_doctor_names(struct crow_doctor *doctor)
{
	struct crow_face faces[CROW_FACES_MAX];
	size_t count = crow_face_get(doctor->img, "dns", faces);
	char getent[PATH_MAX];
	bool can_try = crow_program_find("getent", getent);

	if (can_try)
		look_at_preload(doctor);
	else
		crow_finding(&doctor->findings, CROW_VERDICT_WARN, "system",
			     "install it (with glibc: package libc-bin), or let PATH name its "
			     "directory",
			     "there is no getent(1), and so it cannot be tried how programs "
			     "resolve names");
	if (count == 0)
		crow_finding(&doctor->findings, CROW_VERDICT_NOTE, "dns",
			     "nothing, if crowfly run is all you use; else give it an address with "
			     "[dns] listen= of crowfly.conf(5)",
			     "the responder is off ([dns] listen=none)");
	for (size_t i = 0; i < count; i++)
		look_at_responder(doctor, &faces[i]);
	if (can_try)
		look_at_system(doctor, faces, count);
}
