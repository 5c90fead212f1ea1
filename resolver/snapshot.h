/*
 * The snapshot: layout and publication protocol. The only description of the format; the prose
 * with a picture is docs/snapshot-format.md. Not a reader's API: that is image.h.
 *
 * An image is one block of bytes: the header, then the sections, each aligned to 8. Integers are
 * of the host's byte order (the file never leaves the host); `byte_order` refuses another's.
 *
 * Publication: the daemon writes the image to <runtime-dir>/snapshot.tmp and renames it over
 * <runtime-dir>/snapshot. A published file is never written again. Readers stat() the path, and
 * when device, inode, mtime or size changed they open, read whole, close and check a private copy:
 * never a mapping, because a mapped file that somebody truncates kills its readers by SIGBUS.
 *
 * Trust: the file may hold any bytes at all. Every offset, count and index is checked by image.c.
 */
#ifndef CROW_SNAPSHOT_H
#define CROW_SNAPSHOT_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "resolver/address.h"

#define CROW_SNAP_FILE       "snapshot"
#define CROW_SNAP_MAGIC      "crowfly" /* with its NUL: the 8 bytes of header.magic */
#define CROW_SNAP_VERSION    4
#define CROW_SNAP_BYTE_ORDER 0x01020304u
#define CROW_SNAP_NONE       UINT32_MAX /* no index */

/* A reader refuses more: 100,000 instances are about 8 MB, so this is 30 times what was tried. */
#define CROW_SNAP_MAX_SIZE (256u << 20)

/* A section: byte offset from the start of the image, and how many records it holds. */
struct crow_snap_section {
	uint32_t offset;
	uint32_t count;
};

struct crow_snap_header {
	uint8_t magic[8];
	uint32_t version;
	uint32_t byte_order;
	uint64_t size;          /* of the whole image, in bytes; a multiple of 8 */
	uint64_t checksum;      /* crow_image_checksum() of all that follows this field */
	uint64_t generation;    /* one more with every image of one daemon; starts at 1 */
	int64_t built_boot_ns;  /* CLOCK_BOOTTIME when it was built */
	int64_t built_wall_s;   /* seconds since the epoch, for show alone */
	uint32_t publisher_pid; /* for show alone */
	uint32_t faces; /* offset of the string: where the daemon listens, for tools, such as
			   "dns=127.0.0.55:53,[::1]:53 http=127.0.0.1:9550" */
	struct crow_snap_section zones;
	struct crow_snap_section services;
	struct crow_snap_section instances;
	struct crow_snap_section uppers; /* uint64_t */
	struct crow_snap_section guides; /* uint32_t */
	struct crow_snap_section names;
	struct crow_snap_section name_slots;    /* uint32_t index + 1 into names, 0 = free */
	struct crow_snap_section address_slots; /* uint32_t index + 1 into instances */
	struct crow_snap_section strings;       /* bytes; the last one is NUL */
};
static_assert(sizeof(struct crow_snap_header) == 136, "the header is part of the format");
static_assert(offsetof(struct crow_snap_header, generation) == 32, "checksum covers from here");
static_assert(offsetof(struct crow_snap_header, zones) == 64, "part of the format");
static_assert(offsetof(struct crow_snap_header, strings) == 128, "part of the format");

/* A zone: the suffix below which crowfly speaks for every name. */
struct crow_snap_zone {
	uint32_t name; /* offset of the string, lower case, without the last dot */
	uint32_t
		timeout_ms; /* how long a reader may wait for a name asked on demand; 0 = never ask */
};
static_assert(sizeof(struct crow_snap_zone) == 8, "part of the format");

enum crow_snap_service_flags {
	/* Discovery has not confirmed the list since failing_boot_ns. Not where there is none yet: what
	 * never came cannot be old. */
	CROW_SERVICE_STALE = 1,
	CROW_SERVICE_EQUAL = 2,  /* all that may be picked have equal parts of the circle */
	CROW_SERVICE_SHARED = 4, /* some of its instances have CROW_INSTANCE_SHARED */
};

/*
 * A service. Its instances are the slice [first, first + count), in this order: up4 IPv4
 * instances that may be picked, up6 IPv6 ones that may be picked, then all others; each group
 * rises by address and port, so that every host that has the same list builds the same order, and
 * so that an endpoint is found by bisection. Its tombstones are the slice [grave, grave + graves),
 * behind the slices of all services, rising likewise.
 * For i < up4 + up6, uppers[upper + i] is the last point of the 2^64 circle that belongs to
 * instance i; they rise, and the last is UINT64_MAX. guides[guide + b] is the first i whose upper
 * is at or after b << (64 - guide_bits); there are (1 << guide_bits) + 1 of them.
 * Where the flags say EQUAL, as with the platform's default weights, there are neither: instance i
 * of n has the points p with p * n >> 64 == i. That is a fifth of the bytes that readers copy, and
 * for the daemon two places of memory less for each pick.
 */
struct crow_snap_service {
	uint32_t name;   /* offset of the string: the name in discovery */
	uint32_t source; /* offset of the string: the [source NAME] it comes from */
	uint32_t zone;   /* index into zones */
	uint32_t first;
	uint32_t count;
	uint32_t up4;
	uint32_t up6;
	uint32_t grave;
	uint32_t graves;
	uint32_t upper;
	uint32_t guide;
	uint32_t guide_bits;
	uint32_t attempt_timeout_ms;
	uint16_t port; /* what clients ask for, host order; translated to the instance's */
	uint16_t flags;
	uint64_t total_weight;   /* of those that may be picked */
	int64_t taken_wall_s;    /* when this list came, for show; 0 = no list yet */
	int64_t taken_boot_ns;   /* the same by CLOCK_BOOTTIME; may be < 0: before this boot */
	int64_t failing_boot_ns; /* since when polls fail; 0 = the last poll was good, or never was */
	uint64_t key; /* of name and source: tells services apart, and stays from image to image */
};
static_assert(sizeof(struct crow_snap_service) == 96, "part of the format");
static_assert(offsetof(struct crow_snap_service, first) == 12, "part of the format");
static_assert(offsetof(struct crow_snap_service, guide) == 40, "part of the format");
static_assert(offsetof(struct crow_snap_service, port) == 52, "part of the format");
static_assert(offsetof(struct crow_snap_service, total_weight) == 56, "part of the format");

enum crow_snap_state {
	CROW_STATE_UP = 1,    /* may be picked */
	CROW_STATE_DRAINED,   /* weight 0: in the list, never picked */
	CROW_STATE_EJECTED,   /* taken out of picks by health */
	CROW_STATE_TOMBSTONE, /* was an instance until lately; outside every service's slice */
};

enum crow_snap_instance_flags {
	CROW_INSTANCE_SHARED = 1, /* its service has another instance on the same address */
};

struct crow_snap_instance {
	struct crow_addr addr;
	uint16_t port; /* host order */
	uint8_t state; /* enum crow_snap_state */
	uint8_t flags;
	uint32_t weight;
	uint32_t service; /* index into services */
	uint32_t app;     /* offset of the string: the platform's label */
};
static_assert(sizeof(struct crow_snap_instance) == 32, "part of the format");
static_assert(offsetof(struct crow_snap_instance, port) == 16, "part of the format");
static_assert(offsetof(struct crow_snap_instance, weight) == 20, "part of the format");

enum crow_snap_name_kind {
	CROW_NAME_SERVICE = 1, /* name of a service: itself, `_` as `-`, or an alias */
	CROW_NAME_UNKNOWN,     /* was asked on demand, and discovery does not know it */
	CROW_NAME_FAILED,      /* was asked on demand, and discovery could not say */
	CROW_NAME_PARENT,      /* has names of services or zones below it, in a zone */
};

/* A name, in the form of crow_name_fold(); found by crow_name_hash() in name_slots, which is
 * probed linearly. A text may have two entries: what it is itself, and CROW_NAME_PARENT, which says
 * nothing of that and is passed over by whoever does not look for it. address_slots is probed
 * likewise, by crow_addr_hash(): one entry for each (address, service), which leads to an instance
 * or, if there is none at that address, to a tombstone. */
struct crow_snap_name {
	uint32_t text;    /* offset of the string */
	uint32_t hash;    /* the low 32 bits of its hash */
	uint32_t service; /* CROW_SNAP_NONE unless kind is CROW_NAME_SERVICE */
	uint16_t length;
	uint16_t kind;
};
static_assert(sizeof(struct crow_snap_name) == 16, "part of the format");
static_assert(offsetof(struct crow_snap_name, service) == 8, "part of the format");

#endif
