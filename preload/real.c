#include "preload/real.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

enum which { CONNECT, GETADDRINFO, BYNAME, BYNAME2, BYNAME_R, BYNAME2_R, COUNT };

static const char *const names[COUNT] = {
	"connect",        "getaddrinfo",     "gethostbyname",
	"gethostbyname2", "gethostbyname_r", "gethostbyname2_r",
};

/* Written by whoever looks up first; two threads that race write the same value. Relaxed, because
 * the code that it points to was there before any thread. */
static _Atomic(void *) found[COUNT];

/* dlsym() may allocate, and an allocator may connect: do not look up inside of a look-up. */
static __thread bool looking;

static void *look_up(enum which which)
{
	int saved = errno;
	void *function;

	if (looking)
		return NULL;
	looking = true;
	function = dlsym(RTLD_NEXT, names[which]);
	looking = false;
	atomic_store_explicit(&found[which], function, memory_order_relaxed);
	errno = saved;
	return function;
}

static inline void *real(enum which which)
{
	void *function = atomic_load_explicit(&found[which], memory_order_relaxed);

	return __builtin_expect(function != NULL, 1) ? function : look_up(which);
}

void crow_real_init(void)
{
	for (int i = 0; i < COUNT; i++)
		look_up((enum which)i);
}

int crow_real_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	int (*function)(int, const struct sockaddr *, socklen_t) = real(CONNECT);

	if (function == NULL)
		return (int)syscall(SYS_connect, fd, addr, len);
	return function(fd, addr, len);
}

int crow_real_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
			  struct addrinfo **res)
{
	int (*function)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
		real(GETADDRINFO);

	return function == NULL ? EAI_FAIL : function(node, service, hints, res);
}

/* What the gethostbyname family says when there is nobody to ask. */
static int no_recovery(struct hostent **result, int *h_errnop)
{
	*result = NULL;
	*h_errnop = NO_RECOVERY;
	return EAGAIN;
}

struct hostent *crow_real_gethostbyname(const char *name)
{
	struct hostent *(*function)(const char *) = real(BYNAME);
	struct hostent *none;

	if (function != NULL)
		return function(name);
	no_recovery(&none, &h_errno);
	return none;
}

struct hostent *crow_real_gethostbyname2(const char *name, int family)
{
	struct hostent *(*function)(const char *, int) = real(BYNAME2);
	struct hostent *none;

	if (function != NULL)
		return function(name, family);
	no_recovery(&none, &h_errno);
	return none;
}

int crow_real_gethostbyname_r(const char *name, struct hostent *ret, char *buf, size_t buflen,
			      struct hostent **result, int *h_errnop)
{
	int (*function)(const char *, struct hostent *, char *, size_t, struct hostent **, int *) =
		real(BYNAME_R);

	if (function == NULL)
		return no_recovery(result, h_errnop);
	return function(name, ret, buf, buflen, result, h_errnop);
}

int crow_real_gethostbyname2_r(const char *name, int family, struct hostent *ret, char *buf,
			       size_t buflen, struct hostent **result, int *h_errnop)
{
	int (*function)(const char *, int, struct hostent *, char *, size_t, struct hostent **,
			int *) = real(BYNAME2_R);

	if (function == NULL)
		return no_recovery(result, h_errnop);
	return function(name, family, ret, buf, buflen, result, h_errnop);
}
