#include "daemon/dns/srv.h"

#include <string.h>

#include "daemon/dns/target.h"
#include "resolver/pick.h"

/* A pointer, type, class, TTL, length, priority, weight and port; then the target. */
#define SRV_FIXED_SIZE   18
#define SRV_TARGET_AT    SRV_FIXED_SIZE
#define SHORTEST_TARGET  (1 + sizeof("ip-1-1-1-1") - 1)
#define SRV_WEIGHT_MAX   65535
#define QUESTION_NAME_AT CROW_WIRE_HEADER

/* What a reader of the answer may be pointed to: offsets below 0x4000 of records of at least
 * SRV_FIXED_SIZE + SHORTEST_TARGET + 1 bytes. */
#define TARGETS_MAX (0x4000 / (SRV_FIXED_SIZE + SHORTEST_TARGET + 1))

/* Instances of a service that may be picked, as a ring that begins at one of them. */
struct ring {
	const struct crow_image *img;
	const char *zone;
	uint32_t first, count, begin;
	uint32_t heaviest;
};

static uint32_t ring_index(const struct ring *ring, uint32_t i)
{
	return ring->first + (ring->begin + i) % ring->count;
}

static const struct crow_snap_instance *ring_at(const struct ring *ring, uint32_t i)
{
	return &ring->img->instances[ring_index(ring, i)];
}

static bool ring_init(struct ring *ring, const struct crow_image *img, uint32_t index,
		      uint64_t point)
{
	const struct crow_snap_service *service = crow_image_service(img, index);
	uint32_t pick = crow_pick_at(img, index, CROW_ANY, point);

	if (!service || pick == CROW_SNAP_NONE)
		return false;
	*ring = (struct ring){
		.img = img,
		.zone = crow_image_string(img, img->zones[service->zone].name),
		.first = service->first,
		.count = service->up4 + service->up6,
		.begin = pick - service->first,
	};
	return true;
}

/* RFC 2782: weights are 16 bits, and 0 would mean "hardly ever". The ratio is kept by scaling all
 * when one is too large, not by clamping that one. */
static uint16_t scale_weight(const struct ring *ring, uint32_t weight)
{
	uint64_t scaled = weight;

	if (ring->heaviest > SRV_WEIGHT_MAX)
		scaled = (uint64_t)weight * SRV_WEIGHT_MAX / ring->heaviest;
	return scaled == 0 ? 1 : (uint16_t)scaled;
}

static void put_record(struct crow_reply *reply, const struct ring *ring,
		       const struct crow_snap_instance *instance, uint32_t ttl_s)
{
	struct crow_wire_writer *out = &reply->out;
	char label[CROW_TARGET_MAX];
	size_t length_at;

	crow_reply_put_owner(reply, QUESTION_NAME_AT, CROW_TYPE_SRV, ttl_s);
	length_at = out->at;
	crow_wire_put_u16(out, 0);
	crow_wire_put_u16(out, 0); /* priority */
	crow_wire_put_u16(out, scale_weight(ring, instance->weight));
	crow_wire_put_u16(out, instance->port);
	/* RFC 2782: "name compression is not to be used for this field". */
	crow_wire_put_u8(out, (uint8_t)crow_target_format(&instance->addr, label));
	crow_wire_put_bytes(out, label, strlen(label));
	crow_wire_put_name(out, ring->zone);
	crow_wire_patch_u16(out, length_at, (uint16_t)(out->at - length_at - 2));
}

/* Records until one no longer fits; returns how many fitted. */
static uint32_t put_records(struct crow_reply *reply, const struct ring *ring, uint32_t most,
			    uint32_t ttl_s)
{
	uint32_t written = 0;

	while (written < most) {
		size_t before = reply->out.at;

		put_record(reply, ring, ring_at(ring, written), ttl_s);
		if (reply->out.failed) {
			reply->out.at = before;
			reply->out.failed = false;
			break;
		}
		written++;
	}
	return written;
}

/* Addresses of the targets just written, which begin at `at`. Instances are sorted by address, so
 * that those which share one are neighbours; the ring may begin among them, and then ends there. */
static void put_additional(struct crow_reply *reply, const struct ring *ring, uint32_t written,
			   size_t at, uint32_t ttl_s)
{
	uint16_t targets[TARGETS_MAX];
	uint32_t count = 0;

	for (; count < written && count < TARGETS_MAX && at + SRV_TARGET_AT < 0x4000; count++) {
		targets[count] = (uint16_t)(at + SRV_TARGET_AT);
		at += 12u + (unsigned)(reply->bytes[at + 10] << 8 | reply->bytes[at + 11]);
	}
	for (uint32_t i = 0; i < count; i++) {
		const struct crow_snap_instance *instance = ring_at(ring, i);
		size_t before = reply->out.at;

		if (i > 0 &&
		    (crow_addr_compare(&instance->addr, &ring_at(ring, i - 1)->addr) == 0 ||
		     crow_addr_compare(&instance->addr, &ring_at(ring, 0)->addr) == 0))
			continue;
		crow_reply_put_address(reply, targets[i], &instance->addr, ttl_s);
		if (reply->out.failed) {
			reply->out.at = before;
			reply->out.failed = false;
			return;
		}
		reply->additionals++;
	}
}

void crow_srv_put(struct crow_reply *reply, const struct crow_query *query,
		  const struct crow_image *img, uint32_t service, uint64_t point, uint32_t ttl_s,
		  crow_given_mark_t *given)
{
	size_t start = reply->out.at;
	struct ring ring;
	uint32_t most, written;

	if (!ring_init(&ring, img, service, point))
		return;
	/* A bound from the smallest record, so that a large service costs no more than a reply. */
	most = (uint32_t)(crow_reply_room(reply) /
			  (SRV_FIXED_SIZE + SHORTEST_TARGET + strlen(ring.zone) + 2));
	if (most >= ring.count)
		most = ring.count;
	else if (!query->stream)
		most = 0;
	for (uint32_t i = 0; i < most; i++)
		if (ring_at(&ring, i)->weight > ring.heaviest)
			ring.heaviest = ring_at(&ring, i)->weight;
	written = put_records(reply, &ring, most, ttl_s);
	if (written < ring.count && !query->stream) {
		/* RFC 2181 9: of a set that does not fit, nothing can be used. */
		reply->out.at = start;
		reply->truncated = true;
		return;
	}
	reply->answers = (uint16_t)(reply->answers + written);
	put_additional(reply, &ring, written, start, ttl_s);
	for (uint32_t i = 0; i < written; i++)
		crow_given_mark(given, ring_index(&ring, i), i == 0);
}
