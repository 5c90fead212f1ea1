#include "preload/decide.h"

#include "resolver/pick.h"

static uint64_t key_of(const struct crow_image *img, const struct crow_owner *owner)
{
	const struct crow_snap_service *service = crow_image_service(img, owner->service);

	return service != NULL ? service->key : 0;
}

/* Whether an owner is the likelier one: the program's last look-up tells services at one address
 * apart. */
static bool is_likelier(const struct crow_image *img, const struct crow_owner *owner,
			const struct crow_owner *other, const struct crow_recent *recent)
{
	if (owner->exact != other->exact)
		return owner->exact;
	return crow_recent_age(recent, key_of(img, owner)) <
	       crow_recent_age(recent, key_of(img, other));
}

static bool choose_owner(const struct crow_image *img, const struct crow_target *asked,
			 const struct crow_recent *recent, struct crow_owner *out, bool *is_sole)
{
	struct crow_owner owner;
	uint32_t probe = 0;

	if (!crow_image_next_owner(img, &asked->addr, asked->port, &probe, out))
		return false;
	*is_sole = true;
	while (crow_image_next_owner(img, &asked->addr, asked->port, &probe, &owner)) {
		*is_sole = false;
		if (is_likelier(img, &owner, out, recent))
			*out = owner;
	}
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

static enum crow_family family_of(const struct crow_target *target)
{
	return crow_addr_is_v4(&target->addr) ? CROW_V4 : CROW_V6;
}

static void draw_first(const struct crow_snap_instance *instance, const struct crow_target *asked,
		       struct crow_decision *decision)
{
	decision->drawn = 1;
	decision->targets[0] = target_of(instance);
	decision->is_asked =
		instance->port == asked->port && crow_addr_equal(&instance->addr, &asked->addr);
}

void crow_decide(const struct crow_image *img, const struct crow_target *asked,
		 const struct crow_recent *recent, struct crow_decision *out)
{
	const struct crow_snap_instance *instance;
	const struct crow_snap_service *service;
	enum crow_family family = family_of(asked);
	struct crow_owner owner;
	bool is_any_up;

	out->count = out->drawn = out->mapped = 0;
	out->is_sole = out->is_asked = false;
	if (!choose_owner(img, asked, recent, &owner, &out->is_sole))
		return;
	service = crow_image_service(img, owner.service);
	instance = crow_image_instance(img, owner.instance);
	if (service == NULL)
		return;
	is_any_up = (family == CROW_V4 ? service->up4 : service->up6) > 0;
	if (instance == NULL && !is_any_up)
		return;
	count_targets(service, family, out);
	out->service = owner.service;
	out->attempt_timeout_ms = service->attempt_timeout_ms;
	out->key = service->key;
	/* Where nobody is up, the one asked for is what the program would get without us. */
	if (instance != NULL && (instance->state == CROW_STATE_UP || !is_any_up))
		draw_first(instance, asked, out);
}

void crow_decide_first(const struct crow_image *img, const struct crow_target *asked,
		       uint64_t point, struct crow_decision *decision)
{
	uint32_t index = crow_pick_at(img, decision->service, family_of(asked), point);
	const struct crow_snap_instance *picked = crow_image_instance(img, index);

	if (picked != NULL)
		draw_first(picked, asked, decision);
	else
		decision->count = 0;
}

/* The service in an image that may be a later one, or CROW_SNAP_NONE. */
static uint32_t find_again(const struct crow_image *img, const struct crow_target *asked,
			   uint64_t key)
{
	struct crow_owner owner;
	uint32_t probe = 0;

	while (crow_image_next_owner(img, &asked->addr, asked->port, &probe, &owner))
		if (key_of(img, &owner) == key)
			return owner.service;
	return CROW_SNAP_NONE;
}

const char *crow_decide_name(const struct crow_image *img, const struct crow_target *asked,
			     const struct crow_decision *decision)
{
	const struct crow_snap_service *service =
		crow_image_service(img, find_again(img, asked, decision->key));

	return service != NULL ? crow_image_string(img, service->name) : "";
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
		 uint64_t *point, uint32_t tried[CROW_TARGETS_MAX], struct crow_decision *decision)
{
	while (decision->drawn < decision->count) {
		const struct crow_snap_instance *instance;
		uint32_t index;

		*point = scatter(*point);
		index = crow_pick_other(img, service, family, *point, tried, decision->drawn);
		instance = crow_image_instance(img, index);
		if (instance == NULL)
			return;
		tried[decision->drawn] = index;
		decision->targets[decision->drawn++] = target_of(instance);
	}
}

void crow_decide_others(const struct crow_image *img, const struct crow_target *asked,
			uint64_t point, struct crow_decision *decision)
{
	uint32_t service = find_again(img, asked, decision->key);
	uint32_t tried[CROW_TARGETS_MAX];

	for (uint8_t i = 0; i < decision->drawn; i++)
		tried[i] = index_of(img, service, &decision->targets[i]);
	draw(img, service, family_of(asked), &point, tried, decision);
	if (decision->mapped > 0)
		draw(img, service, CROW_V4, &point, tried, decision);
}
