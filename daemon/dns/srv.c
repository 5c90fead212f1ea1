#include "daemon/dns/srv.h"

#include <string.h>

#include "daemon/dns/choice.h"
#include "daemon/dns/target.h"

/* A pointer, type, class, TTL, length, priority, weight and port; then the target. */
#define SRV_FIXED_SIZE   18
#define SRV_TARGET_AT    SRV_FIXED_SIZE
#define SHORTEST_TARGET  (1 + sizeof("ip-1-1-1-1") - 1)
#define SRV_WEIGHT_MAX   65535
#define QUESTION_NAME_AT CROW_WIRE_HEADER

/* The instances that the set is made of, as a ring that begins at one of them: all that may be
 * picked, or where none may, all that are ejected (choice.h). */
struct ring {
	const struct crow_image *img;
	const char *zone;
	uint32_t first, count, begin;
	uint32_t records; /* of count; the others, which are drained, are passed over */
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

static bool ring_has(const struct ring *ring, uint32_t i)
{
	return ring_at(ring, i)->state != CROW_STATE_DRAINED;
}

static bool ring_init(struct ring *ring, const struct crow_image *img, uint32_t index, uint64_t seq)
{
	const struct crow_snap_service *service = crow_image_service(img, index);
	uint32_t pick, up = service->up4 + service->up6;

	if (crow_choice_instances(img, index, CROW_ANY, seq, 1, &pick) == 0)
		return false;
	*ring = (struct ring){
		.img = img,
		.zone = crow_target_zone(img, index),
		.first = service->first,
		.count = up > 0 ? up : service->count,
	};
	ring->begin = pick - ring->first;
	ring->records = ring->count;
	for (uint32_t i = 0; up == 0 && i < ring->count; i++)
		ring->records -= !ring_has(ring, i);
	return true;
}

/* Of the first `most` records. */
static void find_heaviest(struct ring *ring, uint32_t most)
{
	for (uint32_t i = 0; i < ring->count && most > 0; i++) {
		if (!ring_has(ring, i))
			continue;
		most--;
		if (ring_at(ring, i)->weight > ring->heaviest)
			ring->heaviest = ring_at(ring, i)->weight;
	}
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

/* Whether it fitted. */
static bool put_record(struct crow_reply *reply, const struct ring *ring,
		       const struct crow_snap_instance *instance, uint32_t ttl_s)
{
	struct crow_wire_writer *out = &reply->out;
	size_t start = crow_reply_open(reply, QUESTION_NAME_AT, CROW_TYPE_SRV, ttl_s);

	crow_wire_put_u16(out, 0); /* priority */
	crow_wire_put_u16(out, scale_weight(ring, instance->weight));
	crow_wire_put_u16(out, instance->port);
	crow_target_put(out, &instance->addr, ring->zone);
	return crow_reply_close(reply, start);
}

/* Up to `most` records; returns how far in the ring they reach. */
static uint32_t put_records(struct crow_reply *reply, const struct ring *ring, uint32_t most,
			    const struct crow_answer_settings *settings)
{
	uint32_t written = 0, i = 0;

	for (; i < ring->count && written < most; i++) {
		if (!ring_has(ring, i))
			continue;
		if (!put_record(reply, ring, ring_at(ring, i), settings->ttl_s))
			break;
		written++;
	}
	reply->answers = (uint16_t)(reply->answers + written);
	return i;
}

static void mark_given(const struct ring *ring, uint32_t reach, struct crow_given_mark *given)
{
	for (uint32_t i = 0; i < reach; i++)
		if (ring_has(ring, i))
			crow_given_mark(given, ring_index(ring, i), i == 0);
}

/* Addresses of the targets just written, which begin at `at`. Instances are sorted by address, so
 * that those which share one are neighbours; the ring may begin among them, and then ends there. */
static void put_additional(struct crow_reply *reply, const struct ring *ring, uint32_t reach,
			   size_t at, uint32_t ttl_s)
{
	const struct crow_addr *first = &ring_at(ring, 0)->addr, *last = NULL;
	/* Offsets are read off the answers before anything is written behind them. */
	size_t end = reply->out.at;

	for (uint32_t i = 0; i < reach && at < end; i++) {
		const struct crow_addr *addr = &ring_at(ring, i)->addr;
		size_t target = at + SRV_TARGET_AT;

		if (!ring_has(ring, i))
			continue;
		at += 12u + (unsigned)(reply->bytes[at + 10] << 8 | reply->bytes[at + 11]);
		if (last && (crow_addr_equal(addr, last) || crow_addr_equal(addr, first)))
			continue;
		last = addr;
		if (!crow_reply_put_address(reply, target, addr, ttl_s))
			return;
		reply->additionals++;
	}
}

void crow_srv_put(struct crow_reply *reply, const struct crow_query *query,
		  const struct crow_image *img, uint32_t service,
		  const struct crow_answer_settings *settings)
{
	size_t start = reply->out.at;
	struct ring ring;
	uint32_t most, reach;

	if (!ring_init(&ring, img, service, crow_settings_next_seq(settings, service, CROW_ANY)))
		return;
	/* A bound from the smallest record, so that a large service costs no more than a reply. */
	most = (uint32_t)(crow_reply_room(reply) /
			  (SRV_FIXED_SIZE + SHORTEST_TARGET + strlen(ring.zone) + 2));
	if (most >= ring.records)
		most = ring.records;
	else if (!query->stream)
		most = 0;
	find_heaviest(&ring, most);
	reach = put_records(reply, &ring, most, settings);
	if (reply->answers < ring.records && !query->stream) {
		/* RFC 2181 9: of a set that does not fit, nothing can be used. */
		reply->out.at = start;
		reply->answers = 0;
		reply->truncated = true;
		return;
	}
	put_additional(reply, &ring, reach, start, settings->ttl_s);
	mark_given(&ring, reach, settings->given);
}
