#include "daemon/dns/socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Connections that wait for accept4(); the kernel caps it at net.core.somaxconn. */
#define BACKLOG 256

/* Bytes; a reply has up to 64 KiB. */
#define SEND_BUFFER (128 << 10)

static const char *find_remedy(int error, int type)
{
	switch (error) {
	case EACCES:
	case EPERM:
		return "; ports below 1024 need root or CAP_NET_BIND_SERVICE: choose another [dns] "
		       "listen, or grant it";
	case EADDRINUSE:
		return type == SOCK_DGRAM ? "; another resolver holds it: see ss -lunp"
					  : "; another resolver holds it: see ss -ltnp";
	case EADDRNOTAVAIL:
		return "; no interface has this address: choose another [dns] listen";
	case EAFNOSUPPORT:
		return "; the kernel has no IPv6: remove it from [dns] listen";
	default:
		return "";
	}
}

static void complain(const struct crow_listen *at, int type, char *complaint, size_t size)
{
	int error = errno;
	char endpoint[CROW_ENDPOINT_TEXT];

	crow_addr_format(&at->addr, at->port, endpoint);
	snprintf(complaint, size, "cannot listen on %s (%s): %s%s", endpoint,
		 type == SOCK_DGRAM ? "UDP" : "TCP", strerror(error), find_remedy(error, type));
}

static bool enable(int fd, int level, int option)
{
	int on = 1;

	return setsockopt(fd, level, option, &on, sizeof(on)) == 0;
}

int crow_dns_receive_buffer(int fd)
{
	int size = 0;
	socklen_t length = sizeof(size);

	getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, &length);
	return size;
}

/* The kernel doubles what is asked for, since it counts its own share too (socket(7)), and grants
 * net.core.rmem_max at most; with CAP_NET_ADMIN, anything. So may have been granted whoever opened
 * an inherited socket. */
static void set_receive_buffer(int fd)
{
	int half = CROW_DNS_RECEIVE_BUFFER / 2;

	if (crow_dns_receive_buffer(fd) >= CROW_DNS_RECEIVE_BUFFER)
		return;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &half, sizeof(half)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &half, sizeof(half));
}

/* Accepted sockets inherit these. The send buffer is bounded (the kernel doubles it) so that a
 * client that reads slowly is seen to read: with the 4 MiB that it may grow to, no byte would leave
 * our own buffer for longer than a connection may be idle. */
static bool set_stream_options(int fd)
{
	int size = SEND_BUFFER;

	return enable(fd, IPPROTO_TCP, TCP_NODELAY) &&
	       setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) == 0;
}

static bool set_datagram_options(int fd, const struct crow_addr *addr)
{
	set_receive_buffer(fd);
	if (!crow_addr_is_wildcard(addr))
		return true;
	return crow_addr_is_v4(addr) ? enable(fd, IPPROTO_IP, IP_PKTINFO)
				     : enable(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO);
}

/* Those that an inherited socket takes, too. */
static bool set_options(int fd, const struct crow_addr *addr, int type)
{
	return type == SOCK_STREAM ? set_stream_options(fd) : set_datagram_options(fd, addr);
}

static bool set_bind_options(int fd, const struct crow_addr *addr, int type, bool shared)
{
	/* `::` must leave IPv4 alone: it may be listed next to 0.0.0.0. */
	if (!crow_addr_is_v4(addr) && !enable(fd, IPPROTO_IPV6, IPV6_V6ONLY))
		return false;
	if (shared && !enable(fd, SOL_SOCKET, SO_REUSEPORT))
		return false;
	/* A restart must not fail on connections in TIME_WAIT. No SO_REUSEADDR for UDP: two daemons
	 * could then bind one address. */
	return type == SOCK_DGRAM || enable(fd, SOL_SOCKET, SO_REUSEADDR);
}

static bool bind_to(int fd, struct crow_listen *at, sa_family_t family)
{
	struct sockaddr_storage sa;
	socklen_t size = crow_addr_to_sockaddr(&at->addr, at->port, family, &sa);
	struct crow_addr addr;

	if (bind(fd, (struct sockaddr *)&sa, size) < 0 ||
	    getsockname(fd, (struct sockaddr *)&sa, &size) < 0)
		return false;
	crow_addr_from_sockaddr((struct sockaddr *)&sa, size, &addr, &at->port);
	return true;
}

static bool bind_own(int fd, struct crow_listen *at, int type, bool shared)
{
	sa_family_t family = crow_addr_is_v4(&at->addr) ? AF_INET : AF_INET6;

	return set_bind_options(fd, &at->addr, type, shared) && bind_to(fd, at, family) &&
	       (type == SOCK_DGRAM || listen(fd, BACKLOG) == 0);
}

int crow_dns_socket(struct crow_listen *at, int type, bool shared, struct crow_inherited *inherited,
		    char *complaint, size_t complaint_size)
{
	sa_family_t family = crow_addr_is_v4(&at->addr) ? AF_INET : AF_INET6;
	int fd = crow_inherited_dup(inherited, at, type);
	bool own = fd < 0;

	if (own)
		fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && set_options(fd, &at->addr, type) && (!own || bind_own(fd, at, type, shared)))
		return fd;
	complain(at, type, complaint, complaint_size);
	if (fd >= 0)
		close(fd);
	return -1;
}
