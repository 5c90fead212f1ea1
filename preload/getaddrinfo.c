/*
 * getaddrinfo(): names of services from the snapshot, everything else from libc.
 *
 * What libc's freeaddrinfo() frees must be as libc makes it: one block for each node, with the
 * address behind it, and the canonical name in a block of its own on the first node.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "preload/real.h"
#include "preload/resolve.h"

/* Flags whose meaning for a name is plain. AI_PASSIVE has none beside a node, and the IDN flags
 * none where nothing is to be converted (getent always sets them). Any other flag
 * (AI_NUMERICHOST, what will be invented) is libc's business. */
#define PLAIN_FLAGS                                                                                \
	(AI_PASSIVE | AI_CANONNAME | AI_ADDRCONFIG | AI_V4MAPPED | AI_ALL | AI_NUMERICSERV |       \
	 AI_IDN | AI_CANONIDN)

/* What no hints mean to glibc (getaddrinfo(3)). */
static const struct addrinfo no_hints = {.ai_family = AF_UNSPEC,
					 .ai_flags = AI_V4MAPPED | AI_ADDRCONFIG};

/* Whether AI_IDN or AI_CANONIDN would convert it (RFC 5890 2.3.2.1: "xn--" marks A-labels). */
static bool is_international(const char *node)
{
	for (const char *c = node; *c != '\0'; c++)
		if ((unsigned char)*c >= 0x80)
			return true;
	return strcasestr(node, "xn--") != NULL;
}

static bool is_plain(const char *node, const struct addrinfo *hints)
{
	if ((hints->ai_flags & (AI_IDN | AI_CANONIDN)) != 0 && is_international(node))
		return false;
	return (hints->ai_flags & ~PLAIN_FLAGS) == 0 &&
	       (hints->ai_family == AF_UNSPEC || hints->ai_family == AF_INET ||
		hints->ai_family == AF_INET6);
}

/* An IPv4 address as this question's answer must have it. */
static sa_family_t answer_family(const struct crow_addr *addr, const struct addrinfo *hints)
{
	return crow_addr_is_v4(addr) && hints->ai_family != AF_INET6 ? AF_INET : AF_INET6;
}

static bool resolve(const char *node, const struct addrinfo *hints, struct crow_answer *out)
{
	bool maps = (hints->ai_flags & AI_V4MAPPED) != 0;

	switch (hints->ai_family) {
	case AF_INET:
		return crow_resolve(node, CROW_V4, CROW_V4, out);
	case AF_INET6:
		if (maps && (hints->ai_flags & AI_ALL) != 0)
			return crow_resolve(node, CROW_ANY, CROW_ANY, out);
		return crow_resolve(node, CROW_V6, maps ? CROW_V4 : CROW_V6, out);
	default:
		return crow_resolve(node, CROW_ANY, CROW_ANY, out);
	}
}

/* libc's own answer for a numeric address: its nodes have the socket types, protocols and ports
 * that service and hints mean, and its errors are those of the caller's question. */
static int ask_libc(sa_family_t family, int flags, const char *service,
		    const struct addrinfo *hints, struct addrinfo **out)
{
	struct addrinfo numeric = {
		.ai_flags = AI_NUMERICHOST | flags,
		.ai_family = family,
		.ai_socktype = hints->ai_socktype,
		.ai_protocol = hints->ai_protocol,
	};

	return crow_real_getaddrinfo(family == AF_INET ? "127.0.0.1" : "::1", service, &numeric,
				     out);
}

static bool is_configured(sa_family_t family)
{
	static const struct addrinfo any = {.ai_socktype = SOCK_STREAM};
	struct addrinfo *node;

	if (ask_libc(family, AI_ADDRCONFIG, NULL, &any, &node) != 0)
		return false;
	freeaddrinfo(node);
	return true;
}

/* AI_ADDRCONFIG leaves out a family of which this host has no address. It is asked for only where
 * leaving out still leaves something: the kernel's answer costs more than all of the rest. */
static void drop_unconfigured(struct crow_answer *answer, const struct addrinfo *hints)
{
	size_t v4 = 0, kept = 0;
	bool has_v4, has_v6;

	for (size_t i = 0; i < answer->count; i++)
		v4 += crow_addr_is_v4(&answer->addrs[i]);
	if (hints->ai_family != AF_UNSPEC || (hints->ai_flags & AI_ADDRCONFIG) == 0 || v4 == 0 ||
	    v4 == answer->count)
		return;
	has_v4 = is_configured(AF_INET);
	has_v6 = is_configured(AF_INET6);
	if (has_v4 == has_v6)
		return;
	for (size_t i = 0; i < answer->count; i++)
		if (crow_addr_is_v4(&answer->addrs[i]) == has_v4)
			answer->addrs[kept++] = answer->addrs[i];
	answer->count = kept;
}

static in_port_t port_of(const struct addrinfo *node)
{
	const struct sockaddr_in *sin = (const void *)node->ai_addr;

	return ntohs(sin->sin_port);
}

/* A node like `model` (of AF_INET) for another address; NULL without memory. */
static struct addrinfo *node_new(const struct addrinfo *model, const struct crow_addr *addr,
				 const struct addrinfo *hints)
{
	struct addrinfo *node = calloc(1, sizeof(*node) + sizeof(struct sockaddr_in6));
	struct sockaddr_storage storage;

	if (node == NULL)
		return NULL;
	node->ai_flags = hints->ai_flags;
	node->ai_family = answer_family(addr, hints);
	node->ai_socktype = model->ai_socktype;
	node->ai_protocol = model->ai_protocol;
	node->ai_addr = (struct sockaddr *)(node + 1);
	node->ai_addrlen =
		crow_addr_to_sockaddr(addr, port_of(model), (sa_family_t)node->ai_family, &storage);
	memcpy(node->ai_addr, &storage, node->ai_addrlen);
	return node;
}

/* For each address a node for each of the models, as glibc orders them. */
static struct addrinfo *nodes_new(const struct crow_answer *answer, const struct addrinfo *models,
				  const struct addrinfo *hints)
{
	struct addrinfo *first = NULL;
	struct addrinfo **end = &first;

	for (size_t i = 0; i < answer->count; i++) {
		for (const struct addrinfo *model = models; model; model = model->ai_next) {
			*end = node_new(model, &answer->addrs[i], hints);
			if (*end == NULL) {
				freeaddrinfo(first);
				return NULL;
			}
			end = &(*end)->ai_next;
		}
	}
	return first;
}

static int build(const struct crow_answer *answer, const char *node, const struct addrinfo *models,
		 const struct addrinfo *hints, struct addrinfo **res)
{
	struct addrinfo *first = nodes_new(answer, models, hints);

	if (first == NULL)
		return EAI_MEMORY;
	if ((hints->ai_flags & AI_CANONNAME) != 0) {
		first->ai_canonname = strdup(node);
		if (first->ai_canonname == NULL) {
			freeaddrinfo(first);
			return EAI_MEMORY;
		}
	}
	*res = first;
	return 0;
}

CROW_EXPORT int getaddrinfo(const char *node, const char *service, const struct addrinfo *given,
			    struct addrinfo **res)
{
	const struct addrinfo *hints = given != NULL ? given : &no_hints;
	struct crow_answer answer;
	struct addrinfo *models;
	int saved = errno;
	int error;

	if (node == NULL || !is_plain(node, hints) || !resolve(node, hints, &answer))
		return crow_real_getaddrinfo(node, service, given, res);
	error = ask_libc(AF_INET, hints->ai_flags & AI_NUMERICSERV, service, hints, &models);
	if (error != 0)
		return error;
	drop_unconfigured(&answer, hints);
	/* The name is there, and has no address of this family: what DNS calls NODATA. */
	error = answer.count == 0 ? EAI_NODATA : build(&answer, node, models, hints, res);
	freeaddrinfo(models);
	errno = saved;
	return error;
}
