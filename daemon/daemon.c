#include "daemon/daemon.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "daemon/counters.h"
#include "daemon/discovery/discovery.h"
#include "daemon/dns/dns.h"
#include "daemon/health/health.h"
#include "daemon/http/http.h"
#include "daemon/inherit.h"
#include "daemon/log.h"
#include "daemon/notify.h"
#include "daemon/privilege.h"
#include "daemon/publisher.h"
#include "daemon/reports.h"
#include "daemon/runtime.h"
#include "daemon/saver.h"
#include "daemon/state.h"
#include "daemon/upstream/follow.h"
#include "daemon/upstream/hosts.h"

#define COMPLAINT 512

struct daemon {
	struct crow_config *config;
	const struct crow_config_args *args;
	struct crow_loop *loop;
	struct crow_table table;
	struct crow_saver saver;
	struct crow_publisher *publisher;
	struct crow_health *health;
	struct crow_discovery *discovery;
	struct crow_reports *reports;
	struct crow_follow *follow;
	struct crow_hosts *hosts;
	struct crow_dns *dns;
	struct crow_http *http;
	struct crow_watch signals;
	struct crow_timer expiry;
	struct crow_inherited *inherited; /* until all ports are bound */
	int lock;
	bool has_state; /* the state directory can be read */
	int64_t lock_warned_ns;
};

/* ---- hooks: how a change travels ---- */

static void schedule_expiry(struct daemon *d)
{
	int64_t due_ns = crow_table_expire(&d->table, crow_now_ns());

	if (due_ns == INT64_MAX)
		crow_timer_clear(d->loop, &d->expiry);
	else
		crow_timer_set(d->loop, &d->expiry, due_ns);
}

/* Tombstones and denials come only with a change: so the next expiry is looked up here. It is done
 * from the timer, since expiring is itself a change. */
static void on_change(void *context, const struct crow_service *service, bool list_changed)
{
	struct daemon *d = context;

	if (list_changed)
		crow_saver_schedule(&d->saver);
	/* Before the image is built: who was out of picks stays out, unless the list says more. */
	if (list_changed && service != NULL && d->health != NULL)
		crow_health_take_list(d->health, crow_table_find(&d->table, service->name));
	if (d->publisher != NULL)
		crow_publisher_schedule(d->publisher);
	crow_timer_set(d->loop, &d->expiry, crow_now_ns());
}

static void on_expiry(struct crow_timer *timer, int64_t now_ns)
{
	(void)now_ns;
	schedule_expiry(crow_container(timer, struct daemon, expiry));
}

static void on_published(void *context)
{
	struct daemon *d = context;

	if (d->dns != NULL)
		crow_dns_wake(d->dns);
	if (d->http != NULL)
		crow_http_wake(d->http);
}

static void on_health_news(void *context, enum crow_health_news news, const struct crow_addr *addr,
			   uint16_t port)
{
	static const enum crow_history_kind kinds[] = {
		[CROW_HEALTH_FAILOVER] = CROW_HISTORY_FAILOVERS,
		[CROW_HEALTH_PROBE_OK] = CROW_HISTORY_PROBES_OK,
		[CROW_HEALTH_PROBE_FAILED] = CROW_HISTORY_PROBES_FAILED,
	};
	struct daemon *d = context;

	crow_http_note(d->http, kinds[news], addr, port);
}

static void on_wanted(void *context, const char *name)
{
	struct daemon *d = context;

	if (d->discovery != NULL)
		crow_discovery_demand(d->discovery, name);
}

static void on_upstreams(void *context, struct crow_upstreams *upstreams)
{
	struct daemon *d = context;

	crow_dns_forward(d->dns, upstreams);
	crow_hosts_use(d->hosts, upstreams);
}

/* Once per poll: what an administrator may have removed from the runtime directory comes back. */
static void on_poll(void *context)
{
	struct daemon *d = context;
	char complaint[COMPLAINT];

	crow_publisher_check_file(d->publisher);
	crow_reports_check(d->reports);
	if (!crow_runtime_is_locked(d->config->runtime_dir, d->lock)) {
		int fd = crow_runtime_lock(d->config->runtime_dir, complaint, sizeof(complaint));

		if (fd < 0) {
			if (crow_log_hourly(&d->lock_warned_ns, crow_now_ns()))
				crow_log(CROW_LOG_WARNING, "%s/lock was gone, and: %s",
					 d->config->runtime_dir, complaint);
			return;
		}
		close(d->lock);
		d->lock = fd;
	}
}

static void on_report(void *context, const struct crow_report *report,
		      const struct crow_sender *sender)
{
	struct daemon *d = context;
	char endpoint[CROW_ENDPOINT_TEXT];

	if (report->kind == CROW_REPORT_WANTED) {
		crow_discovery_demand(d->discovery, report->name);
		return;
	}
	/* Any local user may have sent it, with any name: shown only when asked for by -v. */
	crow_addr_format(&report->addr, report->port, endpoint);
	crow_log(CROW_LOG_DEBUG, "a program reports that connecting to %s failed: %s", endpoint,
		 strerror((int)report->error));
	crow_health_report(d->health, report, sender);
}

static const struct crow_source_config *find_on_demand(const struct crow_config *config,
						       const char *name)
{
	for (size_t i = 0; i < config->source_count; i++)
		if (config->sources[i].on_demand && strcmp(config->sources[i].name, name) == 0)
			return &config->sources[i];
	return NULL;
}

static void on_restore(void *context, struct crow_state *state)
{
	struct daemon *d = context;
	struct crow_service *service = crow_table_find(&d->table, state->service);
	const struct crow_source_config *source = find_on_demand(d->config, state->source);

	/* Found on demand in an earlier life: a start without discovery must serve it, too. */
	if (service == NULL && source != NULL)
		service = crow_table_add(&d->table, state->service, source);
	if (service != NULL)
		crow_table_restore(&d->table, service, &state->list, state->taken_wall_s,
				   crow_now_ns());
}

/* ---- signals ---- */

static bool is_same_listen(const struct crow_listens *a, const struct crow_listens *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (!crow_addr_equal(&a->items[i].addr, &b->items[i].addr) ||
		    a->items[i].port != b->items[i].port)
			return false;
	return true;
}

/* Keys that are only read at start. */
static void warn_of_restart(const struct crow_config *old, const struct crow_config *new)
{
	const struct {
		const char *key;
		bool stays;
	} keys[] = {
		{"[daemon] runtime-dir", strcmp(old->runtime_dir, new->runtime_dir) == 0},
		{"[daemon] state-dir", strcmp(old->state_dir, new->state_dir) == 0},
		{"[daemon] user", strcmp(old->user, new->user) == 0},
		{"[dns] listen", is_same_listen(&old->dns_listen, &new->dns_listen)},
		{"[dns] workers", old->dns_workers == new->dns_workers},
		{"[dns] cache", old->dns_cache == new->dns_cache},
		{"[http] listen", is_same_listen(&old->http_listen, &new->http_listen)},
	};

	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		if (!keys[i].stays)
			crow_log(CROW_LOG_WARNING,
				 "%s stays as it is until crowflyd is restarted; all else is "
				 "reloaded",
				 keys[i].key);
}

static void keep_start_keys(struct crow_config *old, struct crow_config *new)
{
	const struct crow_config asked = *new;

	/* Swapped, so that each configuration still owns what it frees. */
	new->runtime_dir = old->runtime_dir;
	new->state_dir = old->state_dir;
	new->user = old->user;
	new->dns_listen = old->dns_listen;
	new->dns_workers = old->dns_workers;
	new->dns_cache = old->dns_cache;
	new->http_listen = old->http_listen;
	old->runtime_dir = asked.runtime_dir;
	old->state_dir = asked.state_dir;
	old->user = asked.user;
	old->dns_listen = asked.dns_listen;
	old->http_listen = asked.http_listen;
}

/* Whole or not at all: the new configuration is complete before the old one is touched. */
static void reload(struct daemon *d)
{
	char complaint[COMPLAINT];
	struct crow_config *config = crow_config_load(d->args, complaint, sizeof(complaint));
	struct crow_config *old = d->config;

	if (config == NULL) {
		crow_log(CROW_LOG_ERROR, "not reloaded, the running configuration stays: %s",
			 complaint);
		return;
	}
	warn_of_restart(old, config);
	crow_discovery_pause(d->discovery);
	if (crow_table_configure(&d->table, config)) {
		keep_start_keys(old, config);
		d->config = config;
		if (!crow_dns_configure(d->dns, config))
			crow_log(CROW_LOG_ERROR, "no memory to reload who may ask: [dns] allow and "
						 "rate-limit stay as they are; reload again");
		crow_health_configure(d->health);
		if (!crow_follow_configure(d->follow, config))
			crow_log(CROW_LOG_ERROR, "no memory to reload the upstreams: those of "
						 "before are asked; reload again");
		crow_publisher_schedule(d->publisher);
		crow_log(CROW_LOG_INFO, "reloaded; services: %zu, sources: %zu", d->table.count,
			 config->source_count);
		config = old;
	} else {
		crow_log(CROW_LOG_ERROR, "not reloaded: no memory");
	}
	crow_config_free(config);
	crow_discovery_resume(d->discovery);
}

static void on_signal(struct crow_watch *watch, uint32_t events)
{
	struct daemon *d = crow_container(watch, struct daemon, signals);
	struct signalfd_siginfo info;

	(void)events;
	while (read(watch->fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGHUP)
			reload(d);
		else
			crow_loop_stop(d->loop);
	}
}

/* Blocked before any thread starts, so that all threads inherit it and only signalfd sees them. */
static bool watch_signals(struct daemon *d)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	d->signals.on_ready = on_signal;
	d->signals.fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	return d->signals.fd >= 0 && crow_loop_add(d->loop, &d->signals, EPOLLIN) == 0;
}

/* ---- start and stop ---- */

/* The soft limit is 1024 by custom, for select()'s sake, which nothing here uses. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static bool bind_ports(struct daemon *d, char complaint[COMPLAINT])
{
	d->dns = crow_dns_bind(d->config, d->inherited, complaint, COMPLAINT);
	if (d->dns == NULL)
		return false;
	d->http = crow_http_bind(d->config, d->inherited, complaint, COMPLAINT);
	if (d->http == NULL)
		return false;
	crow_inherited_close(d->inherited);
	return true;
}

/* This process sleeps most of the time, and when it wakes up all programs of the host wait for its
 * word. A thread that asks for short slices runs before those that go on and on (Linux since 6.12;
 * others ignore it). With 64 busy programs on 2 cpus it cuts what a dead instance costs them to a
 * third. */
static void ask_for_short_slices(void)
{
	struct {
		uint32_t size, policy;
		uint64_t flags;
		int32_t nice;
		uint32_t priority;
		uint64_t runtime_ns, deadline_ns, period_ns;
		uint32_t least, most;
	} attributes = {.size = sizeof(attributes)};

	if (syscall(SYS_sched_getattr, 0, &attributes, sizeof(attributes), 0) != 0 ||
	    attributes.policy != SCHED_OTHER)
		return;
	attributes.runtime_ns = 100000; /* the shortest that there is */
	syscall(SYS_sched_setattr, 0, &attributes, 0);
}

/* What may need root: sockets on low ports, directories below /run and /var. */
static bool acquire(struct daemon *d, char complaint[COMPLAINT])
{
	const struct crow_config *config = d->config;

	d->lock = crow_runtime_lock(config->runtime_dir, complaint, COMPLAINT);
	if (d->lock < 0)
		return false;
	d->has_state = crow_state_open(config->state_dir);
	if (!d->has_state)
		crow_log(CROW_LOG_WARNING,
			 "cannot use %s: %s; lists will not survive a restart; create it, or "
			 "choose another [daemon] state-dir",
			 config->state_dir, strerror(errno));
	return bind_ports(d, complaint) &&
	       crow_privilege_drop(config->user, config->runtime_dir, d->lock,
				   d->has_state ? config->state_dir : NULL, complaint, COMPLAINT);
}

/* The straight line of the data flow: state, image, readers, discovery. */
static bool start(struct daemon *d, char complaint[COMPLAINT])
{
	struct crow_http_house house = {
		.loop = d->loop, .table = &d->table, .demand = on_wanted, .context = d};

	if (d->has_state)
		crow_state_load(d->config->state_dir, on_restore, d);
	d->publisher =
		crow_publisher_new(d->loop, &d->table, d->config->runtime_dir, on_published, d);
	if (d->publisher == NULL)
		return false;
	crow_publisher_check_file(d->publisher);
	d->health = crow_health_new(d->loop, &d->table, d->publisher);
	if (d->health == NULL)
		return false;
	d->reports = crow_reports_open(d->loop, d->config->runtime_dir, on_report, d);
	if (d->reports == NULL) {
		snprintf(complaint, COMPLAINT,
			 "cannot listen on %s/" CROW_REPORT_FILE
			 ": %s; choose another [daemon] runtime-dir",
			 d->config->runtime_dir, strerror(errno));
		return false;
	}
	house.publisher = d->publisher;
	d->hosts = crow_hosts_new(d->loop, crow_dns_listens(d->dns));
	d->follow = crow_follow_new(d->loop, crow_dns_listens(d->dns), crow_dns_workers(d->dns),
				    on_upstreams, d);
	if (d->hosts == NULL || d->follow == NULL || !crow_follow_configure(d->follow, d->config))
		return false;
	house.health = d->health;
	crow_health_watch(d->health, on_health_news, d);
	house.follow = d->follow;
	if (!crow_dns_start(d->dns, d->publisher, d->config->runtime_dir) ||
	    !crow_http_start(d->http, &house))
		return false;
	d->discovery = crow_discovery_new(d->loop, d->hosts, &d->table, on_poll, d);
	return d->discovery != NULL;
}

static void stop(struct daemon *d)
{
	crow_discovery_free(d->discovery);
	if (d->health != NULL)
		crow_health_watch(d->health, NULL, NULL);
	crow_http_free(d->http);
	crow_dns_free(d->dns);
	crow_follow_free(d->follow);
	crow_hosts_free(d->hosts);
	crow_reports_close(d->reports);
	crow_health_free(d->health);
	crow_publisher_free(d->publisher);
	if (d->loop != NULL)
		crow_saver_flush(&d->saver);
	crow_table_fini(&d->table);
	if (d->signals.fd >= 0)
		close(d->signals.fd);
	if (d->loop != NULL)
		crow_loop_free(d->loop);
	if (d->lock >= 0)
		close(d->lock);
	crow_config_free(d->config);
}

static bool prepare(struct daemon *d, char complaint[COMPLAINT])
{
	umask(022);
	raise_descriptor_limit();
	ask_for_short_slices();
	d->loop = crow_loop_new();
	crow_saver_init(&d->saver, d->loop, &d->table, d->config->state_dir);
	if (d->loop == NULL || !watch_signals(d) || !crow_table_configure(&d->table, d->config)) {
		strcpy(complaint, "cannot start: no memory or descriptors");
		return false;
	}
	return acquire(d, complaint);
}

static size_t count_services(const struct crow_table *table, bool with_list)
{
	size_t count = 0;

	for (size_t i = 0; i < table->count; i++)
		count += (table->services[i]->list.count > 0) == with_list;
	return count;
}

static void say_ready(const struct daemon *d)
{
	crow_log(CROW_LOG_INFO,
		 "crowflyd " CROW_VERSION " is ready: %zu services served from %s, %zu wait for "
		 "their first list",
		 count_services(&d->table, true), d->config->state_dir,
		 count_services(&d->table, false));
	crow_notify("READY=1");
}

int crow_daemon_run(struct crow_config *config, const struct crow_config_args *args)
{
	struct daemon d = {.config = config, .args = args, .lock = -1, .signals.fd = -1};
	char complaint[COMPLAINT] = "cannot start: no memory or descriptors";
	bool running;

	d.inherited = crow_inherited_take();
	d.expiry.on_due = on_expiry;
	crow_table_init(&d.table, on_change, &d);
	running = prepare(&d, complaint) && start(&d, complaint);
	if (running) {
		say_ready(&d);
		crow_loop_run(d.loop);
		crow_notify("STOPPING=1");
		crow_log(CROW_LOG_INFO, "ends; programs keep the last snapshot in %s",
			 d.config->runtime_dir);
	} else {
		crow_log(CROW_LOG_ERROR, "%s", complaint);
	}
	stop(&d);
	return running ? 0 : 1;
}
