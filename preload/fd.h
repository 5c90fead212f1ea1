/*
 * What the kernel says of a socket, and what a reset takes from it. Each call is a system call of
 * 0.3 us: they are made on connects to our addresses alone, and no more of them than needed.
 */
#ifndef CROW_FD_H
#define CROW_FD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/time.h>

#include "preload/real.h"

/* Whether calls of it wait; none, where there is no such descriptor. */
enum crow_fd_mode { CROW_FD_NONE, CROW_FD_BLOCKING, CROW_FD_NONBLOCKING };
enum crow_fd_mode crow_fd_mode(int fd);

/* Fast open: the first bytes may ride in the SYN, so that connect() is not where a failure shows. */
bool crow_fd_is_fast_open(int fd);

/* TCP or MPTCP. */
bool crow_fd_is_tcp(int fd);

/* True for a TCP socket that does not listen. */
bool crow_fd_may_connect(int fd);

/* True for an IPv6 socket that takes IPv4 addresses, mapped, too. */
bool crow_fd_is_dual_stack(int fd);

/* How long a packet to the peer and back takes (TCP_INFO), 0 = not known. */
uint32_t crow_fd_round_trip_us(int fd);

/* SO_SNDTIMEO, which bounds connect() on a blocking socket; zero = none. */
struct timeval crow_fd_send_timeout(int fd);
static inline bool crow_fd_set_send_timeout(int fd, const struct timeval *timeout)
{
	return crow_real_setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, timeout, sizeof(*timeout)) == 0;
}

/* Takes the socket back to unconnected, on the same descriptor. False if that was refused. */
bool crow_fd_reset(int fd);

/* What poll() says at once of a socket that connects; 0 = it still does. */
short crow_fd_look(int fd);

/* SO_ERROR, which is 0 afterwards. */
int crow_fd_take_error(int fd);

/* A number that no other socket of this machine has had since it started. */
bool crow_fd_cookie(int fd, uint64_t *cookie);

/* TCP_USER_TIMEOUT; 0 = none, negative = not known here. */
int crow_fd_user_timeout_ms(int fd);
bool crow_fd_set_user_timeout_ms(int fd, int ms);

/* True if no signal that may interrupt this thread has a handler without SA_RESTART. */
bool crow_fd_signals_restart(void);

#endif
