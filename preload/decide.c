#include "preload/decide.h"

#include <netinet/in.h>
#include <string.h>

#include "resolver/pick.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

uint64_t crow_service_key(const struct crow_image *img, uint32_t index)
{
	const struct crow_snap_service *service = crow_image_service(img, index);
	const char *name, *source;

	if (service == NULL)
		return 0;
	name = crow_image_string(img, service->name);
	source = crow_image_string(img, service->source);
	return crow_name_hash(name, strlen(name)) ^ crow_name_hash(source, strlen(source)) << 1;
}

/* Whether an owner is the likelier one: the program's last look-up tells services at one address
 * apart. */
static bool is_likelier(const struct crow_image *img, const struct crow_owner *owner,
			const struct crow_owner *other, const struct crow_recent *recent)
{
	if (owner->exact != other->exact)
		return owner->exact;
	return crow_recent_age(recent, crow_service_key(img, owner->service)) <
	       crow_recent_age(recent, crow_service_key(img, other->service));
}

static bool choose_owner(const struct crow_image *img, const struct crow_target *asked,
			 const struct crow_recent *recent, struct crow_owner *out)
{
	struct crow_owner owner;
	uint32_t probe = 0;

	if (!crow_image_next_owner(img, &asked->addr, asked->port, &probe, out))
		return false;
	while (crow_image_next_owner(img, &asked->addr, asked->port, &probe, &owner))
		if (is_likelier(img, &owner, out, recent))
			*out = owner;
	return true;
}

static struct crow_target target_of(const struct crow_snap_instance *instance)
{
	return (struct crow_target){instance->addr, instance->port};
}

/* A place on the circle that tells nothing of the point it comes from (splitmix64; Steele, Lea,
 * Flood 2014). A program that resolves and connects in turn takes both of its sequences in step:
 * where the first pick is a dead instance, the point of the second is the same way off on the
 * circle, always, and the instances there would get more than their share. */
static uint64_t scatter(uint64_t point)
{
	point = (point ^ point >> 30) * 0xBF58476D1CE4E5B9u;
	point = (point ^ point >> 27) * 0x94D049BB133111EBu;
	return point ^ point >> 31;
}

static uint8_t at_most(uint32_t count)
{
	return count < CROW_TARGETS_MAX ? (uint8_t)count : CROW_TARGETS_MAX;
}

/* One is tried in any case: the one asked for, where nobody is up. */
static void count_targets(const struct crow_snap_service *service, enum crow_family family,
			  struct crow_decision *out)
{
	uint32_t own = family == CROW_V4 ? service->up4 : service->up6;

	out->count = own > 0 ? at_most(own) : 1;
	if (family == CROW_V6)
		out->mapped = at_most(out->count + service->up4) - out->count;
}

/* The first instance to try, as an index into the image; CROW_SNAP_NONE if there is none. */
static uint32_t first_of(const struct crow_image *img, const struct crow_owner *owner,
			 enum crow_family family, uint64_t point)
{
	const struct crow_snap_instance *asked = crow_image_instance(img, owner->instance);
	uint32_t picked;

	if (asked != NULL && asked->state == CROW_STATE_UP)
		return owner->instance;
	picked = crow_pick_at(img, owner->service, family, point);
	/* Nobody is up. The one asked for is what the program would get without us. */
	return picked != CROW_SNAP_NONE ? picked : owner->instance;
}

static enum crow_family family_of(const struct crow_target *target)
{
	return crow_addr_is_v4(&target->addr) ? CROW_V4 : CROW_V6;
}

void crow_decide(const struct crow_image *img, const struct crow_target *asked,
		 const struct crow_recent *recent, uint64_t point, struct crow_decision *out)
{
	const struct crow_snap_instance *first;
	const struct crow_snap_service *service;
	struct crow_owner owner;

	out->count = out->drawn = out->mapped = 0;
	if (!choose_owner(img, asked, recent, &owner))
		return;
	service = crow_image_service(img, owner.service);
	first = crow_image_instance(img, first_of(img, &owner, family_of(asked), point));
	if (service == NULL || first == NULL)
		return;
	count_targets(service, family_of(asked), out);
	out->targets[out->drawn++] = target_of(first);
	out->point = point;
	out->service = owner.service;
	out->attempt_timeout_ms = service->attempt_timeout_ms;
	out->name[0] = '\0';
	strncat(out->name, crow_image_string(img, service->name), CROW_NAME_MAX);
}

/* The service in an image that may be a later one, or CROW_SNAP_NONE. */
static uint32_t find_again(const struct crow_image *img, const struct crow_target *asked,
			   const char *name)
{
	struct crow_owner owner;
	uint32_t probe = 0;

	while (crow_image_next_owner(img, &asked->addr, asked->port, &probe, &owner)) {
		const struct crow_snap_service *service = crow_image_service(img, owner.service);

		if (service != NULL &&
		    strncmp(crow_image_string(img, service->name), name, CROW_NAME_MAX) == 0)
			return owner.service;
	}
	return CROW_SNAP_NONE;
}

/* The index of an instance of the service by its address, or CROW_SNAP_NONE. */
static uint32_t index_of(const struct crow_image *img, uint32_t service,
			 const struct crow_target *target)
{
	struct crow_owner owner;
	uint32_t probe = 0;

	while (crow_image_next_owner(img, &target->addr, target->port, &probe, &owner))
		if (owner.service == service && owner.exact)
			return owner.instance;
	return CROW_SNAP_NONE;
}

static void draw(const struct crow_image *img, uint32_t service, enum crow_family family,
		 uint32_t tried[CROW_TARGETS_MAX], struct crow_decision *decision)
{
	while (decision->drawn < decision->count) {
		const struct crow_snap_instance *instance;
		uint32_t index;

		decision->point = scatter(decision->point);
		index = crow_pick_other(img, service, family, decision->point, tried,
					decision->drawn);
		instance = crow_image_instance(img, index);
		if (instance == NULL)
			return;
		tried[decision->drawn] = index;
		decision->targets[decision->drawn++] = target_of(instance);
	}
}

void crow_decide_others(const struct crow_image *img, const struct crow_target *asked,
			struct crow_decision *decision)
{
	uint32_t service = find_again(img, asked, decision->name);
	uint32_t tried[CROW_TARGETS_MAX];

	for (uint8_t i = 0; i < decision->drawn; i++)
		tried[i] = index_of(img, service, &decision->targets[i]);
	draw(img, service, family_of(asked), tried, decision);
	if (decision->mapped > 0)
		draw(img, service, CROW_V4, tried, decision);
}
