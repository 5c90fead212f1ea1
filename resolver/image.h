/*
 * Checked look-ups in an image (snapshot.h). No bytes whatever in it make these crash, hang or
 * read outside of it; nothing here allocates, locks, logs or calls the kernel, so all of it may
 * run in a signal handler. Indices are into the image's sections; strings are borrowed from it.
 */
#ifndef CROW_IMAGE_H
#define CROW_IMAGE_H

#include "resolver/address.h"
#include "resolver/snapshot.h"

struct crow_image {
	const uint8_t *bytes;
	size_t size;
	const struct crow_snap_header *header;
	const struct crow_snap_zone *zones;
	const struct crow_snap_service *services;
	const struct crow_snap_instance *instances;
	const uint64_t *uppers;
	const uint32_t *guides;
	const struct crow_snap_name *names;
	const uint32_t *name_slots;
	const uint32_t *address_slots;
	const char *strings;
};

enum crow_image_error {
	CROW_IMAGE_OK,
	CROW_IMAGE_SHORT,    /* shorter than a header, or than its size says */
	CROW_IMAGE_MAGIC,    /* not a snapshot, or of another byte order */
	CROW_IMAGE_VERSION,  /* of another version of the format */
	CROW_IMAGE_CHECKSUM, /* damaged */
	CROW_IMAGE_LAYOUT,   /* a section, slice or guide lies outside */
};

/* Checks bytes (8-aligned, kept by the caller as long as img is used) and fills img. On an error
 * img is all zero: an empty image, in which every look-up finds nothing. */
enum crow_image_error crow_image_init(struct crow_image *img, const void *bytes, size_t size);
const char *crow_image_strerror(enum crow_image_error error);

/* Guards against damage (a full disk, a stray write, a copy cut short), not against attackers. */
uint64_t crow_image_checksum(const void *bytes, size_t size);

/* The string at that offset, "" if there is none. */
const char *crow_image_string(const struct crow_image *img, uint32_t offset);

uint32_t crow_image_service_count(const struct crow_image *img);

/* NULL if the index is out of range; likewise below. */
const struct crow_snap_service *crow_image_service(const struct crow_image *img, uint32_t index);
const struct crow_snap_instance *crow_image_instance(const struct crow_image *img, uint32_t index);

/* The entry of a folded name, or NULL. */
const struct crow_snap_name *crow_image_find_name(const struct crow_image *img, const char *folded,
						  size_t len);

/* Whether names of the image lie below a folded name that lies below a zone. */
bool crow_image_is_parent(const struct crow_image *img, const char *folded, size_t len);

/* The zone (the longest, if several) at or below which a folded name lies, or NULL. */
const struct crow_snap_zone *crow_image_find_zone(const struct crow_image *img, const char *folded,
						  size_t len);

/* Whom an address belongs to. instance is the one asked for, or CROW_SNAP_NONE when the port was
 * translated and the address does not tell which instance is meant. */
struct crow_owner {
	uint32_t service;
	uint32_t instance;
	bool exact; /* it has an instance at exactly that address and port */
};

/* The next service that connect(addr, port) may mean: one with an instance at exactly that address
 * and port, before which all others give way; or with a tombstone there; or with an instance or
 * tombstone at that address, and `port` as its own port. *probe starts at 0. False: no more. */
bool crow_image_next_owner(const struct crow_image *img, const struct crow_addr *addr,
			   uint16_t port, uint32_t *probe, struct crow_owner *out);

/* The next service that has an instance (no tombstone) at an address. *probe starts at 0. */
bool crow_image_next_holder(const struct crow_image *img, const struct crow_addr *addr,
			    uint32_t *probe, uint32_t *service);

/* True if any instance or tombstone of the image has this address: targets of SRV
 * records resolve as long as somebody may hold one. */
bool crow_image_has_address(const struct crow_image *img, const struct crow_addr *addr);

#endif
