/*
 * Names of addresses, for the targets of SRV and HTTPS records: `ip-10-0-0-1.<zone>` and, for IPv6,
 * `ip6-<32 hex digits>.<zone>`.
 */
#ifndef CROW_TARGET_H
#define CROW_TARGET_H

#include "daemon/dns/wire.h"
#include "resolver/image.h"

#define CROW_TARGET_MAX 64 /* "ip6-" + 32 digits + NUL, rounded up */

/* Writes the first label, NUL-terminated, and returns its length. */
size_t crow_target_format(const struct crow_addr *addr, char out[CROW_TARGET_MAX]);

/* Writes the whole name, uncompressed: RFC 2782 and RFC 9460 2.2 forbid to compress targets. */
void crow_target_put(struct crow_wire_writer *out, const struct crow_addr *addr, const char *zone);
/* The zone that the targets of a service are in. */
const char *crow_target_zone(const struct crow_image *img, uint32_t service);

/* Reads it back; only the very form that crow_target_format() writes is accepted. */
bool crow_target_parse(const char *label, size_t length, struct crow_addr *out);

#endif
