/* What the kernel says of addresses: datagrams made here, and a socket of the real one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include "daemon/dns/netlink.h"

static struct crow_host host;

struct datagram {
	uint8_t bytes[512];
	size_t size;
};

static int clear(void **state)
{
	(void)state;
	crow_host_clear(&host);
	return 0;
}

static void begin(struct datagram *d, uint16_t type, uint16_t flags, uint8_t family, uint8_t bits,
		  uint8_t address_flags)
{
	struct nlmsghdr header = {.nlmsg_type = type, .nlmsg_flags = flags};
	struct ifaddrmsg message = {.ifa_family = family,
				    .ifa_prefixlen = bits,
				    .ifa_flags = address_flags,
				    .ifa_index = 2};

	memcpy(d->bytes, &header, sizeof(header));
	memcpy(d->bytes + sizeof(header), &message, sizeof(message));
	d->size = sizeof(header) + sizeof(message);
}

static void attribute(struct datagram *d, uint16_t type, const void *value, uint16_t size)
{
	struct rtattr head = {.rta_len = (uint16_t)(sizeof(head) + size), .rta_type = type};

	memcpy(d->bytes + d->size, &head, sizeof(head));
	memcpy(d->bytes + d->size + sizeof(head), value, size);
	d->size += (sizeof(head) + size + 3u) & ~3u;
}

static struct crow_netlink_news take(struct datagram *d)
{
	uint32_t length = (uint32_t)d->size;

	memcpy(d->bytes, &length, sizeof(length));
	return crow_netlink_read(&host, d->bytes, d->size);
}

/* An address of 10.0.5.0/24, by its last byte. */
static struct crow_netlink_news say(uint16_t type, uint16_t flags, uint8_t last, uint8_t bits,
				    uint8_t address_flags)
{
	uint8_t bytes[4] = {10, 0, 5, last};
	struct datagram d = {.size = 0};

	begin(&d, type, flags, AF_INET, bits, address_flags);
	attribute(&d, IFA_ADDRESS, bytes, 4);
	attribute(&d, IFA_LOCAL, bytes, 4);
	return take(&d);
}

static unsigned match(const char *text)
{
	struct crow_addr addr;

	assert_true(crow_addr_parse(text, strlen(text), &addr));
	return crow_host_match(&host, &addr);
}

static void test_addresses_come_and_go(void **state)
{
	(void)state;
	assert_int_equal(say(RTM_NEWADDR, 0, 9, 24, 0).changes, 1);
	assert_int_equal(match("10.0.5.8"), 31);
	assert_int_equal(say(RTM_NEWADDR, NLM_F_MULTI, 9, 24, 0).changes, 0); /* of a list */
	assert_int_equal(say(RTM_DELADDR, 0, 9, 24, 0).changes, 1);
	assert_int_equal(match("10.0.5.8"), 0);
}

static void test_the_other_end_of_a_link_is_not_ours(void **state)
{
	struct datagram d = {.size = 0};

	(void)state;
	begin(&d, RTM_NEWADDR, 0, AF_INET, 24, 0);
	attribute(&d, IFA_LOCAL, "\x0a\0\5\x09", 4);
	attribute(&d, IFA_ADDRESS, "\x0a\0\6\x09", 4);
	take(&d);
	assert_int_equal(match("10.0.5.9"), 32);
	assert_int_equal(match("10.0.6.9"), 0);
}

static void test_flags(void **state)
{
	uint8_t six[16] = {0x20, 1, 0x0d, 0xb8, [15] = 9};
	uint32_t tentative = IFA_F_TENTATIVE, permanent = IFA_F_PERMANENT;
	struct datagram d = {.size = 0};

	(void)state;
	say(RTM_NEWADDR, 0, 129, 24, IFA_F_SECONDARY);
	assert_int_equal(match("10.0.5.128"), 0);
	begin(&d, RTM_NEWADDR, 0, AF_INET6, 64, IFA_F_TEMPORARY); /* the same bit */
	attribute(&d, IFA_ADDRESS, six, 16);
	attribute(&d, IFA_FLAGS, &permanent, 4);
	take(&d);
	assert_int_equal(match("2001:db8::8"), 127);
	begin(&d, RTM_NEWADDR, 0, AF_INET6, 64, 0);
	attribute(&d, IFA_ADDRESS, six, 16);
	attribute(&d, IFA_FLAGS, &tentative, 4); /* all 32 of them */
	take(&d);
	assert_int_equal(match("2001:db8::8"), 0);
}

static void test_ends_and_tears(void **state)
{
	struct datagram d = {.size = 16};
	struct crow_netlink_news news;

	(void)state;
	d.bytes[4] = NLMSG_DONE;
	news = take(&d);
	assert_true(news.ended && !news.torn);
	d.bytes[6] = NLM_F_DUMP_INTR;
	news = take(&d);
	assert_true(news.ended && news.torn);
	d.bytes[4] = NLMSG_ERROR;
	d.bytes[6] = 0;
	assert_true(take(&d).ended);
	d.bytes[4] = NLMSG_OVERRUN;
	assert_true(take(&d).torn);
}

/* Every length that a cut or a lie can make: nothing is read that is not there (under a sanitizer:
 * the copy is of that size), and a message that is not whole changes nothing. */
static void test_every_cut(void **state)
{
	struct datagram d = {.size = 0};

	(void)state;
	begin(&d, RTM_NEWADDR, 0, AF_INET, 24, 0);
	attribute(&d, IFA_LOCAL, "\x0a\0\5\x09", 4);
	take(&d);
	crow_host_clear(&host);
	for (size_t size = 1; size < d.size; size++) {
		uint8_t *bytes = test_malloc(size);

		memcpy(bytes, d.bytes, size);
		assert_true(crow_netlink_read(&host, bytes, size).torn);
		test_free(bytes);
	}
	for (unsigned length = 0; length < 65536; length += length < 64 ? 1 : 97) {
		d.bytes[24] = (uint8_t)length; /* of the attribute */
		d.bytes[25] = (uint8_t)(length >> 8);
		if (length != 8)
			assert_int_equal(take(&d).changes, 0);
	}
	assert_int_equal(host.v4.count, 0);
}

/* Until the list that was asked for is there. */
static void read_list(struct crow_netlink *netlink)
{
	struct pollfd pollfd = {.fd = netlink->watch.fd, .events = POLLIN};

	while (netlink->dumping) {
		assert_int_equal(poll(&pollfd, 1, 20000), 1);
		netlink->watch.on_ready(&netlink->watch, EPOLLIN);
	}
}

static void test_the_kernel(void **state)
{
	struct crow_loop *loop = crow_loop_new();
	struct crow_netlink netlink;
	struct crow_addr near;

	(void)state;
	assert_true(crow_netlink_open(&netlink, loop));
	read_list(&netlink);
	if (netlink.host.v4.count == 0) {
		print_message("skipped: this host has no IPv4 address, not even of loopback\n");
		skip();
	}
	/* Of any address, the host's own are as near as can be. */
	near = netlink.host.v4.entries[0].key.addr;
	assert_int_equal(crow_host_match(&netlink.host, &near), 32);
	netlink.torn = netlink.dumping = true; /* as if something had been lost meanwhile */
	netlink.host.v4.count = 0;
	const struct {
		struct nlmsghdr header;
		struct ifaddrmsg message;
	} request = {.header = {.nlmsg_len = sizeof(request),
				.nlmsg_type = RTM_GETADDR,
				.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP}};
	assert_int_equal(send(netlink.watch.fd, &request, sizeof(request), 0), sizeof(request));
	read_list(&netlink);
	assert_false(netlink.torn);
	assert_int_equal(crow_host_match(&netlink.host, &near), 32);
	crow_netlink_close(&netlink);
	crow_loop_free(loop);
}

static void test_without_a_descriptor(void **state)
{
	struct crow_loop *loop = crow_loop_new();
	struct rlimit was, none;
	struct crow_netlink netlink;

	(void)state;
	getrlimit(RLIMIT_NOFILE, &was);
	none = (struct rlimit){.rlim_cur = 0, .rlim_max = was.rlim_max};
	setrlimit(RLIMIT_NOFILE, &none);
	bool opened = crow_netlink_open(&netlink, loop);
	int error = errno;
	setrlimit(RLIMIT_NOFILE, &was);
	assert_false(opened);
	assert_int_equal(error, EMFILE);
	crow_netlink_close(&netlink); /* does nothing */
	crow_loop_free(loop);
}

#define TEST(name) cmocka_unit_test_setup(name, clear)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_addresses_come_and_go),
		TEST(test_the_other_end_of_a_link_is_not_ours),
		TEST(test_flags),
		TEST(test_ends_and_tears),
		TEST(test_every_cut),
		TEST(test_the_kernel),
		TEST(test_without_a_descriptor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
