#include "resolver/pick.h"

/* 2^64 divided by the golden ratio, rounded to odd (Knuth, TAOCP 3, 6.4). */
#define GOLDEN 0x9E3779B97F4A7C15u

/* After so many draws that hit what was tried, a scan is quicker: with half of the weight tried, a
 * further draw is needed once in 256 times. */
#define REDRAWS 8

uint64_t crow_pick_point(uint64_t seq)
{
	return seq * GOLDEN;
}

/* splitmix64 (Steele, Lea, Flood 2014): the k-th further point of one that was used. */
static uint64_t further_point(uint64_t point, uint64_t k)
{
	uint64_t z = point + (k + 1) * GOLDEN;

	z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
	z = (z ^ z >> 27) * 0x94D049BB133111EBu;
	return z ^ z >> 31;
}

/* Which of count equal parts of the circle has the point. */
static uint32_t part_of(uint64_t point, uint32_t count)
{
	return (uint32_t)((unsigned __int128)point * count >> 64);
}

/* The slice of instances that a family may pick from, relative to the service's first. */
struct slice {
	uint32_t begin;
	uint32_t end;
};

static struct slice family_slice(const struct crow_snap_service *service, enum crow_family family)
{
	uint32_t up = service->up4 + service->up6;

	switch (family) {
	case CROW_V4:
		return (struct slice){0, service->up4};
	case CROW_V6:
		return (struct slice){service->up4, up};
	case CROW_ANY:
		break;
	}
	return (struct slice){0, up};
}

/* Instances of a family are neighbours on the circle: one arc. The point is scaled into it, so
 * that one distribution serves all three questions. */
static uint64_t scale_to_arc(const uint64_t *uppers, struct slice slice, uint32_t up,
			     uint64_t point)
{
	uint64_t low = slice.begin == 0 ? 0 : uppers[slice.begin - 1] + 1;
	uint64_t high = slice.end == up ? UINT64_MAX : uppers[slice.end - 1];
	uint64_t width = high - low;

	if (width == UINT64_MAX)
		return point;
	return low + (uint64_t)((unsigned __int128)point * (width + 1) >> 64);
}

/* Steps before bisection. The guide leaves one or two on average: neighbours, by branches that a
 * processor takes ahead of the memory, where bisection waits for each load. */
#define STEPS 4

/* The first i in [begin, end) whose upper is at or after the point; end - 1 if none is, which only
 * a damaged image can cause. */
static uint32_t search(const uint64_t *uppers, uint32_t begin, uint32_t end, uint64_t point)
{
	for (int i = 0; i < STEPS && begin + 1 < end; i++, begin++)
		if (uppers[begin] >= point)
			return begin;
	while (begin + 1 < end) {
		uint32_t middle = begin + (end - begin - 1) / 2;

		if (uppers[middle] >= point)
			end = middle + 1;
		else
			begin = middle + 1;
	}
	return begin;
}

uint32_t crow_pick_at(const struct crow_image *img, uint32_t service_index, enum crow_family family,
		      uint64_t point)
{
	const struct crow_snap_service *service = crow_image_service(img, service_index);
	const uint64_t *uppers;
	const uint32_t *guide;
	struct slice slice;
	uint32_t up, begin, end;
	uint64_t bucket;

	if (service == NULL)
		return CROW_SNAP_NONE;
	slice = family_slice(service, family);
	if (slice.begin == slice.end)
		return CROW_SNAP_NONE;
	if (service->flags & CROW_SERVICE_EQUAL)
		return service->first + slice.begin + part_of(point, slice.end - slice.begin);
	up = service->up4 + service->up6;
	uppers = img->uppers + service->upper;
	guide = img->guides + service->guide;
	point = scale_to_arc(uppers, slice, up, point);
	bucket = point >> (64 - service->guide_bits);
	begin = guide[bucket];
	end = guide[bucket + 1];
	/* Guides are bytes of the file, too: a wrong one costs a wrong pick at most. */
	if (begin >= up)
		begin = 0;
	end = end >= up || end < begin ? up : end + 1;
	return service->first + search(uppers, begin, end, point);
}

static bool contains(const uint32_t *set, size_t count, uint32_t value)
{
	for (size_t i = 0; i < count; i++)
		if (set[i] == value)
			return true;
	return false;
}

/* The first one after a hashed place that was not tried. */
static uint32_t scan(const struct crow_snap_service *service, enum crow_family family,
		     uint64_t point, const uint32_t *tried, size_t ntried)
{
	struct slice slice = family_slice(service, family);
	uint32_t count = slice.end - slice.begin;
	uint32_t start = (uint32_t)(further_point(point, REDRAWS) % count);

	for (uint32_t i = 0; i < count; i++) {
		uint32_t index =
			service->first + slice.begin + (uint32_t)(((uint64_t)start + i) % count);

		if (!contains(tried, ntried, index))
			return index;
	}
	return CROW_SNAP_NONE;
}

uint32_t crow_pick_other(const struct crow_image *img, uint32_t service, enum crow_family family,
			 uint64_t point, const uint32_t *tried, size_t ntried)
{
	uint32_t index = crow_pick_at(img, service, family, point);

	for (uint64_t k = 0; k < REDRAWS && contains(tried, ntried, index); k++)
		index = crow_pick_at(img, service, family, further_point(point, k));
	if (index == CROW_SNAP_NONE || !contains(tried, ntried, index))
		return index;
	return scan(crow_image_service(img, service), family, point, tried, ntried);
}

/* ---- several ---- */

/* Up to so many instances are walked: their arcs are a few cache lines, and to draw again until the
 * last of n comes up would take n times ln n draws. */
#define FEW CROW_PICK_SEVERAL_MAX

/* Of several, each position draws at a point of its own; the first one's is the pick's. */
static uint64_t next_point(uint64_t point)
{
	return further_point(point, REDRAWS + 1);
}

/* What is left of a small slice. */
struct rest {
	uint32_t first; /* index into the image */
	uint32_t count;
	uint64_t sum; /* of the arcs, modulo 2^64: right as soon as one is out */
	uint64_t arcs[FEW];
};

static void take_out(struct rest *rest, uint32_t index)
{
	uint32_t i = index - rest->first;

	if (i >= rest->count)
		return;
	rest->sum -= rest->arcs[i];
	rest->arcs[i] = 0;
}

static void rest_init(struct rest *rest, const struct crow_image *img,
		      const struct crow_snap_service *service, struct slice slice)
{
	const uint64_t *uppers = img->uppers + service->upper;
	uint64_t start = slice.begin == 0 ? UINT64_MAX : uppers[slice.begin - 1], below = start;

	rest->first = service->first + slice.begin;
	rest->count = slice.end - slice.begin;
	for (uint32_t i = 0; i < rest->count; i++) {
		uint64_t upper = uppers[slice.begin + i];

		rest->arcs[i] = upper - below; /* from -1 on the circle, if it is the first */
		below = upper;
	}
	rest->sum = below - start;
}

/* One of what is left, by its arc: as many stand before it as arcs end at or below the place. To
 * count them all is quicker than to stop, since where to stop is a guess that no processor gets
 * right. In a damaged image, where arcs overlap, it is perhaps one that is out. */
static uint32_t draw(const struct rest *rest, uint64_t point)
{
	uint64_t at = (uint64_t)((unsigned __int128)point * rest->sum >> 64), end = 0;
	uint32_t before = 0;

	if (rest->sum == 0)
		return CROW_SNAP_NONE;
	for (uint32_t i = 0; i < rest->count; i++) {
		end += rest->arcs[i];
		before += end <= at;
	}
	return rest->first + (before < rest->count ? before : rest->count - 1);
}

/* The whole circle tells the first one: a rest has its sum only when one is out. */
static size_t draw_few(const struct crow_image *img, uint32_t index, enum crow_family family,
		       uint64_t *point, uint32_t *out, size_t count, size_t max)
{
	const struct crow_snap_service *service = crow_image_service(img, index);
	struct rest rest;

	rest_init(&rest, img, service, family_slice(service, family));
	for (size_t i = 0; i < count; i++)
		take_out(&rest, out[i]);
	for (; count < max; *point = next_point(*point)) {
		uint32_t picked =
			count > 0 ? draw(&rest, *point) : crow_pick_at(img, index, family, *point);

		if (picked == CROW_SNAP_NONE)
			break;
		out[count++] = picked;
		take_out(&rest, picked);
	}
	return count;
}

/* Of equals it is enough to know which are left: a shuffle that stops early (Durstenfeld, Algorithm
 * 235, CACM 7(7), 1964). */
static size_t draw_equals(uint32_t first, uint32_t size, uint64_t *point, uint32_t *out,
			  size_t count, size_t max)
{
	uint8_t left[FEW];

	for (uint32_t i = 0; i < FEW; i++) /* all of them: a loop of known length is one move */
		left[i] = (uint8_t)i;
	for (size_t i = 0; i < count; i++)
		for (uint32_t at = 0; at < size; at++)
			if (first + left[at] == out[i])
				left[at] = left[--size];
	for (; count < max && size > 0; *point = next_point(*point)) {
		uint32_t at = part_of(*point, size);

		out[count++] = first + left[at];
		left[at] = left[--size];
	}
	return count;
}

static size_t draw_many(const struct crow_image *img, uint32_t index, enum crow_family family,
			uint64_t *point, uint32_t *out, size_t count, size_t max)
{
	for (; count < max; *point = next_point(*point)) {
		uint32_t picked = crow_pick_other(img, index, family, *point, out, count);

		if (picked == CROW_SNAP_NONE)
			break;
		out[count++] = picked;
	}
	return count;
}

size_t crow_pick_more(const struct crow_image *img, uint32_t index, enum crow_family family,
		      uint64_t *point, uint32_t *out, size_t count, size_t max)
{
	const struct crow_snap_service *service = crow_image_service(img, index);
	struct slice slice;
	uint32_t size;

	if (service == NULL)
		return count;
	slice = family_slice(service, family);
	size = slice.end - slice.begin;
	if (size > FEW)
		return draw_many(img, index, family, point, out, count, max);
	if (service->flags & CROW_SERVICE_EQUAL)
		return draw_equals(service->first + slice.begin, size, point, out, count, max);
	return draw_few(img, index, family, point, out, count, max);
}

size_t crow_pick_several(const struct crow_image *img, uint32_t service, enum crow_family family,
			 uint64_t point, uint32_t *out, size_t max)
{
	if (max > CROW_PICK_SEVERAL_MAX)
		max = CROW_PICK_SEVERAL_MAX;
	return crow_pick_more(img, service, family, &point, out, 0, max);
}
