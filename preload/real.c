#include "preload/real.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "preload/path.h"

enum which {
	CONNECT,
	GETADDRINFO,
	BYNAME,
	BYNAME2,
	BYNAME_R,
	BYNAME2_R,
	POLL,
	PPOLL,
	POLL_CHK,
	PPOLL_CHK,
	SELECT,
	PSELECT,
	EPOLL_WAIT,
	EPOLL_PWAIT,
	EPOLL_PWAIT2,
	EPOLL_CTL,
	GETSOCKOPT,
	SETSOCKOPT,
	COUNT
};

static const char *const names[COUNT] = {
	[CONNECT] = "connect",
	[GETADDRINFO] = "getaddrinfo",
	[BYNAME] = "gethostbyname",
	[BYNAME2] = "gethostbyname2",
	[BYNAME_R] = "gethostbyname_r",
	[BYNAME2_R] = "gethostbyname2_r",
	[POLL] = "poll",
	[PPOLL] = "ppoll",
	[POLL_CHK] = "__poll_chk",
	[PPOLL_CHK] = "__ppoll_chk",
	[SELECT] = "select",
	[PSELECT] = "pselect",
	[EPOLL_WAIT] = "epoll_wait",
	[EPOLL_PWAIT] = "epoll_pwait",
	[EPOLL_PWAIT2] = "epoll_pwait2",
	[EPOLL_CTL] = "epoll_ctl",
	[GETSOCKOPT] = "getsockopt",
	[SETSOCKOPT] = "setsockopt",
};

#define KERNEL_SIGSET_SIZE 8

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

static inline void *known(enum which which)
{
	return atomic_load_explicit(&found[which], memory_order_relaxed);
}

static inline void *real(enum which which)
{
	void *function = known(which);

	return __builtin_expect(function != NULL, 1) ? function : look_up(which);
}

void crow_real_init(void)
{
	for (int i = 0; i < COUNT; i++)
		look_up((enum which)i);
}

typedef int connect_function(int fd, const struct sockaddr *addr, socklen_t len);

/* Apart, so that all others are a load and a jump: a program's every connect() goes through it. */
static CROW_APART int connect_first(int fd, const struct sockaddr *addr, socklen_t len)
{
	connect_function *function = look_up(CONNECT);

	if (function == NULL)
		return (int)syscall(SYS_connect, fd, addr, len);
	return function(fd, addr, len);
}

CROW_HOT int crow_real_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	connect_function *function = known(CONNECT);

	return function != NULL ? function(fd, addr, len) : connect_first(fd, addr, len);
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

static struct timespec *timespec_of_ms(int ms, struct timespec *out)
{
	*out = (struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
	return ms < 0 ? NULL : out;
}

int crow_real_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
	int (*function)(struct pollfd *, nfds_t, int) = real(POLL);
	struct timespec ts;

	if (function == NULL)
		return (int)syscall(SYS_ppoll, fds, count, timespec_of_ms(timeout_ms, &ts), NULL,
				    KERNEL_SIGSET_SIZE);
	return function(fds, count, timeout_ms);
}

int crow_real_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
		    const sigset_t *mask)
{
	int (*function)(struct pollfd *, nfds_t, const struct timespec *, const sigset_t *) =
		real(PPOLL);
	struct timespec left;

	if (function != NULL)
		return function(fds, count, timeout, mask);
	/* The kernel writes what was left of it. */
	if (timeout != NULL)
		left = *timeout;
	return (int)syscall(SYS_ppoll, fds, count, timeout != NULL ? &left : NULL, mask,
			    KERNEL_SIGSET_SIZE);
}

int crow_real_poll_chk(struct pollfd *fds, nfds_t count, int timeout_ms, size_t size)
{
	int (*function)(struct pollfd *, nfds_t, int, size_t) = real(POLL_CHK);

	if (function == NULL)
		return crow_real_poll(fds, count, timeout_ms);
	return function(fds, count, timeout_ms, size);
}

int crow_real_ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
			const sigset_t *mask, size_t size)
{
	int (*function)(struct pollfd *, nfds_t, const struct timespec *, const sigset_t *,
			size_t) = real(PPOLL_CHK);

	if (function == NULL)
		return crow_real_ppoll(fds, count, timeout, mask);
	return function(fds, count, timeout, mask, size);
}

int crow_real_select(int count, fd_set *readable, fd_set *writable, fd_set *exceptional,
		     struct timeval *timeout)
{
	int (*function)(int, fd_set *, fd_set *, fd_set *, struct timeval *) = real(SELECT);
	struct timespec ts;
	int ready;

	if (function != NULL)
		return function(count, readable, writable, exceptional, timeout);
	if (timeout != NULL)
		ts = (struct timespec){timeout->tv_sec, timeout->tv_usec * 1000};
	ready = (int)syscall(SYS_pselect6, count, readable, writable, exceptional,
			     timeout != NULL ? &ts : NULL, NULL);
	if (timeout != NULL)
		*timeout = (struct timeval){ts.tv_sec, ts.tv_nsec / 1000};
	return ready;
}

int crow_real_pselect(int count, fd_set *readable, fd_set *writable, fd_set *exceptional,
		      const struct timespec *timeout, const sigset_t *mask)
{
	int (*function)(int, fd_set *, fd_set *, fd_set *, const struct timespec *,
			const sigset_t *) = real(PSELECT);
	const struct {
		const sigset_t *mask;
		size_t size;
	} blocked = {mask, KERNEL_SIGSET_SIZE};
	struct timespec left;

	if (function != NULL)
		return function(count, readable, writable, exceptional, timeout, mask);
	if (timeout != NULL)
		left = *timeout;
	return (int)syscall(SYS_pselect6, count, readable, writable, exceptional,
			    timeout != NULL ? &left : NULL, &blocked);
}

int crow_real_epoll_wait(int epfd, struct epoll_event *events, int max, int timeout_ms)
{
	int (*function)(int, struct epoll_event *, int, int) = real(EPOLL_WAIT);

	if (function == NULL)
		return (int)syscall(SYS_epoll_pwait, epfd, events, max, timeout_ms, NULL,
				    KERNEL_SIGSET_SIZE);
	return function(epfd, events, max, timeout_ms);
}

int crow_real_epoll_pwait(int epfd, struct epoll_event *events, int max, int timeout_ms,
			  const sigset_t *mask)
{
	int (*function)(int, struct epoll_event *, int, int, const sigset_t *) = real(EPOLL_PWAIT);

	if (function == NULL)
		return (int)syscall(SYS_epoll_pwait, epfd, events, max, timeout_ms, mask,
				    KERNEL_SIGSET_SIZE);
	return function(epfd, events, max, timeout_ms, mask);
}

int crow_real_epoll_pwait2(int epfd, struct epoll_event *events, int max,
			   const struct timespec *timeout, const sigset_t *mask)
{
	int (*function)(int, struct epoll_event *, int, const struct timespec *, const sigset_t *) =
		real(EPOLL_PWAIT2);

	/* glibc has it since 2.35; the system call came with Linux 5.11. */
	if (function == NULL)
		return (int)syscall(SYS_epoll_pwait2, epfd, events, max, timeout, mask,
				    KERNEL_SIGSET_SIZE);
	return function(epfd, events, max, timeout, mask);
}

int crow_real_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
	int (*function)(int, int, int, struct epoll_event *) = real(EPOLL_CTL);

	if (function == NULL)
		return (int)syscall(SYS_epoll_ctl, epfd, op, fd, event);
	return function(epfd, op, fd, event);
}

int crow_real_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	int (*function)(int, int, int, void *, socklen_t *) = real(GETSOCKOPT);

	if (function == NULL)
		return (int)syscall(SYS_getsockopt, fd, level, name, value, len);
	return function(fd, level, name, value, len);
}

typedef int setsockopt_function(int fd, int level, int name, const void *value, socklen_t len);

/* As with connect(). */
static CROW_APART int setsockopt_first(int fd, int level, int name, const void *value,
				       socklen_t len)
{
	setsockopt_function *function = look_up(SETSOCKOPT);

	if (function == NULL)
		return (int)syscall(SYS_setsockopt, fd, level, name, value, len);
	return function(fd, level, name, value, len);
}

CROW_HOT int crow_real_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	setsockopt_function *function = known(SETSOCKOPT);

	return function != NULL ? function(fd, level, name, value, len)
				: setsockopt_first(fd, level, name, value, len);
}
