#include "preload/fd.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "preload/real.h"

/* From linux/tcp.h of 6.15, which Debian 12 has not. */
#ifndef TCP_RTO_MIN_US
#define TCP_RTO_MIN_US 45
#endif
#ifndef TCP_DELACK_MAX_US
#define TCP_DELACK_MAX_US 46
#endif
#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

/* What a socket has for TCP_MAXSEG until it is set or connects (RFC 1122 4.2.2.6). */
#define DEFAULT_SEGMENT 536

/* linux/include/net/tcp.h: the largest window before and after scaling. */
#define WINDOW_MAX       65535
#define WINDOW_SCALE_MAX 14

static bool get_int(int fd, int level, int option, int *value)
{
	socklen_t len = sizeof(*value);

	return getsockopt(fd, level, option, value, &len) == 0 && len == sizeof(*value);
}

static bool set_int(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) == 0;
}

/* The first byte of struct tcp_info is the state. CLOSE is that of a socket that was not used, or
 * whose connection failed. */
static bool is_closed(int fd)
{
	uint8_t state;
	socklen_t len = sizeof(state);

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &state, &len) == 0 && state == TCP_CLOSE;
}

bool crow_fd_ask(int fd, struct crow_socket *out)
{
	int fast_open = 0;
	int flags;

	*out = (struct crow_socket){0};
	if (!get_int(fd, SOL_SOCKET, SO_PROTOCOL, &out->protocol))
		return false;
	if (out->protocol != IPPROTO_TCP && out->protocol != IPPROTO_MPTCP)
		return false;
	flags = fcntl(fd, F_GETFL);
	if (flags < 0)
		return false;
	/* MPTCP knows this option since Linux 6.2, and before that no fast open either. */
	out->is_stream = get_int(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &fast_open) ||
			 out->protocol == IPPROTO_MPTCP;
	out->fast_open = fast_open != 0;
	out->nonblocking = (flags & O_NONBLOCK) != 0;
	out->fresh = !out->nonblocking && is_closed(fd);
	return true;
}

int64_t crow_fd_send_timeout_ns(int fd)
{
	struct timeval tv;
	socklen_t len = sizeof(tv);

	if (getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, &len) < 0)
		return 0;
	return (int64_t)tv.tv_sec * 1000000000 + (int64_t)tv.tv_usec * 1000;
}

bool crow_fd_set_send_timeout_ns(int fd, int64_t timeout_ns)
{
	int64_t us = (timeout_ns + 999) / 1000; /* up: 0 would be no time-out */
	struct timeval tv = {.tv_sec = us / 1000000, .tv_usec = us % 1000000};

	return setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) == 0;
}

static const struct option {
	int level;
	int name;
} lost_options[CROW_OPTIONS] = {
	{IPPROTO_TCP, TCP_MAXSEG},     {IPPROTO_TCP, TCP_WINDOW_CLAMP},  {SOL_SOCKET, SO_PEEK_OFF},
	{IPPROTO_TCP, TCP_RTO_MIN_US}, {IPPROTO_TCP, TCP_DELACK_MAX_US},
};

void crow_fd_save_options(int fd, struct crow_options *out)
{
	for (size_t i = 0; i < CROW_OPTIONS; i++)
		out->known[i] =
			get_int(fd, lost_options[i].level, lost_options[i].name, &out->values[i]);
}

/* Whether the value may be there without anybody having set it. */
static bool is_kernels_own(const struct option *option, int value)
{
	if (option->level != IPPROTO_TCP)
		return false;
	if (option->name == TCP_MAXSEG)
		return value == DEFAULT_SEGMENT;
	if (option->name != TCP_WINDOW_CLAMP)
		return false;
	/* A socket that has connected before: its clamp is the largest that the scale can tell. */
	for (int scale = 0; scale <= WINDOW_SCALE_MAX; scale++)
		if (value == WINDOW_MAX << scale)
			return true;
	return false;
}

bool crow_fd_reset(int fd, const struct crow_options *options)
{
	const struct sockaddr nowhere = {.sa_family = AF_UNSPEC};

	if (crow_real_connect(fd, &nowhere, sizeof(nowhere)) < 0)
		return false;
	for (size_t i = 0; i < CROW_OPTIONS; i++) {
		const struct option *option = &lost_options[i];
		int before = options->values[i];
		int now;

		if (!options->known[i] || is_kernels_own(option, before))
			continue;
		if (get_int(fd, option->level, option->name, &now) && now != before)
			set_int(fd, option->level, option->name, before);
	}
	return true;
}

/* Signals of a fault in the thread's own code: none of them interrupts a connect(), and runtimes
 * (the JVM, the sanitizers) handle them without SA_RESTART. */
static bool is_fault(int signal)
{
	return signal == SIGSEGV || signal == SIGBUS || signal == SIGFPE || signal == SIGILL ||
	       signal == SIGTRAP || signal == SIGABRT;
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
		if (action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN &&
		    (action.sa_flags & SA_RESTART) == 0)
			return false;
	}
	return true;
}
