/*
 * Asking for the addresses of a name, as programs do: by libc in a process of its own, or by one
 * question to a name server.
 */
#ifndef CROW_ASK_H
#define CROW_ASK_H

#include <stdbool.h>
#include <stddef.h>

#include "resolver/address.h"

/* The largest that [dns] answers= allows. */
#define CROW_ASK_MAX 32

struct crow_asked {
	bool answered; /* false: nobody answered in time, or the program could not be run */
	size_t count;
	struct crow_addr addrs[CROW_ASK_MAX];
};

/* What getent(1) finds with the preload library (its path), or without one (NULL). */
void crow_ask_libc(const char *library, const char *runtime_dir, const char *name,
		   struct crow_asked *out);

/* What a name server says to a question for A, or where that brings none for AAAA. */
void crow_ask_dns(const struct crow_addr *server, uint16_t port, const char *name,
		  struct crow_asked *out);

#endif
