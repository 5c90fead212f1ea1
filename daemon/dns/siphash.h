/*
 * SipHash-1-3 by Jean-Philippe Aumasson and Daniel J. Bernstein ("SipHash: a fast short-input PRF",
 * 2012; their reference code is in the public domain, CC0). Who does not know the secret cannot
 * choose inputs that collide. One round a word and three at the end are what Rust, Python and Ruby
 * take for their tables.
 */
#ifndef CROW_SIPHASH_H
#define CROW_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t crow_siphash(const uint64_t secret[2], const void *bytes, size_t size);

#endif
