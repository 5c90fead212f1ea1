/*
 * The TXT record of a service: its state, for a person with dig.
 */
#ifndef CROW_TXT_H
#define CROW_TXT_H

#include "daemon/dns/reply.h"
#include "resolver/image.h"

/* Adds one record of strings key=value: instances, up, ejected and drained (how many), weight (the
 * sum of those that may be picked), source, taken (when its list came, in UTC), stale (yes or no). */
void crow_txt_put(struct crow_reply *reply, const struct crow_image *img, uint32_t service,
		  uint32_t ttl_s);

/* Writes "2026-11-22T08:00:00Z" of seconds since the epoch; "unknown" outside of years 1 to 9999. No
 * call of libc: gmtime() reads the environment and may allocate. */
#define CROW_TXT_TIME 21
void crow_txt_format_time(int64_t wall_s, char out[CROW_TXT_TIME]);

#endif
