#include "daemon/dns/dns.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "daemon/dns/cache.h"
#include "daemon/dns/socket.h"
#include "daemon/dns/worker.h"
#include "daemon/log.h"

/* Descriptors of a worker: epoll, timer, eventfd, netlink; and for each address UDP and TCP. */
#define DESCRIPTORS         4
#define DESCRIPTORS_ADDRESS 2

struct crow_dns {
	struct crow_listens listens; /* ours, with the ports that were bound */
	struct crow_worker **workers;
	size_t count;
	struct crow_upstreams *upstreams; /* NULL: none are configured */
	uint32_t cache_entries;           /* of each worker */
	bool started;
};

static bool copy_listens(struct crow_dns *dns, const struct crow_listens *from)
{
	dns->listens.items = calloc(from->count, sizeof(*from->items));
	if (!dns->listens.items)
		return false;
	memcpy(dns->listens.items, from->items, from->count * sizeof(*from->items));
	dns->listens.count = from->count;
	return true;
}

/* Workers may have a quarter of the descriptors; half are for the ports from which upstreams are asked
 * (follow.c), the rest for discovery, the pages and whoever asks by TCP. */
static size_t fit_workers(const struct crow_config *config)
{
	size_t each = DESCRIPTORS + DESCRIPTORS_ADDRESS * config->dns_listen.count;
	size_t fit = config->dns_workers;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur / 4 / each >= fit)
		return fit;
	fit = limit.rlim_cur / 4 / each;
	fit = fit > 0 ? fit : 1;
	if (fit < config->dns_workers)
		crow_log(CROW_LOG_WARNING,
			 "%llu descriptors are enough for %zu of %u DNS workers: raise ulimit "
			 "-n, or LimitNOFILE= of the service",
			 (unsigned long long)limit.rlim_cur, fit, config->dns_workers);
	return fit;
}

struct crow_dns *crow_dns_bind(const struct crow_config *config, struct crow_inherited *inherited,
			       char *complaint, size_t complaint_size)
{
	/* No address: a responder without workers, which does nothing. */
	size_t count = config->dns_listen.count > 0 ? fit_workers(config) : 0;
	struct crow_dns *dns = calloc(1, sizeof(*dns));

	if (dns && count > 0 && copy_listens(dns, &config->dns_listen))
		dns->workers = calloc(count, sizeof(struct crow_worker *));
	if (!dns || (count > 0 && !dns->workers)) {
		snprintf(complaint, complaint_size, "no memory for the DNS responder");
		crow_dns_free(dns);
		return NULL;
	}
	for (; dns->count < count; dns->count++) {
		dns->workers[dns->count] = crow_worker_bind(&dns->listens, count > 1, inherited,
							    complaint, complaint_size);
		if (!dns->workers[dns->count]) {
			crow_dns_free(dns);
			return NULL;
		}
	}
	dns->cache_entries = (uint32_t)((config->dns_cache + count - 1) / (count ? count : 1));
	if (crow_dns_configure(dns, config))
		return dns;
	snprintf(complaint, complaint_size, "no memory for the DNS responder");
	crow_dns_free(dns);
	return NULL;
}

/* All sockets are alike in this: one tells of all. */
static void say_receive_buffer(const struct crow_dns *dns)
{
	int granted = crow_worker_receive_buffer(dns->workers[0]);

	if (granted >= CROW_DNS_RECEIVE_BUFFER)
		return;
	crow_log(CROW_LOG_INFO,
		 "the kernel grants DNS over UDP a receive buffer of %d KiB instead of %d: if very "
		 "many ask at the same moment, some have to ask again; to change that, set the "
		 "sysctl net.core.rmem_max to %d",
		 granted / 1024, CROW_DNS_RECEIVE_BUFFER / 1024, CROW_DNS_RECEIVE_BUFFER / 2);
}

static void say_host_error(const struct crow_dns *dns)
{
	errno = crow_worker_host_error(dns->workers[0]);
	if (errno == 0)
		return;
	crow_log(CROW_LOG_WARNING,
		 "cannot learn this host's addresses from the kernel (netlink): %m. Clients that "
		 "sort answers by them (RFC 6724 rule 9) will prefer the instances nearest to this "
		 "host; if a sandbox is the cause, allow AF_NETLINK");
}

/* Whether both name the same servers in the same order. NULL: names are refused. */
static bool are_alike(const struct crow_upstreams *a, const struct crow_upstreams *b)
{
	if (!a || !b || a->count != b->count)
		return a == b;
	for (size_t i = 0; i < a->count; i++)
		if (a->items[i].at.port != b->items[i].at.port ||
		    !crow_addr_equal(&a->items[i].at.addr, &b->items[i].at.addr))
			return false;
	return true;
}

/* At start and where it changes, since this is where somebody looks whose other names do not
 * resolve. */
static void say_where_others_go(const struct crow_dns *dns)
{
	char list[CROW_UPSTREAMS_MAX * (CROW_ENDPOINT_TEXT + 2)] = "";

	if (dns->count == 0)
		return;
	if (!dns->upstreams) {
		crow_log(CROW_LOG_INFO,
			 "names of others are refused: there is no [dns] upstream to ask");
		return;
	}
	for (size_t i = 0; i < dns->upstreams->count; i++) {
		const struct crow_listen *at = &dns->upstreams->items[i].at;

		if (i > 0)
			strcat(list, ", ");
		crow_addr_format(&at->addr, at->port, list + strlen(list));
	}
	if (dns->upstreams->count > 0)
		crow_log(CROW_LOG_INFO,
			 "names of others are forwarded to %s; answers are kept in %zu KiB", list,
			 dns->cache_entries > 0
				 ? dns->count * crow_cache_memory(dns->cache_entries) / 1024
				 : 0);
}

bool crow_dns_start(struct crow_dns *dns, struct crow_publisher *publisher, const char *runtime_dir)
{
	char endpoint[CROW_ENDPOINT_TEXT];

	for (size_t i = 0; i < dns->count; i++) {
		if (crow_worker_start(dns->workers[i], publisher, runtime_dir, dns->upstreams,
				      dns->cache_entries))
			continue;
		crow_log(CROW_LOG_ERROR, "cannot start a thread of the DNS responder: %m");
		return false;
	}
	if (dns->count > 0) {
		say_receive_buffer(dns);
		say_host_error(dns);
	}
	dns->started = true;
	for (size_t i = 0; i < dns->listens.count; i++) {
		crow_addr_format(&dns->listens.items[i].addr, dns->listens.items[i].port, endpoint);
		crow_log(CROW_LOG_INFO, "answering DNS on %s (UDP and TCP)", endpoint);
	}
	say_where_others_go(dns);
	return true;
}

void crow_dns_wake(struct crow_dns *dns)
{
	for (size_t i = 0; i < dns->count; i++)
		crow_worker_wake(dns->workers[i]);
}

void crow_dns_forward(struct crow_dns *dns, struct crow_upstreams *upstreams)
{
	bool changed = dns->started && !are_alike(dns->upstreams, upstreams);

	crow_upstreams_release(dns->upstreams);
	dns->upstreams = upstreams ? crow_upstreams_use(upstreams) : NULL;
	if (changed)
		say_where_others_go(dns);
	for (size_t i = 0; dns->started && i < dns->count; i++)
		crow_worker_forward(dns->workers[i], upstreams);
}

bool crow_dns_configure(struct crow_dns *dns, const struct crow_config *config)
{
	bool done = true;

	for (size_t i = 0; i < dns->count; i++)
		done = crow_worker_configure(dns->workers[i], config) && done;
	return done;
}

size_t crow_dns_workers(const struct crow_dns *dns)
{
	return dns->count;
}

const struct crow_listens *crow_dns_listens(const struct crow_dns *dns)
{
	return &dns->listens;
}

void crow_dns_free(struct crow_dns *dns)
{
	if (!dns)
		return;
	for (size_t i = 0; i < dns->count; i++)
		crow_worker_free(dns->workers[i]);
	crow_upstreams_release(dns->upstreams);
	free(dns->workers);
	free(dns->listens.items);
	free(dns);
}
