#include "cli/dial.h"

#include <errno.h>
#include <poll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* In flight at once: far below the usual limit of 1024 descriptors, and no burst that a firewall
 * would take for a scan. */
#define FLIGHT_MAX 128

struct flight {
	struct pollfd polls[FLIGHT_MAX];
	struct crow_dial *dials[FLIGHT_MAX];
	int64_t ends_ms[FLIGHT_MAX];
	nfds_t count;
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int start_connect(const struct crow_addr *addr, uint16_t port, int type)
{
	struct sockaddr_storage sa;
	sa_family_t family = crow_addr_is_v4(addr) ? AF_INET : AF_INET6;
	socklen_t length = crow_addr_to_sockaddr(addr, port, family, &sa);
	int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int error;

	if (fd < 0)
		return -1;
	/* The system call, since doctor may itself run below `crowfly run`: the library's connect()
	 * would go round what is to be found out. */
	if (syscall(SYS_connect, fd, &sa, length) == 0 || errno == EINPROGRESS)
		return fd;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

/* Into the air, unless it failed at once. */
static void launch(struct flight *flight, struct crow_dial *dial, int timeout_ms)
{
	int fd = start_connect(&dial->addr, dial->port, SOCK_STREAM);

	if (fd < 0) {
		dial->error = errno;
		return;
	}
	dial->error = ETIMEDOUT;
	flight->polls[flight->count] = (struct pollfd){.fd = fd, .events = POLLOUT};
	flight->dials[flight->count] = dial;
	flight->ends_ms[flight->count++] = now_ms() + timeout_ms;
}

static void land(struct flight *flight, nfds_t i)
{
	socklen_t length = sizeof(int);

	if (flight->polls[i].revents != 0 && getsockopt(flight->polls[i].fd, SOL_SOCKET, SO_ERROR,
							&flight->dials[i]->error, &length) < 0)
		flight->dials[i]->error = errno;
	close(flight->polls[i].fd);
	flight->count--;
	flight->polls[i] = flight->polls[flight->count];
	flight->dials[i] = flight->dials[flight->count];
	flight->ends_ms[i] = flight->ends_ms[flight->count];
}

/* Waits for the next news: all were given the same time, but their order is lost in landing. */
static void wait(struct flight *flight)
{
	int64_t end_ms = INT64_MAX, now;

	for (nfds_t i = 0; i < flight->count; i++)
		if (flight->ends_ms[i] < end_ms)
			end_ms = flight->ends_ms[i];
	now = now_ms();
	poll(flight->polls, flight->count, end_ms > now ? (int)(end_ms - now) : 0);
	now = now_ms();
	for (nfds_t i = flight->count; i-- > 0;)
		if (flight->polls[i].revents != 0 || flight->ends_ms[i] <= now)
			land(flight, i);
}

void crow_dial_all(struct crow_dial *dials, size_t count, int timeout_ms,
		   crow_dial_progress *progress, void *context)
{
	struct flight flight = {.count = 0};
	size_t next = 0;

	while (next < count || flight.count > 0) {
		while (next < count && flight.count < FLIGHT_MAX)
			launch(&flight, &dials[next++], timeout_ms);
		if (flight.count > 0)
			wait(&flight);
		progress(context, next - flight.count, count);
	}
}

bool crow_dial_has_route(const struct crow_addr *addr)
{
	/* connect() of a datagram socket looks up the route and sends nothing; any port does. */
	int fd = start_connect(addr, 9, SOCK_DGRAM);

	if (fd < 0)
		return errno != ENETUNREACH && errno != EHOSTUNREACH;
	close(fd);
	return true;
}
