#include "daemon/dns/netlink.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/counters.h"
#include "daemon/dns/wire.h"

/* netlink(7): 8192 bytes are enough for any message of the kernel on systems whose pages are at
 * most that large; it cuts lists to what the reader offers. */
#define DATAGRAM_MAX 8192

/* Datagrams in a row before queries get their turn. */
#define TURN_MAX 32

/* ---- datagrams ---- */

/* The next `size` bytes and what pads them to 4 (NLMSG_ALIGN); NULL once failed. */
static const uint8_t *get_padded(struct crow_wire_reader *in, size_t size)
{
	const uint8_t *bytes = crow_wire_get_bytes(in, size);
	size_t padding = -size & 3;

	/* The last of a datagram need not be padded. */
	crow_wire_get_bytes(in, padding < in->size - in->at ? padding : in->size - in->at);
	return bytes;
}

static void read_attribute(struct crow_wire_reader *in, uint8_t family,
			   struct crow_host_address *address, bool *local, uint32_t *flags)
{
	struct rtattr attribute = {0};
	const uint8_t *bytes = crow_wire_get_bytes(in, sizeof(attribute));
	size_t size = family == AF_INET ? 4 : 16, value_size;

	if (bytes)
		memcpy(&attribute, bytes, sizeof(attribute));
	value_size = attribute.rta_len - sizeof(attribute); /* huge if it lies: the next fails */
	bytes = get_padded(in, value_size);
	if (!bytes)
		return;
	if (attribute.rta_type == IFA_FLAGS && value_size == sizeof(*flags)) {
		memcpy(flags, bytes, sizeof(*flags));
	} else if (value_size == size && (attribute.rta_type == IFA_LOCAL ||
					  (attribute.rta_type == IFA_ADDRESS && !*local))) {
		/* On a point-to-point link IFA_ADDRESS is the other end. */
		address->addr = size == 4 ? crow_addr_v4(bytes) : crow_addr_v6(bytes);
		*local = attribute.rta_type == IFA_LOCAL;
	}
}

/* Reads the body of RTM_NEWADDR or RTM_DELADDR; false if it is none, or of no use as a source. */
static bool read_address(struct crow_wire_reader *in, struct crow_host_address *address,
			 uint32_t *flags)
{
	struct ifaddrmsg message;
	const uint8_t *bytes = get_padded(in, sizeof(message));
	bool local = false;

	if (!bytes)
		return false;
	memcpy(&message, bytes, sizeof(message));
	if (message.ifa_family != AF_INET && message.ifa_family != AF_INET6)
		return false;
	*address = (struct crow_host_address){
		.interface = message.ifa_index,
		.bits = message.ifa_prefixlen,
	};
	*flags = message.ifa_flags;
	while (!in->failed && in->at < in->size)
		read_attribute(in, message.ifa_family, address, &local, flags);
	/* The bit means something else with IPv6: a temporary address. */
	address->secondary = message.ifa_family == AF_INET && *flags & IFA_F_SECONDARY;
	return !in->failed && crow_addr_is_v4(&address->addr) == (message.ifa_family == AF_INET);
}

static bool take_address(struct crow_host *host, uint16_t type, struct crow_wire_reader *in)
{
	const uint32_t useless = IFA_F_TENTATIVE | IFA_F_DADFAILED | IFA_F_DEPRECATED;
	struct crow_host_address address;
	uint32_t flags;

	if (!read_address(in, &address, &flags))
		return false;
	if (type == RTM_NEWADDR && !(flags & useless))
		crow_host_add(host, &address);
	else
		crow_host_remove(host, &address);
	return true;
}

struct crow_netlink_news crow_netlink_read(struct crow_host *host, const void *bytes, size_t size)
{
	struct crow_wire_reader in = {.bytes = bytes, .size = size};
	struct crow_netlink_news news = {0};

	while (in.at < in.size) {
		struct nlmsghdr header = {0};
		const uint8_t *at = crow_wire_get_bytes(&in, sizeof(header));
		struct crow_wire_reader body = {0};

		if (at)
			memcpy(&header, at, sizeof(header));
		body.size = header.nlmsg_len - sizeof(header);
		body.bytes = get_padded(&in, body.size);
		if (in.failed) {
			news.torn = true;
			break;
		}
		if (header.nlmsg_flags & NLM_F_DUMP_INTR || header.nlmsg_type == NLMSG_OVERRUN)
			news.torn = true;
		if (header.nlmsg_type == NLMSG_DONE || header.nlmsg_type == NLMSG_ERROR)
			news.ended = true;
		else if ((header.nlmsg_type == RTM_NEWADDR || header.nlmsg_type == RTM_DELADDR) &&
			 take_address(host, header.nlmsg_type, &body))
			news.changes += !(header.nlmsg_flags & NLM_F_MULTI);
	}
	return news;
}

/* ---- the socket ---- */

/* Asks for all addresses, from none. */
static bool ask(struct crow_netlink *netlink)
{
	const struct {
		struct nlmsghdr header;
		struct ifaddrmsg message;
	} request = {
		.header.nlmsg_len = sizeof(request),
		.header.nlmsg_type = RTM_GETADDR,
		.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
	};

	crow_host_clear(&netlink->host);
	netlink->torn = false;
	netlink->dumping = send(netlink->watch.fd, &request, sizeof(request), 0) == sizeof(request);
	return netlink->dumping;
}

/* A list that is under way is waited for: the kernel makes one at a time for a socket. */
static void ask_again(struct crow_netlink *netlink)
{
	if (netlink->dumping)
		netlink->torn = true;
	else
		ask(netlink);
}

static void take(struct crow_netlink *netlink, const void *bytes, size_t size)
{
	struct crow_netlink_news news = crow_netlink_read(&netlink->host, bytes, size);

	crow_count_by(dns_address_changes, news.changes);
	if (news.ended)
		netlink->dumping = false;
	if (news.torn || (news.ended && netlink->torn))
		ask_again(netlink);
}

static void on_ready(struct crow_watch *watch, uint32_t events)
{
	struct crow_netlink *netlink = crow_container(watch, struct crow_netlink, watch);
	uint8_t bytes[DATAGRAM_MAX];

	(void)events;
	for (int turn = 0; turn < TURN_MAX; turn++) {
		struct sockaddr_nl from = {0};
		socklen_t from_size = sizeof(from);
		ssize_t size = recvfrom(watch->fd, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_TRUNC,
					(struct sockaddr *)&from, &from_size);

		if (size < 0 && errno == ENOBUFS)
			ask_again(netlink); /* changes were lost */
		else if (size < 0)
			return;
		else if (from.nl_pid != 0)
			continue; /* not from the kernel */
		else if ((size_t)size > sizeof(bytes))
			ask_again(netlink);
		else
			take(netlink, bytes, (size_t)size);
	}
}

bool crow_netlink_open(struct crow_netlink *netlink, struct crow_loop *loop)
{
	struct sockaddr_nl addr = {
		.nl_family = AF_NETLINK,
		.nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR,
	};

	*netlink = (struct crow_netlink){.watch.on_ready = on_ready};
	netlink->watch.fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (netlink->watch.fd < 0)
		return false;
	/* Bound to its groups before the list is asked for: no change falls in between. */
	if (bind(netlink->watch.fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 && ask(netlink) &&
	    crow_loop_add(loop, &netlink->watch, EPOLLIN) == 0) {
		netlink->loop = loop;
		return true;
	}
	int error = errno;
	close(netlink->watch.fd);
	errno = error;
	return false;
}

void crow_netlink_close(struct crow_netlink *netlink)
{
	if (!netlink->loop)
		return;
	crow_loop_remove(netlink->loop, &netlink->watch);
	close(netlink->watch.fd);
	netlink->loop = NULL;
}
