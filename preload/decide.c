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

bool crow_decide_socket(const struct crow_socket *socket)
{
	if (socket->protocol != IPPROTO_TCP && socket->protocol != IPPROTO_MPTCP)
		return false;
	if (!socket->is_stream || socket->fast_open)
		return false;
	return socket->nonblocking || socket->fresh;
}

/* The lower the likelier: the program's last look-up tells services at one address apart. */
static size_t rank(const struct crow_image *img, const struct crow_owner *owner,
		   const struct crow_hints *hints)
{
	uint64_t key = crow_service_key(img, owner->service);
	size_t position = 0;

	while (position < hints->count && hints->recent[position] != key)
		position++;
	return owner->exact ? position : hints->count + 1 + position;
}

static bool choose_owner(const struct crow_image *img, const struct crow_target *asked,
			 const struct crow_hints *hints, struct crow_owner *out)
{
	size_t best = SIZE_MAX;
	struct crow_owner owner;
	uint32_t probe = 0;

	while (crow_image_next_owner(img, &asked->addr, asked->port, &probe, &owner)) {
		size_t its = rank(img, &owner, hints);

		if (its < best) {
			best = its;
			*out = owner;
		}
	}
	return best != SIZE_MAX;
}

static struct crow_target target_of(const struct crow_snap_instance *instance)
{
	return (struct crow_target){instance->addr, instance->port};
}

/* A place on the circle that tells nothing of the point it comes from (splitmix64; Steele, Lea,
 * Flood 2014). A program that resolves and connects in turn draws two neighbours of the sequence:
 * where the first pick is a dead instance, the point of the second is on the far side of the
 * circle, always, and the instances there would get more than their share. */
static uint64_t scatter(uint64_t point)
{
	point = (point ^ point >> 30) * 0xBF58476D1CE4E5B9u;
	point = (point ^ point >> 27) * 0x94D049BB133111EBu;
	return point ^ point >> 31;
}

/* The instances to try, best first, as indices into the image. */
static size_t plan(const struct crow_image *img, const struct crow_owner *owner,
		   enum crow_family family, uint64_t point, uint32_t out[CROW_TARGETS_MAX])
{
	const struct crow_snap_instance *asked = crow_image_instance(img, owner->instance);
	size_t count;

	if (asked == NULL || asked->state != CROW_STATE_UP) {
		count = crow_pick_several(img, owner->service, family, point, out,
					  CROW_TARGETS_MAX);
		if (count > 0 || asked == NULL)
			return count;
		/* Nobody is up. The one asked for is what the program would get without us. */
		out[0] = owner->instance;
		return 1;
	}
	out[0] = owner->instance;
	for (count = 1; count < CROW_TARGETS_MAX; count++) {
		point = scatter(point);
		out[count] = crow_pick_other(img, owner->service, family, point, out, count);
		if (out[count] == CROW_SNAP_NONE)
			break;
	}
	return count;
}

void crow_decide(const struct crow_image *img, const struct crow_target *asked,
		 const struct crow_hints *hints, uint64_t point, struct crow_decision *out)
{
	enum crow_family family = crow_addr_is_v4(&asked->addr) ? CROW_V4 : CROW_V6;
	const struct crow_snap_service *service;
	uint32_t indices[CROW_TARGETS_MAX];
	struct crow_owner owner;
	size_t count;

	out->count = 0;
	if (!choose_owner(img, asked, hints, &owner))
		return;
	service = crow_image_service(img, owner.service);
	if (service == NULL)
		return;
	count = plan(img, &owner, family, point, indices);
	for (size_t i = 0; i < count; i++) {
		const struct crow_snap_instance *instance = crow_image_instance(img, indices[i]);

		if (instance != NULL)
			out->targets[out->count++] = target_of(instance);
	}
	out->attempt_timeout_ms = service->attempt_timeout_ms;
	out->service[0] = '\0';
	strncat(out->service, crow_image_string(img, service->name), CROW_NAME_MAX);
}
