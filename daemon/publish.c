#include "daemon/publish.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/section.h"
#include "resolver/name.h"

struct builder {
	const struct crow_table *table;
	struct crow_section zones, services, instances, uppers, guides, names;
	struct crow_section name_slots, address_slots, strings;
	struct crow_section
		parts; /* of the circle: of each instance of a service that may be picked */
};

static void builder_init(struct builder *b, const struct crow_table *table)
{
	*b = (struct builder){
		.table = table,
		.zones.record = sizeof(struct crow_snap_zone),
		.services.record = sizeof(struct crow_snap_service),
		.instances.record = sizeof(struct crow_snap_instance),
		.uppers.record = sizeof(uint64_t),
		.guides.record = sizeof(uint32_t),
		.names.record = sizeof(struct crow_snap_name),
		.name_slots.record = sizeof(uint32_t),
		.address_slots.record = sizeof(uint32_t),
		.strings.record = 1,
		.parts.record = sizeof(uint64_t),
	};
	crow_section_append(&b->strings, 1); /* offset 0 is "" */
}

/* The sections in the order of the header's fields, which is their order in the image. */
#define SECTIONS 9

static void list_sections(struct builder *b, struct crow_section *out[SECTIONS])
{
	struct crow_section *all[SECTIONS] = {
		&b->zones, &b->services,   &b->instances,     &b->uppers,  &b->guides,
		&b->names, &b->name_slots, &b->address_slots, &b->strings,
	};

	memcpy(out, all, sizeof(all));
}

static void builder_fini(struct builder *b)
{
	struct crow_section *sections[SECTIONS];

	list_sections(b, sections);
	for (size_t i = 0; i < SECTIONS; i++)
		crow_section_fini(sections[i]);
	crow_section_fini(&b->parts);
}

static uint32_t add_string(struct builder *b, const char *text)
{
	size_t size = strlen(text) + 1;
	uint32_t offset = (uint32_t)b->strings.count;
	char *at;

	if (size == 1)
		return 0;
	at = crow_section_append(&b->strings, size);
	if (at == NULL)
		return 0;
	memcpy(at, text, size);
	return offset;
}

/* ---- hash tables ---- */

/* A power of two, at least a third of it free: linear probing then looks at two or three slots. */
static bool make_slots(struct crow_section *slots, size_t records)
{
	size_t count = 8;

	while (count < records + records / 2 + 1)
		count *= 2;
	return crow_section_append(slots, count) != NULL;
}

static uint32_t *find_free_slot(struct crow_section *slots, uint64_t hash)
{
	uint32_t *all = (void *)slots->data;
	uint64_t at = hash & (slots->count - 1);

	while (all[at] != 0)
		at = (at + 1) & (slots->count - 1);
	return &all[at];
}

/* ---- zones ---- */

static uint32_t add_zone(struct builder *b, const struct crow_source_config *source)
{
	uint32_t timeout_ms = source->on_demand ? source->timeout_ms : 0;
	struct crow_snap_zone *zone;

	if (b->zones.failed || b->strings.failed) /* a zone may be there without its name */
		return 0;
	for (uint32_t i = 0; i < b->zones.count; i++) {
		zone = (struct crow_snap_zone *)(void *)b->zones.data + i;
		if (strcmp((char *)b->strings.data + zone->name, source->zone) != 0)
			continue;
		if (zone->timeout_ms < timeout_ms)
			zone->timeout_ms = timeout_ms;
		return i;
	}
	zone = crow_section_append(&b->zones, 1);
	if (zone == NULL)
		return 0;
	zone->timeout_ms = timeout_ms;
	zone->name = add_string(b, source->zone);
	return (uint32_t)b->zones.count - 1;
}

/* ---- instances ---- */

struct run {
	const struct crow_service *service;
	uint32_t index;       /* of the service */
	const uint32_t *apps; /* string offset of each label */
};

static enum crow_snap_state state_of(const struct crow_service *service, size_t i)
{
	if (service->list.items[i].weight == 0)
		return CROW_STATE_DRAINED;
	return crow_service_share(service, i) > 0 ? CROW_STATE_UP : CROW_STATE_EJECTED;
}

static void add_instance(struct builder *b, const struct run *run, size_t i)
{
	const struct crow_item *item = &run->service->list.items[i];
	struct crow_snap_instance *instance = crow_section_append(&b->instances, 1);

	if (instance == NULL)
		return;
	*instance = (struct crow_snap_instance){
		.addr = item->addr,
		.port = item->port,
		.state = state_of(run->service, i),
		.weight = item->weight,
		.service = run->index,
		.app = run->apps[item->app],
	};
}

static void add_part(struct builder *b, const struct run *run, size_t i)
{
	uint64_t *part = crow_section_append(&b->parts, 1);

	if (part != NULL)
		*part = (uint64_t)run->service->list.items[i].weight *
			crow_service_share(run->service, i);
}

enum group { GROUP_UP4, GROUP_UP6, GROUP_REST };

static enum group group_of(const struct crow_service *service, size_t i)
{
	if (state_of(service, i) != CROW_STATE_UP)
		return GROUP_REST;
	return crow_addr_is_v4(&service->list.items[i].addr) ? GROUP_UP4 : GROUP_UP6;
}

/* The slice of a service: its items in the order of snapshot.h. The list is sorted by family,
 * address and port already. */
static void add_instances(struct builder *b, struct crow_snap_service *out, const struct run *run)
{
	const struct crow_list *list = &run->service->list;
	uint32_t counts[3] = {0, 0, 0};

	out->first = (uint32_t)b->instances.count;
	out->count = (uint32_t)list->count;
	for (enum group group = GROUP_UP4; group <= GROUP_REST; group++) {
		for (size_t i = 0; i < list->count; i++) {
			if (group_of(run->service, i) != group)
				continue;
			counts[group]++;
			add_instance(b, run, i);
			if (group == GROUP_REST)
				continue;
			out->total_weight += list->items[i].weight;
			add_part(b, run, i);
		}
	}
	out->up4 = counts[GROUP_UP4];
	out->up6 = counts[GROUP_UP6];
}

static int compare_tombstones(const void *a, const void *b)
{
	const struct crow_snap_instance *x = a, *y = b;
	int order = crow_addr_compare(&x->addr, &y->addr);

	return order != 0 ? order : (int)x->port - (int)y->port;
}

static void add_tombstones(struct builder *b, const struct crow_service *service, uint32_t index)
{
	uint32_t grave = (uint32_t)b->instances.count;
	struct crow_snap_instance *graves =
		crow_section_append(&b->instances, service->tombstone_count);
	struct crow_snap_service *out =
		(struct crow_snap_service *)(void *)b->services.data + index;

	if (graves == NULL || b->services.failed)
		return;
	out->grave = grave;
	out->graves = (uint32_t)service->tombstone_count;
	for (size_t i = 0; i < service->tombstone_count; i++)
		graves[i] = (struct crow_snap_instance){
			.addr = service->tombstones[i].addr,
			.port = service->tombstones[i].port,
			.state = CROW_STATE_TOMBSTONE,
			.service = index,
		};
	qsort(graves, service->tombstone_count, sizeof(*graves), compare_tombstones);
}

/* ---- the distribution of one service ---- */

/* From parts w0, w1... to points: uppers[i] is the last one of the circle below the share
 * (w0 + ... + wi) / total, so the division rounds up. */
static void fill_uppers(uint32_t up, const uint64_t *parts, uint64_t *uppers)
{
	unsigned __int128 sum = 0;
	uint64_t total = 0;

	for (uint32_t i = 0; i < up; i++)
		total += parts[i];
	for (uint32_t i = 0; i < up; i++) {
		sum += parts[i];
		uppers[i] = (uint64_t)(((sum << 64) + total - 1) / total - 1);
	}
}

static bool are_equal(uint32_t up, const uint64_t *parts)
{
	for (uint32_t i = 1; i < up; i++)
		if (parts[i] != parts[0])
			return false;
	return true;
}

static void add_guide(struct builder *b, struct crow_snap_service *out, const uint64_t *uppers)
{
	uint32_t up = out->up4 + out->up6;
	uint32_t *guide;
	uint32_t at = 0;

	out->guide = (uint32_t)b->guides.count;
	out->guide_bits = 1;
	/* A guide for two instances: a step of bisection costs less than the bytes to attach. */
	while ((UINT64_C(2) << out->guide_bits) < up)
		out->guide_bits++;
	guide = crow_section_append(&b->guides, (UINT64_C(1) << out->guide_bits) + 1);
	if (guide == NULL)
		return;
	for (uint64_t bucket = 0; bucket < UINT64_C(1) << out->guide_bits; bucket++) {
		while (at < up - 1 && uppers[at] < bucket << (64 - out->guide_bits))
			at++;
		guide[bucket] = at;
	}
	guide[UINT64_C(1) << out->guide_bits] = up - 1;
}

static void add_distribution(struct builder *b, struct crow_snap_service *out)
{
	const uint64_t *parts = (void *)b->parts.data;
	uint32_t up = (uint32_t)b->parts.count;
	uint64_t *uppers;

	b->parts.count = 0;
	if (b->parts.failed || up == 0)
		return;
	if (are_equal(up, parts)) {
		out->flags |= CROW_SERVICE_EQUAL;
		return;
	}
	out->upper = (uint32_t)b->uppers.count;
	uppers = crow_section_append(&b->uppers, up);
	if (uppers == NULL)
		return;
	fill_uppers(up, parts, uppers);
	add_guide(b, out, uppers);
}

/* ---- services ---- */

/* The labels' string offsets, freed by the caller; NULL without memory. */
static uint32_t *add_apps(struct builder *b, const struct crow_list *list)
{
	uint32_t *apps = calloc(list->app_count + 1, sizeof(*apps));

	if (apps == NULL)
		b->strings.failed = true;
	for (size_t i = 0; apps != NULL && i < list->app_count; i++)
		apps[i] = add_string(b, list->apps[i]);
	return apps;
}

static uint64_t key_of(const struct crow_service *service)
{
	return crow_name_hash(service->name, strlen(service->name)) ^
	       crow_name_hash(service->source->name, strlen(service->source->name)) << 1;
}

static void add_service(struct builder *b, const struct crow_service *service, uint32_t index)
{
	struct run run = {service, index, add_apps(b, &service->list)};
	struct crow_snap_service out = {
		.name = add_string(b, service->name),
		.source = add_string(b, service->source->name),
		.zone = add_zone(b, service->source),
		.attempt_timeout_ms = service->config->attempt_timeout_ms,
		.port = service->config->port,
		.flags = service->failing_ns != 0 && service->list.count > 0 ? CROW_SERVICE_STALE
									     : 0,
		.taken_wall_s = service->taken_wall_s,
		.taken_boot_ns = service->taken_ns,
		.failing_boot_ns = service->failing_ns,
		.key = key_of(service),
	};
	struct crow_snap_service *at;

	if (run.apps != NULL) {
		add_instances(b, &out, &run);
		add_distribution(b, &out);
	}
	free((void *)(uintptr_t)run.apps);
	at = crow_section_append(&b->services, 1);
	if (at != NULL)
		*at = out;
}

/* ---- names ---- */

static void add_name(struct builder *b, const char *folded, size_t len, uint16_t kind,
		     uint32_t service)
{
	struct crow_snap_name *name;

	if (len == 0)
		return;
	name = crow_section_append(&b->names, 1);
	if (name == NULL)
		return;
	*name = (struct crow_snap_name){
		.text = add_string(b, folded),
		.hash = (uint32_t)crow_name_hash(folded, len),
		.service = service,
		.length = (uint16_t)len,
		.kind = kind,
	};
}

/* `<service>.<zone>`, and the same with `_` as `-` where that differs: Java's URI rejects `_`. */
static void add_service_names(struct builder *b, const struct crow_service *service, uint32_t index)
{
	const char *parts[] = {service->name, ".", service->source->zone};
	char text[CROW_NAME_MAX + 1] = "", folded[CROW_NAME_MAX + 1];
	size_t len = 0, service_len = strlen(service->name);

	for (size_t i = 0; i < 3; i++) {
		size_t part = strlen(parts[i]);

		if (len + part > CROW_NAME_MAX)
			return;
		memcpy(text + len, parts[i], part + 1);
		len += part;
	}
	len = crow_name_fold(text, len, folded);
	add_name(b, folded, len, CROW_NAME_SERVICE, index);
	if (memchr(folded, '_', service_len) == NULL)
		return;
	for (size_t i = 0; i < service_len; i++)
		if (folded[i] == '_')
			folded[i] = '-';
	add_name(b, folded, len, CROW_NAME_SERVICE, index);
}

static void add_aliases(struct builder *b, const struct crow_service *service, uint32_t index)
{
	const struct crow_strings *aliases = &service->config->aliases;

	for (size_t i = 0; i < aliases->count; i++)
		add_name(b, aliases->items[i], strlen(aliases->items[i]), CROW_NAME_SERVICE, index);
}

static bool is_below_a_zone(const struct builder *b, const char *text, size_t len)
{
	const struct crow_snap_zone *zones = (void *)b->zones.data;

	for (size_t i = 0; i < b->zones.count; i++) {
		const char *zone = (char *)b->strings.data + zones[i].name;
		size_t zone_len = strlen(zone);

		if (len > zone_len && crow_name_is_below(text, len, zone, zone_len))
			return true;
	}
	return false;
}

/* What stands between a name and its zone exists too, though there is nothing there: RFC 8020. The
 * text of a parent is the end of its child's. */
static void add_parents(struct builder *b, uint32_t text, size_t len)
{
	for (;;) {
		const char *name = (char *)b->strings.data + text;
		const char *dot = memchr(name, '.', len);
		struct crow_snap_name *parent;

		if (dot == NULL)
			return;
		text += (uint32_t)(dot + 1 - name);
		len -= (size_t)(dot + 1 - name);
		if (!is_below_a_zone(b, dot + 1, len))
			return;
		parent = crow_section_append(&b->names, 1);
		if (parent == NULL)
			return;
		*parent = (struct crow_snap_name){
			.text = text,
			.hash = (uint32_t)crow_name_hash(dot + 1, len),
			.service = CROW_SNAP_NONE,
			.length = (uint16_t)len,
			.kind = CROW_NAME_PARENT,
		};
	}
}

static void add_all_parents(struct builder *b)
{
	const struct crow_snap_zone *zones = (void *)b->zones.data;
	size_t count = b->names.count;

	if (b->names.failed || b->strings.failed || b->zones.failed)
		return;
	for (size_t i = 0; i < b->zones.count; i++)
		add_parents(b, zones[i].name, strlen((char *)b->strings.data + zones[i].name));
	for (size_t i = 0; i < count && !b->names.failed; i++) {
		const struct crow_snap_name *name =
			(struct crow_snap_name *)(void *)b->names.data + i;

		if (name->kind == CROW_NAME_SERVICE)
			add_parents(b, name->text, name->length);
	}
}

static bool is_same_name(const struct builder *b, const struct crow_snap_name *a,
			 const struct crow_snap_name *c)
{
	const char *strings = (char *)b->strings.data;

	return (a->kind == CROW_NAME_PARENT) == (c->kind == CROW_NAME_PARENT) &&
	       a->hash == c->hash && a->length == c->length &&
	       memcmp(strings + a->text, strings + c->text, a->length) == 0;
}

/* The first of two equal names wins: names of services come before denials, and a service's own
 * name in the order of the table. */
static void index_names(struct builder *b)
{
	const struct crow_snap_name *names = (void *)b->names.data;
	const char *strings = (char *)b->strings.data;
	const uint32_t *slots;

	if (b->names.failed || b->strings.failed || !make_slots(&b->name_slots, b->names.count))
		return;
	slots = (void *)b->name_slots.data;
	for (uint32_t i = 0; i < b->names.count; i++) {
		uint64_t hash = crow_name_hash(strings + names[i].text, names[i].length);
		uint64_t at = hash & (b->name_slots.count - 1);

		while (slots[at] != 0 && !is_same_name(b, &names[slots[at] - 1], &names[i]))
			at = (at + 1) & (b->name_slots.count - 1);
		if (slots[at] == 0)
			*find_free_slot(&b->name_slots, hash) = i + 1;
	}
}

/* ---- the address table ---- */

/* The entry for the (address, service) of an instance, or the free one where it belongs. */
static uint32_t *address_slot(struct builder *b, const struct crow_snap_instance *instance)
{
	const struct crow_snap_instance *instances = (void *)b->instances.data;
	uint32_t *slots = (void *)b->address_slots.data;
	uint64_t at = crow_addr_hash(&instance->addr) & (b->address_slots.count - 1);

	for (;; at = (at + 1) & (b->address_slots.count - 1)) {
		const struct crow_snap_instance *there;

		if (slots[at] == 0)
			return &slots[at];
		there = &instances[slots[at] - 1];
		if (there->service == instance->service &&
		    memcmp(&there->addr, &instance->addr, sizeof(there->addr)) == 0)
			return &slots[at];
	}
}

/* Instances come in the order of their slices, so that one that may be picked gets the entry of
 * its address before a drained one, and any of them before a tombstone. */
static void index_addresses(struct builder *b)
{
	struct crow_snap_instance *instances = (void *)b->instances.data;
	struct crow_snap_service *services = (void *)b->services.data;

	if (b->instances.failed || b->services.failed ||
	    !make_slots(&b->address_slots, b->instances.count))
		return;
	for (uint32_t i = 0; i < b->instances.count; i++) {
		uint32_t *slot = address_slot(b, &instances[i]);

		if (*slot == 0) {
			*slot = i + 1;
		} else if (instances[i].state != CROW_STATE_TOMBSTONE) {
			instances[*slot - 1].flags |= CROW_INSTANCE_SHARED;
			instances[i].flags |= CROW_INSTANCE_SHARED;
			services[instances[i].service].flags |= CROW_SERVICE_SHARED;
		}
	}
}

/* ---- the daemon's own addresses ---- */

/* A piece of a string that is still open: no NUL. */
static void add_piece(struct builder *b, const char *text)
{
	size_t size = strlen(text);
	char *at = crow_section_append(&b->strings, size);

	if (at != NULL)
		memcpy(at, text, size);
}

static void add_face(struct builder *b, const char *kind, const struct crow_listens *listens)
{
	char endpoint[CROW_ENDPOINT_TEXT];
	const char *before = kind;

	for (size_t i = 0; i < listens->count; i++) {
		if (listens->items[i].port == 0) /* the kernel's choice, which nobody can guess */
			continue;
		crow_addr_format(&listens->items[i].addr, listens->items[i].port, endpoint);
		add_piece(b, before);
		add_piece(b, endpoint);
		before = ",";
	}
}

static uint32_t add_faces(struct builder *b)
{
	uint32_t offset = (uint32_t)b->strings.count;

	add_face(b, "dns=", &b->table->config->dns_listen);
	add_face(b, " http=", &b->table->config->http_listen);
	crow_section_append(&b->strings, 1); /* the NUL */
	return offset;
}

/* ---- the image ---- */

static void collect(struct builder *b)
{
	const struct crow_table *table = b->table;

	for (size_t i = 0; i < table->config->source_count; i++)
		add_zone(b, &table->config->sources[i]);
	for (uint32_t i = 0; i < table->count; i++) {
		add_service(b, table->services[i], i);
		add_service_names(b, table->services[i], i);
	}
	for (uint32_t i = 0; i < table->count; i++) {
		add_aliases(b, table->services[i], i);
		add_tombstones(b, table->services[i], i);
	}
	for (size_t i = 0; i < table->denial_count; i++)
		add_name(b, table->denials[i].name, strlen(table->denials[i].name),
			 table->denials[i].kind, CROW_SNAP_NONE);
	add_all_parents(b);
	index_names(b);
	index_addresses(b);
}

static size_t align8(size_t size)
{
	return (size + 7) & ~(size_t)7;
}

/* The size of the whole image; 0 if memory ran out or it is too large. */
static size_t image_size(struct crow_section *sections[SECTIONS])
{
	size_t size = sizeof(struct crow_snap_header);

	for (size_t i = 0; i < SECTIONS; i++) {
		if (sections[i]->failed)
			return 0;
		size += align8(sections[i]->count * sections[i]->record);
	}
	return size <= CROW_SNAP_MAX_SIZE ? size : 0;
}

static void assemble(struct crow_section *sections[SECTIONS], struct crow_snap_header *header)
{
	struct crow_snap_section *out[SECTIONS] = {
		&header->zones,      &header->services,      &header->instances,
		&header->uppers,     &header->guides,        &header->names,
		&header->name_slots, &header->address_slots, &header->strings,
	};
	size_t at = sizeof(*header);

	for (size_t i = 0; i < SECTIONS; i++) {
		size_t size = sections[i]->count * sections[i]->record;

		out[i]->offset = (uint32_t)at;
		out[i]->count = (uint32_t)sections[i]->count;
		if (size > 0)
			memcpy((uint8_t *)header + at, sections[i]->data, size);
		memset((uint8_t *)header + at + size, 0, align8(size) - size);
		at += align8(size);
	}
	header->size = at;
	header->checksum = crow_image_checksum(&header->generation,
					       at - offsetof(struct crow_snap_header, generation));
}

static struct crow_published *finish(struct builder *b, const struct crow_snap_header *header)
{
	struct crow_section *sections[SECTIONS];
	struct crow_published *published;
	size_t size, marks = b->instances.count * sizeof(*published->given);

	list_sections(b, sections);
	size = image_size(sections);
	published = size == 0 ? NULL : malloc(sizeof(*published) + size + marks);
	if (published == NULL)
		return NULL;
	published->older = NULL;
	published->given = (void *)(published->bytes + size); /* aligned: size is a multiple of 8 */
	memcpy(published->bytes, header, sizeof(*header));
	assemble(sections, (void *)published->bytes);
	crow_given_mark_init(published->given, (void *)b->instances.data, b->instances.count);
	/* The same checks that a reader makes: an image that fails them must not leave. */
	if (crow_image_init(&published->image, published->bytes, size) != CROW_IMAGE_OK) {
		free(published);
		return NULL;
	}
	return published;
}

struct crow_published *crow_publish_build(const struct crow_table *table, uint64_t generation,
					  int64_t now_ns, int64_t wall_s)
{
	struct crow_snap_header header = {
		.magic = CROW_SNAP_MAGIC,
		.version = CROW_SNAP_VERSION,
		.byte_order = CROW_SNAP_BYTE_ORDER,
		.generation = generation,
		.built_boot_ns = now_ns,
		.built_wall_s = wall_s,
		.publisher_pid = (uint32_t)getpid(),
	};
	struct crow_published *published;
	struct builder b;

	builder_init(&b, table);
	collect(&b);
	header.faces = add_faces(&b);
	published = finish(&b, &header);
	builder_fini(&b);
	return published;
}
