/*
 * Names as readers compare them: ASCII letters folded to lower case, no trailing dot. Only A-Z
 * fold (RFC 4343); every other byte stands for itself.
 */
#ifndef CROW_NAME_H
#define CROW_NAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The longest name in dotted text (RFC 1035 2.3.4: 255 on the wire). */
#define CROW_NAME_MAX 253

/* Copies text to out in folded form, NUL-terminated, and returns its length; 0 if it is empty or
 * longer than CROW_NAME_MAX. One trailing dot is dropped. */
size_t crow_name_fold(const char *text, size_t len, char out[CROW_NAME_MAX + 1]);

/* The hash of a folded name, for tables on this host: it differs with the order of bytes. */
uint64_t crow_name_hash(const char *folded, size_t len);

/* True if name equals zone or ends in "." zone; both folded. */
bool crow_name_is_below(const char *name, size_t len, const char *zone, size_t zone_len);

#endif
