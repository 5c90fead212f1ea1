#include "daemon/upstream/follow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "daemon/log.h"
#include "daemon/upstream/resolv_conf.h"
#include "daemon/watch.h"

/* Between two looks at the file, for what inotify cannot see. It has some hundred bytes. */
#define LOOK_NS (5 * INT64_C(1000000000))

struct crow_follow {
	struct crow_loop *loop;
	const struct crow_listens *own;
	size_t workers;
	void (*on_change)(void *context, struct crow_upstreams *upstreams);
	void *context;
	const struct crow_config *config;
	struct crow_upstreams *upstreams; /* told last */
	struct crow_watcher *watcher;     /* NULL: no file is followed, or no inotify */
	struct crow_file_watch *watch;
	struct crow_timer look;
	/* The file's servers as they were told, ours among them: what is compared. */
	struct crow_listen servers[CROW_UPSTREAMS_MAX];
	size_t server_count;
	bool outdated; /* the configuration has changed: tell them in any case */
	bool missing_said;
};

/* Half of the descriptors that we may have. The others are for those who ask by TCP, for discovery
 * and the pages: ports stay open, and would leave them none. */
static void share_ports(const struct crow_follow *follow, struct crow_upstreams *upstreams)
{
	size_t sharers = upstreams->count * follow->workers;
	struct rlimit limit;
	rlim_t ports;

	if (sharers == 0 || getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	ports = limit.rlim_cur / 2 / sharers;
	if (ports >= CROW_UPSTREAM_PORTS_MAX)
		return;
	upstreams->ports = ports > 0 ? (unsigned)ports : 1;
	crow_log(CROW_LOG_WARNING,
		 "%llu descriptors leave %u source ports for each upstream instead of %u, which "
		 "makes answers easier to forge: raise ulimit -n, or LimitNOFILE= of the service",
		 (unsigned long long)limit.rlim_cur, upstreams->ports, CROW_UPSTREAM_PORTS_MAX);
}

static bool tell(struct crow_follow *follow, const struct crow_listens *servers)
{
	struct crow_upstreams *upstreams =
		crow_upstreams_new(servers, follow->own, follow->upstreams);

	if (!upstreams)
		return false;
	upstreams->mixed_case = follow->config->dns_mixed_case;
	share_ports(follow, upstreams);
	crow_upstreams_release(follow->upstreams);
	follow->upstreams = upstreams;
	if (upstreams->count == 0)
		crow_log(CROW_LOG_WARNING,
			 "there is no upstream to forward names to: they are answered SERVFAIL; "
			 "see [dns] upstream");
	follow->on_change(follow->context, upstreams);
	return true;
}

/* ---- a file ---- */

static bool is_known(const struct crow_follow *follow, const struct crow_resolv_conf *conf)
{
	if (follow->outdated || conf->server_count != follow->server_count)
		return false;
	for (size_t i = 0; i < conf->server_count; i++)
		if (!crow_addr_equal(&conf->servers[i].addr, &follow->servers[i].addr))
			return false;
	return true;
}

static void say_missing(struct crow_follow *follow, const char *path, const char *cause)
{
	if (!follow->missing_said)
		crow_log(CROW_LOG_WARNING, "%s: %s; %s until that changes", path, cause,
			 follow->upstreams && follow->upstreams->count > 0
				 ? "the upstreams of before are asked"
				 : "there is no upstream");
	follow->missing_said = true;
}

static bool read_file(struct crow_follow *follow)
{
	const char *path = follow->config->dns_upstream.path;
	struct crow_resolv_conf conf;
	struct crow_listens servers = {.items = conf.servers};

	if (!crow_resolv_conf_load(path, &conf)) {
		say_missing(follow, path, strerror(errno));
		conf.server_count = 0;
	} else if (conf.server_count == 0) {
		say_missing(follow, path, "it names no server");
	} else {
		follow->missing_said = false;
	}
	if (conf.server_count == 0 ? follow->upstreams != NULL : is_known(follow, &conf))
		return true;
	servers.count = conf.server_count;
	if (!tell(follow, &servers))
		return false;
	memcpy(follow->servers, conf.servers, sizeof(follow->servers));
	follow->server_count = conf.server_count;
	follow->outdated = false;
	return true;
}

static void on_look(struct crow_timer *timer, int64_t now_ns)
{
	struct crow_follow *follow = crow_container(timer, struct crow_follow, look);

	if (follow->watch)
		crow_file_watch_renew(follow->watch);
	read_file(follow); /* without memory: at the next look */
	crow_timer_set(follow->loop, timer, now_ns + LOOK_NS);
}

static void on_file_change(void *context)
{
	read_file(context);
}

static void stop_following(struct crow_follow *follow)
{
	crow_timer_clear(follow->loop, &follow->look);
	crow_file_watch_free(follow->watch);
	follow->watch = NULL;
	crow_watcher_free(follow->watcher);
	follow->watcher = NULL;
}

static void start_following(struct crow_follow *follow)
{
	follow->watcher = crow_watcher_new(follow->loop);
	if (follow->watcher)
		follow->watch = crow_file_watch_new(
			follow->watcher, follow->config->dns_upstream.path, on_file_change, follow);
	crow_timer_set(follow->loop, &follow->look, crow_now_ns() + LOOK_NS);
}

/* ---- configurations ---- */

bool crow_follow_configure(struct crow_follow *follow, const struct crow_config *config)
{
	bool done = true;

	follow->config = config;
	follow->outdated = true;
	follow->missing_said = false;
	stop_following(follow);
	if (config->dns_upstream.path) {
		done = read_file(follow);
		start_following(follow);
	} else if (config->dns_upstream.servers.count > 0) {
		done = tell(follow, &config->dns_upstream.servers);
	} else {
		crow_upstreams_release(follow->upstreams);
		follow->upstreams = NULL;
		follow->on_change(follow->context, NULL);
	}
	return done;
}

struct crow_upstreams *crow_follow_get(const struct crow_follow *follow)
{
	return follow->upstreams;
}

struct crow_follow *
crow_follow_new(struct crow_loop *loop, const struct crow_listens *own, size_t workers,
		void (*on_change)(void *context, struct crow_upstreams *upstreams), void *context)
{
	struct crow_follow *follow = calloc(1, sizeof(*follow));

	if (!follow)
		return NULL;
	follow->loop = loop;
	follow->own = own;
	follow->workers = workers;
	follow->on_change = on_change;
	follow->context = context;
	follow->look.on_due = on_look;
	return follow;
}

void crow_follow_free(struct crow_follow *follow)
{
	if (!follow)
		return;
	stop_following(follow);
	crow_upstreams_release(follow->upstreams);
	free(follow);
}
