/*
 * The functions that libcrowfly.so stands before: those of the next library in the process's
 * search order (libc, or a sanitizer's or another preload's on the way), never a raw system call
 * on the normal path, so that cancellation points and interceptors work on.
 *
 * Correct before crow_real_init() too: each is then looked up at its first call. If there is none,
 * or the dynamic linker itself calls back into us, it is the bare system call, and a look-up of a
 * name fails for good.
 */
#ifndef CROW_REAL_H
#define CROW_REAL_H

#include <netdb.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>

/* On every function that exports.map lists; all others are hidden. */
#define CROW_EXPORT __attribute__((visibility("default")))

/* Looks all of them up, so that none is looked up in a signal handler later. */
void crow_real_init(void);

int crow_real_connect(int fd, const struct sockaddr *addr, socklen_t len);
int crow_real_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
			  struct addrinfo **res);
struct hostent *crow_real_gethostbyname(const char *name);
struct hostent *crow_real_gethostbyname2(const char *name, int family);
int crow_real_gethostbyname_r(const char *name, struct hostent *ret, char *buf, size_t buflen,
			      struct hostent **result, int *h_errnop);
int crow_real_gethostbyname2_r(const char *name, int family, struct hostent *ret, char *buf,
			       size_t buflen, struct hostent **result, int *h_errnop);

int crow_real_poll(struct pollfd *fds, nfds_t count, int timeout_ms);
int crow_real_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
		    const sigset_t *mask);
/* size: of what fds points to, as the compiler knows it. */
int crow_real_poll_chk(struct pollfd *fds, nfds_t count, int timeout_ms, size_t size);
int crow_real_ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
			const sigset_t *mask, size_t size);
int crow_real_select(int count, fd_set *readable, fd_set *writable, fd_set *exceptional,
		     struct timeval *timeout);
int crow_real_pselect(int count, fd_set *readable, fd_set *writable, fd_set *exceptional,
		      const struct timespec *timeout, const sigset_t *mask);
int crow_real_epoll_wait(int epfd, struct epoll_event *events, int max, int timeout_ms);
int crow_real_epoll_pwait(int epfd, struct epoll_event *events, int max, int timeout_ms,
			  const sigset_t *mask);
int crow_real_epoll_pwait2(int epfd, struct epoll_event *events, int max,
			   const struct timespec *timeout, const sigset_t *mask);
int crow_real_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event);
int crow_real_getsockopt(int fd, int level, int name, void *value, socklen_t *len);
int crow_real_setsockopt(int fd, int level, int name, const void *value, socklen_t len);

#endif
