/*
 * What one item of the configuration may look like: pure predicates and readers of NUL-terminated
 * text. No allocation; out is untouched where false is returned.
 */
#ifndef CROW_VALUE_H
#define CROW_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/config.h"

/* "1h" to "4294967295ms" and the NUL. */
#define CROW_DURATION_TEXT 16
/* CROW_ENDPOINT_TEXT and "[", "]:65535". */
#define CROW_LISTEN_TEXT 80
/* CROW_ENDPOINT_TEXT and "/4294967295", which is what the compiler counts. */
#define CROW_CIDR_TEXT 80

/* Letters, digits, '.', '_' and '-', and at least one of them. */
bool crow_value_is_word(const char *text);
/* What makes a name too long for DNS, and what to do about it, as a clause; NULL: nothing. */
const char *crow_value_excess(const char *text);
/* The name of a service: a word of labels of 1 to 63 bytes with dots between, no label beginning
 * or ending in '-', CROW_NAME_MAX bytes at most. */
bool crow_value_is_service(const char *text);
/* The same with an optional dot at the end, and not an IPv4 address: no resolver asks for one. */
bool crow_value_is_name(const char *text);
/* http:// or https://, a host, perhaps a port and a path; no user, query, fragment or blank. */
bool crow_value_is_url(const char *text);

/* Decimal digits alone, up to UINT32_MAX. */
bool crow_value_number(const char *text, uint32_t *out);
/* Digits and ms, s, m or h. */
bool crow_value_duration_ms(const char *text, uint32_t *out_ms);
void crow_value_format_duration(uint32_t ms, char out[CROW_DURATION_TEXT]);

/* "10.0.0.1:53", "[::1]:53", or an address alone, which gets default_port. Port 0 is allowed: the
 * kernel chooses. */
bool crow_value_listen(const char *text, uint16_t default_port, struct crow_listen *out);
void crow_value_format_listen(const struct crow_listen *listen, char out[CROW_LISTEN_TEXT]);
void crow_value_format_cidr(const struct crow_cidr *cidr, char out[CROW_CIDR_TEXT]);

#endif
