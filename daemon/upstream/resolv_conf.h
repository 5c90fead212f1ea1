/*
 * A file of the form of resolv.conf(5), as a value. Pure.
 */
#ifndef CROW_RESOLV_CONF_H
#define CROW_RESOLV_CONF_H

#include "daemon/upstream/upstreams.h"
#include "resolver/name.h"

/* resolv.conf(5) had 6 for long; what is beyond is asked for by nobody. */
#define CROW_SEARCH_MAX 6

struct crow_resolv_conf {
	struct crow_listen servers[CROW_UPSTREAMS_MAX];
	size_t server_count;
	char search[CROW_SEARCH_MAX][CROW_NAME_MAX + 1];
	size_t search_count;
	uint32_t ndots;
};

/* Lines that mean nothing to us, or are wrong, are passed over, as glibc does. */
void crow_resolv_conf_read(const char *text, size_t size, struct crow_resolv_conf *out);

/* Reads a file; false with errno if that cannot be done. */
bool crow_resolv_conf_load(const char *path, struct crow_resolv_conf *out);

#endif
