#include "daemon/dns/choice.h"

#include <string.h>

/* How many are drawn at most for one that is wanted. Half of the others fit on average, and where
 * few do, a short answer is better than a slow one. */
#define DRAWS 4

/* ---- where nothing may be picked ---- */

/* The instances of a family among those that may not be picked, as indices into the image: they
 * rise by address, IPv4 first. */
struct rest {
	uint32_t begin, end;
};

static struct rest rest_of(const struct crow_image *img, const struct crow_snap_service *service,
			   enum crow_family family)
{
	struct rest rest = {service->first + service->up4 + service->up6,
			    service->first + service->count};
	uint32_t low = rest.begin, high = rest.end;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (crow_addr_is_v4(&img->instances[middle].addr))
			low = middle + 1;
		else
			high = middle;
	}
	if (family == CROW_V4)
		rest.end = low;
	else if (family == CROW_V6)
		rest.begin = low;
	return rest;
}

/* There is no distribution of what may not be picked: equal shares, by a start that moves on. */
static size_t choose_ejected(const struct crow_image *img, const struct crow_snap_service *service,
			     enum crow_family family, uint64_t point, size_t want, uint32_t *out)
{
	struct rest rest = rest_of(img, service, family);
	uint32_t count = rest.end - rest.begin;
	uint32_t start = (uint32_t)((unsigned __int128)point * count >> 64);
	size_t found = 0;

	for (uint32_t i = 0; i < count && found < want; i++) {
		uint32_t at = rest.begin + (uint32_t)(((uint64_t)start + i) % count);

		if (img->instances[at].state == CROW_STATE_EJECTED)
			out[found++] = at;
	}
	return found;
}

size_t crow_choice_instances(const struct crow_image *img, uint32_t index, enum crow_family family,
			     uint64_t seq, size_t want, uint32_t *out)
{
	const struct crow_snap_service *service = crow_image_service(img, index);
	uint64_t point = crow_pick_point(seq);
	size_t count = crow_pick_several(img, index, family, point, out, want);

	if (count == 0 && service)
		count = choose_ejected(img, service, family, point, want, out);
	return count;
}

/* ---- addresses ---- */

struct filter {
	const struct crow_image *img;
	const struct crow_answer_settings *settings;
	bool shared;   /* whether two of the service's instances have one address */
	bool v4;       /* whether all of them are of IPv4 */
	unsigned most; /* what the first one shares with this host's address */
};

/* From its mark, which the answer touches anyway (given.h). */
static struct crow_addr address_of(const struct filter *filter, uint32_t instance)
{
	const struct crow_given_mark *marks = filter->settings->given;

	if (filter->v4 && marks)
		return crow_addr_v4(marks[instance].v4);
	return filter->img->instances[instance].addr;
}

/* RFC 2181 5: a set holds a record once. Instances on different ports may share an address. */
static bool is_chosen(const struct crow_choice *chosen, const struct crow_addr *addr)
{
	for (size_t i = 0; i < chosen->count; i++)
		if (crow_addr_equal(addr, &chosen->addrs[i]))
			return true;
	return false;
}

static bool fits(struct filter *filter, const struct crow_choice *chosen,
		 const struct crow_addr *addr)
{
	unsigned match;

	if (filter->shared && is_chosen(chosen, addr))
		return false;
	if (!filter->settings->host)
		return true;
	match = crow_host_match(filter->settings->host, addr);
	if (chosen->count == 0)
		filter->most = match;
	return match <= filter->most;
}

static void choose(struct crow_choice *chosen, struct filter *filter, uint32_t candidate)
{
	struct crow_addr addr = address_of(filter, candidate);

	if (!fits(filter, chosen, &addr))
		return;
	chosen->instances[chosen->count] = candidate;
	chosen->addrs[chosen->count++] = addr;
}

void crow_choice_addresses(const struct crow_image *img, uint32_t index, enum crow_family family,
			   const struct crow_answer_settings *settings, size_t want,
			   struct crow_choice *out)
{
	const struct crow_snap_service *service = crow_image_service(img, index);
	size_t most = want * DRAWS < CROW_PICK_SEVERAL_MAX ? want * DRAWS : CROW_PICK_SEVERAL_MAX;
	struct filter filter = {.img = img, .settings = settings, .v4 = family == CROW_V4};
	uint64_t point = crow_pick_point(crow_settings_next_seq(settings, index, family));
	uint32_t drawn[CROW_PICK_SEVERAL_MAX];
	size_t count = 0, seen = 0;

	out->count = 0;
	if (!service)
		return;
	filter.shared = service->flags & CROW_SERVICE_SHARED;
	while (out->count < want && count < most) {
		size_t next = count + want - out->count;

		count = crow_pick_more(img, index, family, &point, drawn, count,
				       next < most ? next : most);
		if (count == 0)
			count = choose_ejected(img, service, family, point, most, drawn);
		if (count == seen)
			break;
		crow_given_prefetch(settings->given, drawn + seen, count - seen);
		for (; seen < count && out->count < want; seen++)
			choose(out, &filter, drawn[seen]);
		seen = count;
	}
}
