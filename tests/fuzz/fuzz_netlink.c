/*
 * What a netlink socket delivers. Whatever it is, the table of the host's addresses stays one.
 */
#include "daemon/dns/netlink.h"
#include "tests/unit/fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_family(const struct crow_host_family *family, bool v4)
{
	FIXTURE_MUST(family->count <= CROW_HOST_MAX);
	for (size_t i = 0; i < family->count; i++) {
		const struct crow_host_entry *entry = &family->entries[i];

		FIXTURE_MUST(crow_addr_is_v4(&entry->key.addr) == v4);
		FIXTURE_MUST(entry->key.bits <= (v4 ? 32 : 128));
		FIXTURE_MUST(i == 0 || family->entries[i - 1].shared >= entry->shared);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct crow_host host; /* of all inputs: what one adds, another takes away */
	struct crow_netlink_news news = crow_netlink_read(&host, data, size);

	FIXTURE_MUST(news.changes <= size);
	check_family(&host.v4, true);
	check_family(&host.v6, false);
	return 0;
}
