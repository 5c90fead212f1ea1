/*
 * A host name to addresses of healthy instances, without asking anybody: what getaddrinfo() and
 * the gethostbyname() family have in common.
 */
#ifndef CROW_RESOLVE_H
#define CROW_RESOLVE_H

#include "resolver/address.h"

/* As many as the DNS responder gives by default. Programs try them in turn, and each of those
 * connects may go to CROW_TARGETS_MAX instances. */
#define CROW_ANSWERS_MAX 3

struct crow_answer {
	size_t count; /* 0: a name of ours that has no address of this family */
	struct crow_addr addrs[CROW_ANSWERS_MAX];
};

/* The first address is by weight, the others are different ones. If the service has no instance of
 * the family, those of `otherwise` (the same family: none). May wait, for a name that is asked for
 * on demand. False: leave it to libc. errno is kept. */
bool crow_resolve(const char *host, enum crow_family family, enum crow_family otherwise,
		  struct crow_answer *out);

#endif
