#include "resolver/image.h"

#include <string.h>

#include "resolver/name.h"

/* ---- checksum ---- */

/* Eight lanes of 64 bits; compilers make it the vectors that the machine has. */
typedef uint64_t lanes __attribute__((vector_size(64)));

/* Rotate and add: a bijection of the lane in every step, so that no single damaged word goes
 * unseen. It takes a few cycles for 64 bytes, as long as they need to come from the second-level
 * cache; a multiplying hash would double what a reader pays to attach (bench/attach.c). */
uint64_t crow_image_checksum(const void *bytes, size_t size)
{
	const uint8_t *at = bytes;
	lanes sum = {1, 2, 3, 4, 5, 6, 7, 8};
	uint64_t all = size;
	lanes words;

	for (; size >= sizeof(words); size -= sizeof(words), at += sizeof(words)) {
		memcpy(&words, at, sizeof(words));
		sum = (sum << 13 | sum >> 51) + words;
	}
	words = (lanes){0};
	memcpy(&words, at, size);
	sum = (sum << 13 | sum >> 51) + words;
	/* The round of XXH64 (Collet) folds the lanes into one. */
	for (unsigned i = 0; i < 8; i++) {
		all = (all ^ sum[i]) * 0xC2B2AE3D27D4EB4Fu;
		all = (all << 31 | all >> 33) * 0x9E3779B185EBCA87u;
	}
	return all ^ all >> 29;
}

/* ---- checks ---- */

static bool section_fits(const struct crow_snap_section *section, size_t record, size_t size)
{
	return section->offset % 8 == 0 && section->offset >= sizeof(struct crow_snap_header) &&
	       section->offset <= size && section->count <= (size - section->offset) / record;
}

/* Slots are probed under a mask, and a free one must end every probe. */
static bool slots_fit(const struct crow_snap_section *slots, size_t records)
{
	return slots->count > records && (slots->count & (slots->count - 1)) == 0;
}

static bool sections_fit(const struct crow_snap_header *h, const uint8_t *bytes)
{
	return section_fits(&h->zones, sizeof(struct crow_snap_zone), h->size) &&
	       section_fits(&h->services, sizeof(struct crow_snap_service), h->size) &&
	       section_fits(&h->instances, sizeof(struct crow_snap_instance), h->size) &&
	       section_fits(&h->uppers, sizeof(uint64_t), h->size) &&
	       section_fits(&h->guides, sizeof(uint32_t), h->size) &&
	       section_fits(&h->names, sizeof(struct crow_snap_name), h->size) &&
	       section_fits(&h->name_slots, sizeof(uint32_t), h->size) &&
	       section_fits(&h->address_slots, sizeof(uint32_t), h->size) &&
	       section_fits(&h->strings, 1, h->size) && slots_fit(&h->name_slots, h->names.count) &&
	       slots_fit(&h->address_slots, h->instances.count) && h->strings.count > 0 &&
	       bytes[h->strings.offset + h->strings.count - 1] == '\0';
}

static bool service_fits(const struct crow_snap_header *h, const struct crow_snap_service *service)
{
	uint64_t guides;
	uint32_t up;

	if (service->first > h->instances.count ||
	    service->count > h->instances.count - service->first || service->up4 > service->count ||
	    service->up6 > service->count - service->up4 || service->grave > h->instances.count ||
	    service->graves > h->instances.count - service->grave ||
	    service->zone >= h->zones.count)
		return false;
	up = service->up4 + service->up6;
	if (up == 0 || (service->flags & CROW_SERVICE_EQUAL))
		return true;
	if (service->upper > h->uppers.count || up > h->uppers.count - service->upper)
		return false;
	/* 1 to 31 bits: more would be more guides than a file of the largest size can hold, and a
	 * shift by 64 bits is undefined. */
	if (service->guide_bits < 1 || service->guide_bits > 31)
		return false;
	guides = (UINT64_C(1) << service->guide_bits) + 1;
	return service->guide <= h->guides.count && guides <= h->guides.count - service->guide;
}

static enum crow_image_error check(const uint8_t *bytes, size_t size)
{
	const struct crow_snap_header *h = (const void *)bytes;
	const struct crow_snap_service *services;

	if (size < sizeof(*h))
		return CROW_IMAGE_SHORT;
	if (memcmp(h->magic, CROW_SNAP_MAGIC, sizeof(h->magic)) != 0)
		return CROW_IMAGE_MAGIC;
	if (h->byte_order != CROW_SNAP_BYTE_ORDER)
		return CROW_IMAGE_MAGIC;
	if (h->version != CROW_SNAP_VERSION)
		return CROW_IMAGE_VERSION;
	if (h->size != size || size > CROW_SNAP_MAX_SIZE)
		return CROW_IMAGE_SHORT;
	if (h->checksum !=
	    crow_image_checksum(&h->generation,
				size - offsetof(struct crow_snap_header, generation)))
		return CROW_IMAGE_CHECKSUM;
	if (!sections_fit(h, bytes))
		return CROW_IMAGE_LAYOUT;
	services = (const void *)(bytes + h->services.offset);
	for (uint32_t i = 0; i < h->services.count; i++)
		if (!service_fits(h, &services[i]))
			return CROW_IMAGE_LAYOUT;
	return CROW_IMAGE_OK;
}

enum crow_image_error crow_image_init(struct crow_image *img, const void *bytes, size_t size)
{
	enum crow_image_error error = check(bytes, size);
	const struct crow_snap_header *h = bytes;
	const uint8_t *base = bytes;

	memset(img, 0, sizeof(*img));
	if (error != CROW_IMAGE_OK)
		return error;
	*img = (struct crow_image){
		.bytes = bytes,
		.size = size,
		.header = h,
		.zones = (const void *)(base + h->zones.offset),
		.services = (const void *)(base + h->services.offset),
		.instances = (const void *)(base + h->instances.offset),
		.uppers = (const void *)(base + h->uppers.offset),
		.guides = (const void *)(base + h->guides.offset),
		.names = (const void *)(base + h->names.offset),
		.name_slots = (const void *)(base + h->name_slots.offset),
		.address_slots = (const void *)(base + h->address_slots.offset),
		.strings = (const void *)(base + h->strings.offset),
	};
	return CROW_IMAGE_OK;
}

const char *crow_image_strerror(enum crow_image_error error)
{
	switch (error) {
	case CROW_IMAGE_OK:
		return "is a snapshot";
	case CROW_IMAGE_SHORT:
		return "is not as long as it says";
	case CROW_IMAGE_MAGIC:
		return "is not a snapshot of this host";
	case CROW_IMAGE_VERSION:
		return "is of another version of the format";
	case CROW_IMAGE_CHECKSUM:
		return "is damaged: its checksum does not match";
	case CROW_IMAGE_LAYOUT:
		return "is damaged: a part of it lies outside of it";
	}
	return "is unknown";
}

/* ---- records ---- */

const char *crow_image_string(const struct crow_image *img, uint32_t offset)
{
	if (img->header == NULL || offset >= img->header->strings.count)
		return "";
	return img->strings + offset;
}

uint32_t crow_image_service_count(const struct crow_image *img)
{
	return img->header == NULL ? 0 : img->header->services.count;
}

const struct crow_snap_service *crow_image_service(const struct crow_image *img, uint32_t index)
{
	if (img->header == NULL || index >= img->header->services.count)
		return NULL;
	return &img->services[index];
}

const struct crow_snap_instance *crow_image_instance(const struct crow_image *img, uint32_t index)
{
	if (img->header == NULL || index >= img->header->instances.count)
		return NULL;
	return &img->instances[index];
}

/* ---- names ---- */

static bool is_named(const struct crow_image *img, const struct crow_snap_name *name,
		     const char *folded, size_t len)
{
	uint32_t strings = img->header->strings.count;

	return name->length == len && name->text < strings && len < strings - name->text &&
	       memcmp(img->strings + name->text, folded, len) == 0;
}

/* The entry of a text that says what it is itself, or the one that says what is below it. */
static const struct crow_snap_name *find_entry(const struct crow_image *img, const char *folded,
					       size_t len, bool parent)
{
	uint64_t hash;
	uint32_t mask;

	if (img->header == NULL)
		return NULL;
	hash = crow_name_hash(folded, len);
	mask = img->header->name_slots.count - 1;
	for (uint32_t probe = 0; probe <= mask; probe++) {
		uint32_t slot = img->name_slots[(hash + probe) & mask];
		const struct crow_snap_name *name;

		if (slot == 0 || slot > img->header->names.count)
			return NULL;
		name = &img->names[slot - 1];
		if (name->hash == (uint32_t)hash && (name->kind == CROW_NAME_PARENT) == parent &&
		    is_named(img, name, folded, len))
			return name;
	}
	return NULL;
}

const struct crow_snap_name *crow_image_find_name(const struct crow_image *img, const char *folded,
						  size_t len)
{
	return find_entry(img, folded, len, false);
}

bool crow_image_is_parent(const struct crow_image *img, const char *folded, size_t len)
{
	return find_entry(img, folded, len, true) != NULL;
}

const struct crow_snap_zone *crow_image_find_zone(const struct crow_image *img, const char *folded,
						  size_t len)
{
	const struct crow_snap_zone *found = NULL;
	size_t longest = 0;

	if (img->header == NULL)
		return NULL;
	for (uint32_t i = 0; i < img->header->zones.count; i++) {
		const char *zone = crow_image_string(img, img->zones[i].name);
		size_t zone_len = strlen(zone);

		if (zone_len > longest && crow_name_is_below(folded, len, zone, zone_len)) {
			found = &img->zones[i];
			longest = zone_len;
		}
	}
	return found;
}

/* ---- addresses ---- */

/* The next entry of a probe for an address; NULL at its end. *probe starts at 0. */
static const struct crow_snap_instance *
next_at(const struct crow_image *img, const struct crow_addr *addr, uint64_t hash, uint32_t *probe)
{
	uint32_t mask = img->header->address_slots.count - 1;

	while (*probe <= mask) {
		uint32_t slot = img->address_slots[(hash + (*probe)++) & mask];
		const struct crow_snap_instance *instance;

		if (slot == 0 || slot > img->header->instances.count)
			return NULL;
		instance = &img->instances[slot - 1];
		if (crow_addr_equal(&instance->addr, addr) &&
		    instance->service < img->header->services.count)
			return instance;
	}
	return NULL;
}

/* The index of addr and port in the rising run [begin, begin + count); CROW_SNAP_NONE if absent. */
static uint32_t bisect(const struct crow_image *img, uint32_t begin, uint32_t count,
		       const struct crow_addr *addr, uint16_t port)
{
	while (count > 0) {
		uint32_t half = count / 2;
		const struct crow_snap_instance *middle = &img->instances[begin + half];
		int order = crow_addr_compare(&middle->addr, addr);

		if (order == 0)
			order = (int)middle->port - (int)port;
		if (order == 0)
			return begin + half;
		if (order < 0) {
			begin += half + 1;
			count -= half + 1;
		} else {
			count = half;
		}
	}
	return CROW_SNAP_NONE;
}

static uint32_t find_instance(const struct crow_image *img, const struct crow_snap_service *service,
			      const struct crow_addr *addr, uint16_t port)
{
	uint32_t up = service->up4 + service->up6;
	uint32_t found = bisect(img, service->first, service->up4, addr, port);

	if (found == CROW_SNAP_NONE)
		found = bisect(img, service->first + service->up4, service->up6, addr, port);
	if (found == CROW_SNAP_NONE)
		found = bisect(img, service->first + up, service->count - up, addr, port);
	return found;
}

/* The instance meant by an address whose port is the service's: the only one there, if it is. */
static uint32_t translated(const struct crow_image *img, const struct crow_snap_instance *there)
{
	if (there->state == CROW_STATE_TOMBSTONE || (there->flags & CROW_INSTANCE_SHARED))
		return CROW_SNAP_NONE;
	return (uint32_t)(there - img->instances);
}

static uint32_t find_at(const struct crow_image *img, const struct crow_snap_instance *there,
			uint16_t port)
{
	/* As a rule it is the only one at its address, and no other place of memory is looked at. */
	if (there->port == port && there->state != CROW_STATE_TOMBSTONE)
		return (uint32_t)(there - img->instances);
	return find_instance(img, &img->services[there->service], &there->addr, port);
}

/* Whether connect(addr, port) may mean the service of an entry found at addr. */
static bool owns(const struct crow_image *img, const struct crow_snap_instance *there,
		 uint16_t port, struct crow_owner *out)
{
	const struct crow_snap_service *service = &img->services[there->service];
	uint32_t found = find_at(img, there, port);

	*out = (struct crow_owner){there->service, found, found != CROW_SNAP_NONE};
	if (out->exact)
		return true;
	out->instance = bisect(img, service->grave, service->graves, &there->addr, port);
	if (out->instance != CROW_SNAP_NONE)
		return true;
	out->instance = translated(img, there);
	return service->port == port;
}

bool crow_image_next_owner(const struct crow_image *img, const struct crow_addr *addr,
			   uint16_t port, uint32_t *probe, struct crow_owner *out)
{
	const struct crow_snap_instance *there;
	uint64_t hash = crow_addr_hash(addr);

	if (img->header == NULL)
		return false;
	while ((there = next_at(img, addr, hash, probe)) != NULL)
		if (owns(img, there, port, out))
			return true;
	return false;
}

bool crow_image_next_holder(const struct crow_image *img, const struct crow_addr *addr,
			    uint32_t *probe, uint32_t *service)
{
	const struct crow_snap_instance *there;
	uint64_t hash = crow_addr_hash(addr);

	if (img->header == NULL)
		return false;
	while ((there = next_at(img, addr, hash, probe)) != NULL) {
		*service = there->service;
		if (there->state != CROW_STATE_TOMBSTONE)
			return true;
	}
	return false;
}

bool crow_image_has_address(const struct crow_image *img, const struct crow_addr *addr)
{
	uint32_t probe = 0;

	return img->header != NULL && next_at(img, addr, crow_addr_hash(addr), &probe) != NULL;
}
