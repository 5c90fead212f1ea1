#include "preload/options.h"

#include <dirent.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "preload/fd.h"
#include "preload/real.h"

/* From linux/tcp.h of 6.15, which Debian 12 has not. */
#ifndef TCP_RTO_MIN_US
#define TCP_RTO_MIN_US 45
#endif
#ifndef TCP_DELACK_MAX_US
#define TCP_DELACK_MAX_US 46
#endif

/* The same option for 32-bit programs with a 64-bit time_t (asm-generic/socket.h). */
#ifndef SO_SNDTIMEO_NEW
#define SO_SNDTIMEO_NEW 67
#endif

/* What a socket has for TCP_MAXSEG until it is set or connects (RFC 1122 4.2.2.6). */
#define DEFAULT_SEGMENT 536

/* linux/include/net/tcp.h: the largest window before and after scaling. */
#define WINDOW_MAX       65535
#define WINDOW_SCALE_MAX 14

#define ALL ((1u << CROW_OPTION_COUNT) - 1)

static const struct name {
	int level;
	int name;
} names[CROW_OPTION_COUNT] = {
	[CROW_OPTION_MAXSEG] = {IPPROTO_TCP, TCP_MAXSEG},
	[CROW_OPTION_WINDOW_CLAMP] = {IPPROTO_TCP, TCP_WINDOW_CLAMP},
	[CROW_OPTION_PEEK_OFF] = {SOL_SOCKET, SO_PEEK_OFF},
	[CROW_OPTION_RTO_MIN] = {IPPROTO_TCP, TCP_RTO_MIN_US},
	[CROW_OPTION_DELACK_MAX] = {IPPROTO_TCP, TCP_DELACK_MAX_US},
	[CROW_OPTION_SEND_TIMEOUT] = {SOL_SOCKET, SO_SNDTIMEO},
	[CROW_OPTION_FAST_OPEN] = {IPPROTO_TCP, TCP_FASTOPEN_CONNECT},
};

/* A bit for each option that some socket may have set; never cleared but by the constructor, which
 * then looks at all sockets that there are. Any thread sets bits, before it sets the option. Relaxed:
 * who connects a socket has it from whoever set its options, by means that order the two. */
static _Atomic unsigned maybe_set = ALL;

void crow_options_note(int level, int name)
{
	if (level == SOL_SOCKET && name == SO_SNDTIMEO_NEW)
		name = SO_SNDTIMEO;
	for (int i = 0; i < CROW_OPTION_COUNT; i++)
		if (names[i].level == level && names[i].name == name)
			atomic_fetch_or_explicit(&maybe_set, 1u << i, memory_order_relaxed);
}

bool crow_options_may_be_set(enum crow_option option)
{
	return (atomic_load_explicit(&maybe_set, memory_order_relaxed) >> option & 1) != 0;
}

bool crow_options_any_may_be_set(void)
{
	return atomic_load_explicit(&maybe_set, memory_order_relaxed) != 0;
}

/* False if that cannot be known. */
static bool has_no_sockets_yet(void)
{
	DIR *directory = opendir("/proc/self/fd");
	const struct dirent *entry;
	bool found = false;

	if (directory == NULL)
		return false;
	while (!found && (entry = readdir(directory)) != NULL)
		found = entry->d_name[0] != '.' && crow_fd_may_connect(atoi(entry->d_name));
	closedir(directory);
	return !found;
}

void crow_options_open(void)
{
	/* First: another thread may set an option meanwhile. */
	atomic_store_explicit(&maybe_set, 0, memory_order_relaxed);
	if (!has_no_sockets_yet())
		atomic_store_explicit(&maybe_set, ALL, memory_order_relaxed);
}

static bool get(int fd, int option, int *value)
{
	socklen_t len = sizeof(*value);

	return crow_real_getsockopt(fd, names[option].level, names[option].name, value, &len) ==
		       0 &&
	       len == sizeof(*value);
}

void crow_options_save(int fd, struct crow_options *out)
{
	unsigned maybe = atomic_load_explicit(&maybe_set, memory_order_relaxed);

	*out = (struct crow_options){0};
	for (int i = 0; i < CROW_OPTIONS_LOST; i++)
		if ((maybe >> i & 1) != 0)
			out->known[i] = get(fd, i, &out->values[i]);
}

/* Whether the value may be there without anybody having set it. */
static bool is_kernels_own(int option, int value)
{
	if (option == CROW_OPTION_MAXSEG)
		return value == DEFAULT_SEGMENT;
	if (option != CROW_OPTION_WINDOW_CLAMP)
		return false;
	/* A socket that has connected before: its clamp is the largest that the scale can tell. */
	for (int scale = 0; scale <= WINDOW_SCALE_MAX; scale++)
		if (value == WINDOW_MAX << scale)
			return true;
	return false;
}

void crow_options_restore(int fd, const struct crow_options *options)
{
	for (int i = 0; i < CROW_OPTIONS_LOST; i++) {
		int before = options->values[i];
		int now;

		if (!options->known[i] || is_kernels_own(i, before))
			continue;
		/* TCP_MAXSEG may still tell of the connection that was, and be lost. */
		if (i != CROW_OPTION_MAXSEG && (!get(fd, i, &now) || now == before))
			continue;
		crow_real_setsockopt(fd, names[i].level, names[i].name, &before, sizeof(before));
	}
}
