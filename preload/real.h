/*
 * The functions that libcrowfly.so stands before: those of the next library in the process's
 * search order (libc, or a sanitizer's or another preload's on the way), never a raw system call
 * on the normal path, so that cancellation points and interceptors work on.
 *
 * Correct before crow_real_init() too: each is then looked up at its first call. If there is none,
 * or the dynamic linker itself calls back into us, connect is the bare system call and a look-up
 * fails for good.
 */
#ifndef CROW_REAL_H
#define CROW_REAL_H

#include <netdb.h>
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

#endif
