/*
 * gethostbyname() and its relatives, with glibc's ways: the _r forms put everything into the
 * caller's buffer, or say ERANGE and NETDB_INTERNAL; the others use a static buffer that the next
 * call overwrites, whichever thread makes it.
 */
#include <errno.h>
#include <netdb.h>
#include <stdint.h>
#include <string.h>

#include "preload/real.h"
#include "preload/resolve.h"
#include "resolver/name.h"

/* What is put into the buffer, in this order, behind its alignment; then the name. */
struct layout {
	char *aliases[1]; /* none: NULL */
	char *list[CROW_ANSWERS_MAX + 1];
	uint8_t addrs[CROW_ANSWERS_MAX][16];
};

/* False if the buffer is too small. */
static bool fill(const struct crow_answer *answer, const char *name, int family,
		 struct hostent *ret, char *buf, size_t buflen)
{
	size_t skip = -(uintptr_t)buf % _Alignof(struct layout);
	size_t name_size = strlen(name) + 1;
	size_t addr_size = family == AF_INET ? 4 : 16;
	struct layout *layout;

	if (buflen < skip + sizeof(*layout) + name_size)
		return false;
	layout = (void *)(buf + skip);
	layout->aliases[0] = NULL;
	for (size_t i = 0; i < answer->count; i++) {
		const struct crow_addr *addr = &answer->addrs[i];

		memcpy(layout->addrs[i], family == AF_INET ? crow_addr_v4_bytes(addr) : addr->bytes,
		       addr_size);
		layout->list[i] = (char *)layout->addrs[i];
	}
	layout->list[answer->count] = NULL;
	*ret = (struct hostent){
		.h_name = memcpy(layout + 1, name, name_size),
		.h_aliases = layout->aliases,
		.h_addrtype = family,
		.h_length = (int)addr_size,
		.h_addr_list = layout->list,
	};
	return true;
}

/* False: libc's to answer. Otherwise *error is what the _r form returns. */
static bool answer(const char *name, int family, struct hostent *ret, char *buf, size_t buflen,
		   struct hostent **result, int *h_errnop, int *error)
{
	enum crow_family wanted = family == AF_INET ? CROW_V4 : CROW_V6;
	struct crow_answer found;

	if (name == NULL || (family != AF_INET && family != AF_INET6) ||
	    !crow_resolve(name, wanted, wanted, &found))
		return false;
	*result = NULL;
	*error = 0;
	if (found.count == 0) {
		*h_errnop = NO_DATA;
	} else if (!fill(&found, name, family, ret, buf, buflen)) {
		*h_errnop = NETDB_INTERNAL;
		*error = errno = ERANGE;
	} else {
		*h_errnop = NETDB_SUCCESS;
		*result = ret;
	}
	return true;
}

/* Room for the longest name that the image may hold, so that ERANGE cannot be. */
static struct {
	struct hostent entry;
	_Alignas(struct layout) char buf[sizeof(struct layout) + CROW_NAME_MAX + 2];
} shared;

static bool answer_shared(const char *name, int family, struct hostent **result)
{
	int unused;

	return answer(name, family, &shared.entry, shared.buf, sizeof(shared.buf), result, &h_errno,
		      &unused);
}

CROW_EXPORT struct hostent *gethostbyname(const char *name)
{
	struct hostent *result;

	return answer_shared(name, AF_INET, &result) ? result : crow_real_gethostbyname(name);
}

CROW_EXPORT struct hostent *gethostbyname2(const char *name, int family)
{
	struct hostent *result;

	return answer_shared(name, family, &result) ? result
						    : crow_real_gethostbyname2(name, family);
}

CROW_EXPORT int gethostbyname_r(const char *name, struct hostent *ret, char *buf, size_t buflen,
				struct hostent **result, int *h_errnop)
{
	int error;

	if (answer(name, AF_INET, ret, buf, buflen, result, h_errnop, &error))
		return error;
	return crow_real_gethostbyname_r(name, ret, buf, buflen, result, h_errnop);
}

CROW_EXPORT int gethostbyname2_r(const char *name, int family, struct hostent *ret, char *buf,
				 size_t buflen, struct hostent **result, int *h_errnop)
{
	int error;

	if (answer(name, family, ret, buf, buflen, result, h_errnop, &error))
		return error;
	return crow_real_gethostbyname2_r(name, family, ret, buf, buflen, result, h_errnop);
}
