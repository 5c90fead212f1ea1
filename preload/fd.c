#include "preload/fd.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>

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

/* What TCP_MAXSEG is less by while the socket connects (RFC 7323, and two bytes of padding). */
#define TIMESTAMPS_SIZE 12

/* linux/include/net/tcp.h: the largest window before and after scaling. */
#define WINDOW_MAX       65535
#define WINDOW_SCALE_MAX 14

static bool get_int(int fd, int level, int option, int *value)
{
	socklen_t len = sizeof(*value);

	return crow_real_getsockopt(fd, level, option, value, &len) == 0 && len == sizeof(*value);
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

	return crow_real_getsockopt(fd, IPPROTO_TCP, TCP_INFO, &state, &len) == 0 &&
	       state == TCP_CLOSE;
}

/* What has this option is a TCP or MPTCP socket: most are told by this one call. */
static bool ask_protocol(int fd, struct crow_socket *out)
{
	int fast_open = 0;

	out->protocol = IPPROTO_TCP;
	out->is_stream = get_int(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &fast_open);
	out->fast_open = fast_open != 0;
	if (out->is_stream)
		return true;
	/* MPTCP knows it since Linux 6.2, and before that no fast open either. */
	out->is_stream = true;
	return get_int(fd, SOL_SOCKET, SO_PROTOCOL, &out->protocol) &&
	       out->protocol == IPPROTO_MPTCP;
}

bool crow_fd_ask(int fd, struct crow_socket *out)
{
	int flags;

	*out = (struct crow_socket){0};
	if (!ask_protocol(fd, out))
		return false;
	flags = fcntl(fd, F_GETFL);
	if (flags < 0)
		return false;
	out->nonblocking = (flags & O_NONBLOCK) != 0;
	out->fresh = !out->nonblocking && is_closed(fd);
	return true;
}

struct timeval crow_fd_send_timeout(int fd)
{
	struct timeval timeout = {0};
	socklen_t len = sizeof(timeout);

	if (crow_real_getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, &len) < 0)
		return (struct timeval){0};
	return timeout;
}

bool crow_fd_set_send_timeout(int fd, struct timeval timeout)
{
	return setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) == 0;
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
		if (!out->known[i])
			out->known[i] = get_int(fd, lost_options[i].level, lost_options[i].name,
						&out->values[i]);
}

/* Whether the value may be there without anybody having set it. */
static bool is_kernels_own(const struct option *option, int value)
{
	if (option->level != IPPROTO_TCP)
		return false;
	if (option->name == TCP_MAXSEG)
		return value == DEFAULT_SEGMENT || value == DEFAULT_SEGMENT - TIMESTAMPS_SIZE;
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
		/* TCP_MAXSEG may still tell of the connection that was, and be lost. */
		if (option->name != TCP_MAXSEG &&
		    (!get_int(fd, option->level, option->name, &now) || now == before))
			continue;
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

bool crow_fd_is_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && (flags & O_NONBLOCK) != 0;
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
