#include "preload/fd.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>

#include "preload/options.h"
#include "preload/real.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static bool get_int(int fd, int level, int option, int *value)
{
	socklen_t len = sizeof(*value);

	return crow_real_getsockopt(fd, level, option, value, &len) == 0 && len == sizeof(*value);
}

static bool set_int(int fd, int level, int option, int value)
{
	return crow_real_setsockopt(fd, level, option, &value, sizeof(value)) == 0;
}

/* The kernel answers this question for a TCP socket in any state, and for no other protocol, and it
 * is the cheapest of that kind: two thirds of a getsockopt(). */
static bool is_plain_tcp(int fd)
{
	return sockatmark(fd) >= 0;
}

static bool is_mptcp(int fd)
{
	int protocol, type;

	return get_int(fd, SOL_SOCKET, SO_PROTOCOL, &protocol) && protocol == IPPROTO_MPTCP &&
	       get_int(fd, SOL_SOCKET, SO_TYPE, &type) && type == SOCK_STREAM;
}

/* MPTCP knows the option since Linux 6.2, and before that no fast open either. */
bool crow_fd_is_fast_open(int fd)
{
	int fast_open = 0;

	return crow_options_may_be_set(CROW_OPTION_FAST_OPEN) &&
	       get_int(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &fast_open) && fast_open != 0;
}

bool crow_fd_is_tcp(int fd)
{
	return is_plain_tcp(fd) || is_mptcp(fd);
}

bool crow_fd_may_connect(int fd)
{
	uint8_t state; /* the first byte of struct tcp_info */
	socklen_t len = sizeof(state);

	return crow_real_getsockopt(fd, IPPROTO_TCP, TCP_INFO, &state, &len) == 0 &&
	       state != TCP_LISTEN;
}

bool crow_fd_is_dual_stack(int fd)
{
	int only;

	return get_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only) && only == 0;
}

uint32_t crow_fd_round_trip_us(int fd)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	if (crow_real_getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return 0;
	return info.tcpi_rtt;
}

struct timeval crow_fd_send_timeout(int fd)
{
	struct timeval timeout = {0};
	socklen_t len = sizeof(timeout);

	if (crow_real_getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, &len) < 0)
		return (struct timeval){0};
	return timeout;
}

bool crow_fd_reset(int fd)
{
	const struct sockaddr nowhere = {.sa_family = AF_UNSPEC};

	return crow_real_connect(fd, &nowhere, sizeof(nowhere)) == 0;
}

/* Signals of a fault in the thread's own code: none of them interrupts a connect(), and runtimes
 * (the JVM, the sanitizers) handle them without SA_RESTART. */
static bool is_fault(int signal)
{
	return signal == SIGSEGV || signal == SIGBUS || signal == SIGFPE || signal == SIGILL ||
	       signal == SIGTRAP || signal == SIGABRT;
}

/* A handler that was set for one time (SA_RESETHAND, signal() of System V) is gone by the time that
 * its signal has interrupted us; its flags are still there. */
static bool is_handled(const struct sigaction *action)
{
	if (action->sa_handler == SIG_DFL)
		return (action->sa_flags & SA_RESETHAND) != 0;
	return action->sa_handler != SIG_IGN;
}

bool crow_fd_signals_restart(void)
{
	struct sigaction action;
	sigset_t blocked;

	if (pthread_sigmask(SIG_SETMASK, NULL, &blocked) != 0)
		return false;
	for (int signal = 1; signal < NSIG; signal++) {
		if (is_fault(signal) || sigismember(&blocked, signal) != 0 ||
		    sigaction(signal, NULL, &action) < 0)
			continue;
		if (is_handled(&action) && (action.sa_flags & SA_RESTART) == 0)
			return false;
	}
	return true;
}

short crow_fd_look(int fd)
{
	struct pollfd ready = {.fd = fd, .events = POLLOUT};

	return crow_real_poll(&ready, 1, 0) > 0 ? ready.revents : 0;
}

int crow_fd_take_error(int fd)
{
	int error = 0;

	get_int(fd, SOL_SOCKET, SO_ERROR, &error);
	return error;
}

enum crow_fd_mode crow_fd_mode(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return CROW_FD_NONE;
	return (flags & O_NONBLOCK) != 0 ? CROW_FD_NONBLOCKING : CROW_FD_BLOCKING;
}

bool crow_fd_cookie(int fd, uint64_t *cookie)
{
	socklen_t len = sizeof(*cookie);

	return crow_real_getsockopt(fd, SOL_SOCKET, SO_COOKIE, cookie, &len) == 0;
}

int crow_fd_user_timeout_ms(int fd)
{
	int ms;

	return get_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms) ? ms : -1;
}

bool crow_fd_set_user_timeout_ms(int fd, int ms)
{
	return set_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, ms);
}
