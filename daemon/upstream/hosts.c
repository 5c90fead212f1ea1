#include "daemon/upstream/hosts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/counters.h"
#include "daemon/log.h"
#include "daemon/upstream/channel.h"
#include "daemon/upstream/resolv_conf.h"

#define SECOND_NS INT64_C(1000000000)

#define RESOLV_CONF "/etc/resolv.conf"

/* How long a look-up is kept at least, whatever its TTL: /etc/hosts has none. And one that failed:
 * 1000 services of a host ask nobody 1000 times. */
#define KEEP_NS        (5 * SECOND_NS)
#define KEEP_MAX_S     3600
#define KEEP_FAILED_NS SECOND_NS

/* Who has addresses from before waits no longer than this for new ones. */
#define SLOW_NS (SECOND_NS / 2)

/* Between two looks at what is under way. */
#define TICK_NS (SECOND_NS / 5)

struct crow_host_wait {
	struct host *host;
	struct crow_host_wait *next;
	crow_host_hook *hook;
	void *context;
};

struct host {
	struct crow_hosts *hosts;
	struct host *next;
	struct crow_host_wait *waits, **end; /* in the order in which they came */
	bool looking;
	int64_t asked_ns; /* when the look-up under way began */
	int64_t until_ns; /* what is known is good until then */
	int64_t warned_ns;
	struct crow_addr addrs[CROW_HOST_ADDRESSES_MAX]; /* good ones, perhaps of before */
	size_t count;
	char cause[CROW_HOST_CAUSE]; /* of the last failure, if nothing ever was good */
	char name[];
};

struct crow_hosts {
	struct crow_loop *loop;
	const struct crow_listens *own;
	struct crow_upstreams *upstreams;
	struct host *items;           /* a few: one for each host that a source names */
	struct crow_channel *channel; /* NULL: none was needed yet */
	struct crow_resolv_conf conf; /* what the channel was made of */
	struct crow_timer tick;
};

/* ---- who is asked ---- */

/* A loop that the responder has found is one for us, too. */
static void take_upstreams(const struct crow_hosts *hosts, struct crow_resolv_conf *conf)
{
	int64_t now_ns = crow_now_ns();

	conf->server_count = 0;
	for (size_t i = 0; i < hosts->upstreams->count; i++)
		if (hosts->upstreams->items[i].looped_until_ns <= now_ns)
			conf->servers[conf->server_count++] = hosts->upstreams->items[i].at;
}

static void leave_out_own(const struct crow_hosts *hosts, struct crow_resolv_conf *conf)
{
	size_t kept = 0;

	for (size_t i = 0; i < conf->server_count; i++)
		if (!crow_upstreams_is_own(&conf->servers[i], hosts->own))
			conf->servers[kept++] = conf->servers[i];
	conf->server_count = kept;
}

/* Read anew for each look-up, which is rare: so nobody has to follow the file. */
static void find_servers(const struct crow_hosts *hosts, struct crow_resolv_conf *conf)
{
	if (!crow_resolv_conf_load(RESOLV_CONF, conf))
		crow_resolv_conf_read("", 0, conf);
	if (hosts->upstreams)
		take_upstreams(hosts, conf);
	else
		leave_out_own(hosts, conf);
	/* What is not in use compares equal. */
	memset(&conf->servers[conf->server_count], 0,
	       (CROW_UPSTREAMS_MAX - conf->server_count) * sizeof(conf->servers[0]));
}

static bool is_same(const struct crow_resolv_conf *a, const struct crow_resolv_conf *b)
{
	return memcmp(a, b, sizeof(*a)) == 0; /* both were zeroed before they were read */
}

static void list_servers(const struct crow_hosts *hosts, char *out, size_t size)
{
	const struct crow_resolv_conf *conf = &hosts->conf;
	size_t used = 0;

	if (conf->server_count == 0) {
		snprintf(out, size, "%s",
			 hosts->upstreams ? "no upstream is left to ask; see [dns] upstream"
					  : RESOLV_CONF " names nobody but crowflyd; set "
							"[dns] upstream");
		return;
	}
	for (size_t i = 0; i < conf->server_count && used < size; i++) {
		char endpoint[CROW_ENDPOINT_TEXT];

		crow_addr_format(&conf->servers[i].addr, conf->servers[i].port, endpoint);
		used += (size_t)snprintf(out + used, size - used, "%s%s", i ? ", " : "asked ",
					 endpoint);
	}
}

static void describe(const struct host *host, const char *what, char cause[CROW_HOST_CAUSE])
{
	char servers[128];

	list_servers(host->hosts, servers, sizeof(servers));
	snprintf(cause, CROW_HOST_CAUSE, "cannot look up %.60s: %.40s (%s)", host->name, what,
		 servers);
}

/* ---- answers ---- */

static void remove_wait(struct crow_host_wait *wait)
{
	struct host *host = wait->host;
	struct crow_host_wait **link = &host->waits;

	while (*link != wait)
		link = &(*link)->next;
	*link = wait->next;
	if (!wait->next)
		host->end = link;
}

/* A hook may cancel other waits, and begin new ones, which come last: those have to wait for their
 * own turn. */
static void tell(struct host *host)
{
	size_t count = 0;

	for (const struct crow_host_wait *wait = host->waits; wait; wait = wait->next)
		count++;
	for (; count > 0 && host->waits; count--) {
		struct crow_host_wait *wait = host->waits;
		struct crow_host_answer answer = {.count = host->count, .addrs = host->addrs};

		remove_wait(wait);
		if (host->count == 0)
			memcpy(answer.cause, host->cause, sizeof(answer.cause));
		wait->hook(wait->context, &answer);
		free(wait);
	}
}

static void take_addresses(struct host *host, const struct crow_lookup *lookup, int64_t now_ns)
{
	uint32_t ttl_s = lookup->ttl_s < KEEP_MAX_S ? lookup->ttl_s : KEEP_MAX_S;

	host->count = lookup->count;
	memcpy(host->addrs, lookup->addrs, lookup->count * sizeof(host->addrs[0]));
	host->until_ns = now_ns + (ttl_s * SECOND_NS > KEEP_NS ? ttl_s * SECOND_NS : KEEP_NS);
}

static void on_lookup(void *context, const struct crow_lookup *lookup)
{
	struct host *host = context;
	int64_t now_ns = crow_now_ns();

	host->looking = false;
	if (lookup->end == CROW_LOOKUP_FOUND) {
		take_addresses(host, lookup, now_ns);
	} else {
		crow_count(hosts_failed);
		host->until_ns = now_ns + KEEP_FAILED_NS;
		describe(host, lookup->cause, host->cause);
		if (host->count > 0 && crow_log_hourly(&host->warned_ns, now_ns))
			crow_log(CROW_LOG_WARNING, "%s; its addresses of before are used",
				 host->cause);
	}
	/* Perhaps from within crow_hosts_ask(): those who wait are told by the tick. */
	crow_timer_set(host->hosts->loop, &host->hosts->tick, now_ns);
}

/* ---- look-ups ---- */

static void look_up(struct host *host, int64_t now_ns)
{
	host->looking = true;
	host->asked_ns = now_ns;
	crow_count(hosts_lookups);
	crow_channel_lookup(host->hosts->channel, host->name, on_lookup, host);
}

/* Those under way end with the channel, and are begun again. */
static bool replace_channel(struct crow_hosts *hosts, const struct crow_resolv_conf *conf,
			    int64_t now_ns)
{
	struct crow_channel *channel = crow_channel_new_lookups(hosts->loop, conf);

	if (!channel)
		return false;
	crow_channel_free(hosts->channel);
	hosts->channel = channel;
	hosts->conf = *conf;
	for (struct host *host = hosts->items; host; host = host->next)
		if (host->looking)
			look_up(host, now_ns);
	return true;
}

static void start(struct host *host, int64_t now_ns)
{
	struct crow_hosts *hosts = host->hosts;
	struct crow_resolv_conf conf;
	bool ready = true;

	find_servers(hosts, &conf);
	if (!hosts->channel || !is_same(&conf, &hosts->conf))
		ready = replace_channel(hosts, &conf, now_ns);
	if (ready) {
		look_up(host, now_ns);
		return;
	}
	snprintf(host->cause, sizeof(host->cause), "cannot look up %.60s: there is no memory left",
		 host->name);
	host->until_ns = now_ns + KEEP_FAILED_NS;
}

/* Looks that are over, and those that take too long for whoever has addresses from before. */
static bool is_due(const struct host *host, int64_t now_ns)
{
	if (!host->waits)
		return false;
	return !host->looking || (host->count > 0 && now_ns - host->asked_ns >= SLOW_NS);
}

static void on_tick(struct crow_timer *timer, int64_t now_ns)
{
	struct crow_hosts *hosts = crow_container(timer, struct crow_hosts, tick);
	bool looking = false;

	if (hosts->channel)
		crow_channel_expire(hosts->channel);
	for (struct host *host = hosts->items; host; host = host->next) {
		if (is_due(host, now_ns))
			tell(host);
		looking = looking || host->looking;
	}
	if (looking && !timer->armed)
		crow_timer_set(hosts->loop, timer, now_ns + TICK_NS);
}

/* ---- hosts ---- */

static struct host *find(struct crow_hosts *hosts, const char *name)
{
	size_t size = strlen(name) + 1;
	struct host *host;

	for (host = hosts->items; host; host = host->next)
		if (strcmp(host->name, name) == 0)
			return host;
	host = calloc(1, sizeof(*host) + size);
	if (!host)
		return NULL;
	memcpy(host->name, name, size);
	host->hosts = hosts;
	host->end = &host->waits;
	host->next = hosts->items;
	hosts->items = host;
	return host;
}

struct crow_host_wait *crow_hosts_ask(struct crow_hosts *hosts, const char *name,
				      crow_host_hook *hook, void *context)
{
	struct crow_host_wait *wait = calloc(1, sizeof(*wait));
	struct host *host = find(hosts, name);
	int64_t now_ns = crow_now_ns();

	if (!wait || !host) {
		free(wait);
		return NULL;
	}
	*wait = (struct crow_host_wait){.host = host, .hook = hook, .context = context};
	*host->end = wait;
	host->end = &wait->next;
	if (!host->looking && now_ns >= host->until_ns)
		start(host, now_ns);
	if (!host->looking || !hosts->tick.armed)
		crow_timer_set(hosts->loop, &hosts->tick,
			       host->looking ? now_ns + TICK_NS : now_ns);
	return wait;
}

void crow_hosts_describe(const struct crow_host_wait *wait, char cause[CROW_HOST_CAUSE])
{
	describe(wait->host, "no answer yet", cause);
}

void crow_hosts_cancel(struct crow_host_wait *wait)
{
	remove_wait(wait);
	free(wait);
}

void crow_hosts_use(struct crow_hosts *hosts, struct crow_upstreams *upstreams)
{
	crow_upstreams_release(hosts->upstreams);
	hosts->upstreams = upstreams ? crow_upstreams_use(upstreams) : NULL;
}

struct crow_hosts *crow_hosts_new(struct crow_loop *loop, const struct crow_listens *own)
{
	struct crow_hosts *hosts = calloc(1, sizeof(*hosts));

	if (!hosts)
		return NULL;
	hosts->loop = loop;
	hosts->own = own;
	hosts->tick.on_due = on_tick;
	return hosts;
}

void crow_hosts_free(struct crow_hosts *hosts)
{
	if (!hosts)
		return;
	crow_channel_free(hosts->channel);
	crow_timer_clear(hosts->loop, &hosts->tick);
	while (hosts->items) {
		struct host *host = hosts->items;

		hosts->items = host->next;
		free(host);
	}
	crow_upstreams_release(hosts->upstreams);
	free(hosts);
}
