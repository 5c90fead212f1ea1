#include "daemon/dns/subject.h"

#include <string.h>

#include "daemon/dns/ptr.h"
#include "daemon/dns/target.h"

static bool begins_with(const char *text, size_t length, const char *prefix)
{
	size_t n = strlen(prefix);

	return length > n && memcmp(text, prefix, n) == 0;
}

/* How many bytes of a name stand before the service's: RFC 2782's two labels, or the second. */
static size_t srv_prefix(const char *text, size_t length)
{
	if (begins_with(text, length, "_http._tcp."))
		return strlen("_http._tcp.");
	return begins_with(text, length, "_tcp.") ? strlen("_tcp.") : 0;
}

static const struct crow_snap_name *find_service(const struct crow_image *img, const char *text,
						 size_t length)
{
	const struct crow_snap_name *name = crow_image_find_name(img, text, length);

	return name && name->kind == CROW_NAME_SERVICE ? name : NULL;
}

static bool has_list(const struct crow_image *img, uint32_t index)
{
	const struct crow_snap_service *service = crow_image_service(img, index);

	return service && (service->count > 0 || service->taken_wall_s != 0);
}

/* Whether discovery may know a service of this name: only the characters that platforms allow in
 * one, and no label that begins with `_` (RFC 8552 keeps those for SRV, TXT and the like). */
static bool is_plausible(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		char c = text[i];

		if (c == '_' && (i == 0 || text[i - 1] == '.'))
			return false;
		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
		      c == '.'))
			return false;
	}
	return length > 0;
}

/* A name below an on-demand zone; service_length bytes of it stand before ".<zone>". */
static enum crow_subject_kind demand(const struct crow_image *img, const char *text, size_t length,
				     size_t service_length)
{
	const struct crow_snap_name *name;

	if (!is_plausible(text, service_length))
		return CROW_SUBJECT_ABSENT;
	name = crow_image_find_name(img, text, length);
	if (!name)
		return CROW_SUBJECT_WANTED;
	return name->kind == CROW_NAME_FAILED ? CROW_SUBJECT_UNREADY : CROW_SUBJECT_ABSENT;
}

/* A name below a zone that is no service's. */
static void below_zone(struct crow_subject *subject, const struct crow_image *img, const char *text,
		       size_t length)
{
	size_t label_length = subject->apex - 1; /* all that stands before ".<zone>" */

	if (crow_target_parse(text, label_length, &subject->addr)) {
		subject->kind = crow_image_has_address(img, &subject->addr) ? CROW_SUBJECT_ADDRESS
									    : CROW_SUBJECT_ABSENT;
		return;
	}
	if (subject->timeout_ms > 0 && subject->apex > subject->wanted)
		subject->kind = demand(img, text + subject->wanted, length - subject->wanted,
				       label_length - subject->wanted);
	/* Service names may hold dots. NXDOMAIN would deny all that is below, too (RFC 8020). */
	if (subject->kind == CROW_SUBJECT_ABSENT && crow_image_is_parent(img, text, length))
		subject->kind = CROW_SUBJECT_EMPTY;
}

/* Where a zone begins that has something before it, and a search suffix behind it; 0 = nowhere.
 * Stub resolvers append those to every name that has few dots or that failed. Only a zone of two
 * labels or more is told by its look: one of a single label may be anybody's. */
static size_t find_suffixed_zone(const struct crow_image *img, const char *text, size_t length)
{
	const char *dot = text;

	while ((dot = memchr(dot, '.', length - (size_t)(dot - text))) != NULL) {
		size_t at = (size_t)(++dot - text);

		for (uint32_t i = 0; i < img->header->zones.count; i++) {
			const char *zone = crow_image_string(img, img->zones[i].name);
			size_t size = strlen(zone);

			if (length - at > size && memcmp(dot, zone, size) == 0 &&
			    dot[size] == '.' && memchr(zone, '.', size))
				return at;
		}
	}
	return 0;
}

static bool is_reverse(struct crow_subject *subject, const struct crow_image *img, const char *text,
		       size_t length)
{
	uint32_t probe = 0, service;

	return crow_ptr_parse(text, length, &subject->addr) &&
	       crow_image_next_holder(img, &subject->addr, &probe, &service);
}

/* A name outside of all zones that is no service's. Of the reverse zones we have no more than the
 * names of our instances. A suffixed one is denied by us under an SOA of just the zone with the
 * suffix: that name can have no other owner, while the suffix itself is not ours. */
static void outside(struct crow_subject *subject, const struct crow_image *img, const char *text,
		    size_t length)
{
	subject->apex = 0;
	if (is_reverse(subject, img, text, length)) {
		subject->kind = CROW_SUBJECT_REVERSE;
		return;
	}
	subject->apex = find_suffixed_zone(img, text, length);
	if (subject->apex > 0)
		subject->kind = CROW_SUBJECT_ABSENT;
}

struct crow_subject crow_subject_of(const struct crow_image *img, const char *text, size_t length)
{
	struct crow_subject subject = {.kind = CROW_SUBJECT_ELSEWHERE};
	const struct crow_snap_zone *zone = crow_image_find_zone(img, text, length);
	const struct crow_snap_name *name = find_service(img, text, length);
	size_t prefix = 0;

	if (!name) {
		prefix = srv_prefix(text, length);
		if (prefix > 0)
			name = find_service(img, text + prefix, length - prefix);
	}
	subject.apex = zone ? length - strlen(crow_image_string(img, zone->name)) : prefix;
	if (name) {
		subject.service = name->service;
		if (!has_list(img, name->service))
			subject.kind = CROW_SUBJECT_UNREADY;
		else if (prefix == 0)
			subject.kind = CROW_SUBJECT_SERVICE;
		else
			subject.kind =
				text[1] == 'h' ? CROW_SUBJECT_SERVICE_SRV : CROW_SUBJECT_EMPTY;
		return subject;
	}
	if (!zone) {
		outside(&subject, img, text, length);
		return subject;
	}
	if (subject.apex == 0) {
		subject.kind = CROW_SUBJECT_APEX;
		return subject;
	}
	subject.kind = CROW_SUBJECT_ABSENT;
	subject.wanted = prefix;
	subject.timeout_ms = zone->timeout_ms;
	below_zone(&subject, img, text, length);
	return subject;
}
