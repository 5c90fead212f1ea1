#include "daemon/http/metrics.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "daemon/counters.h"
#include "daemon/http/text.h"

/* Names, types and numbers: all ours, so that nothing is escaped. */
static void put(struct crow_text *text, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static void put(struct crow_text *text, const char *format, ...)
{
	char line[512];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	crow_text_put(text, line);
}

static void head(struct crow_text *text, const char *name, const char *type, const char *help)
{
	put(text, "# HELP crowfly_%s %s\n# TYPE crowfly_%s %s\n", name, help, name, type);
}

static double seconds_since(const struct crow_view *view, int64_t since_ns)
{
	return (double)(view->now_ns - since_ns) / 1e9;
}

/* ---- the daemon ---- */

static void put_counters(struct crow_text *text)
{
	struct crow_counter_value counter;
	char name[96];

	for (size_t i = 0; crow_counter_get(i, &counter); i++) {
		snprintf(name, sizeof(name), "%s_total", counter.name);
		head(text, name, "counter", counter.prose);
		put(text, "crowfly_%s %" PRIu64 "\n", name, counter.value);
	}
}

static void put_gauge(struct crow_text *text, const char *name, double value, const char *help)
{
	head(text, name, "gauge", help);
	put(text, "crowfly_%s %.15g\n", name, value);
}

static void put_daemon(struct crow_text *text, const struct crow_view *view)
{
	const struct crow_snap_header *header = view->img->header;
	uint32_t services = crow_image_service_count(view->img);
	size_t waiting;

	head(text, "build_info", "gauge", "always 1; the version is the label");
	put(text, "crowfly_build_info{version=\"" CROW_VERSION "\"} 1\n");
	put_gauge(text, "uptime_seconds", seconds_since(view, view->started_ns),
		  "seconds since this daemon started");
	put_gauge(text, "ready", crow_view_is_ready(view, &waiting),
		  "1 if every service has a list or was asked for one, else 0");
	put_gauge(text, "generation", header ? (double)header->generation : 0,
		  "number of the published image, one more with each");
	put_gauge(text, "image_age_seconds",
		  header ? seconds_since(view, header->built_boot_ns) : 0,
		  "seconds since the published image was built");
	put_gauge(text, "services", services, "services in the published image");
	put_gauge(text, "services_without_series",
		  services > CROW_METRICS_SERVICES_MAX ? services - CROW_METRICS_SERVICES_MAX : 0,
		  "services that are too many to have series of their own here");
}

/* ---- services ---- */

struct series {
	const char *name, *help;
	/* False: the service has no such value. */
	bool (*get)(const struct crow_view *view, const struct crow_view_service *service,
		    double *value);
};

static bool get_age(const struct crow_view *view, const struct crow_view_service *service,
		    double *value)
{
	*value = seconds_since(view, service->snap->taken_boot_ns);
	return service->snap->taken_wall_s != 0;
}

static bool get_stale(const struct crow_view *view, const struct crow_view_service *service,
		      double *value)
{
	(void)view;
	*value = service->stale;
	return true;
}

static bool get_waiting(const struct crow_view *view, const struct crow_view_service *service,
			double *value)
{
	(void)view;
	*value = service->snap->count == 0;
	return true;
}

static bool get_failing(const struct crow_view *view, const struct crow_view_service *service,
			double *value)
{
	int64_t since_ns = service->polled ? service->polled->failing_ns : 0;

	*value = since_ns ? seconds_since(view, since_ns) : 0;
	return service->polled;
}

static bool get_polled(const struct crow_view *view, const struct crow_view_service *service,
		       double *value)
{
	if (!service->polled || service->polled->polled_ns == 0)
		return false;
	*value = seconds_since(view, service->polled->polled_ns);
	return true;
}

static bool get_lost(const struct crow_view *view, const struct crow_view_service *service,
		     double *value)
{
	*value = service->lost_ns ? seconds_since(view, service->lost_ns) : 0;
	return true;
}

static bool get_weight(const struct crow_view *view, const struct crow_view_service *service,
		       double *value)
{
	(void)view;
	*value = (double)service->snap->total_weight;
	return true;
}

static const struct series all_series[] = {
	{"service_list_age_seconds", "seconds since discovery sent the list that is served",
	 get_age},
	{"service_stale", "1 if discovery no longer confirms the list, which serves on", get_stale},
	{"service_waiting", "1 if there is no list yet, so that the service's names do not resolve",
	 get_waiting},
	{"service_failing_seconds", "seconds for which polls have failed, 0 if they do not",
	 get_failing},
	{"service_poll_age_seconds", "seconds since the last poll ended", get_polled},
	{"service_lost_seconds",
	 "seconds for which no instance of a family has answered a probe, 0 if one does", get_lost},
	{"service_weight", "weights of the instances that are picked, added up", get_weight},
};

/* Calls put_one for each service that has series. */
static void each(struct crow_text *text, const struct crow_view *view, const void *context,
		 void (*put_one)(struct crow_text *text, const struct crow_view *view,
				 const struct crow_view_service *service, const void *context))
{
	struct crow_view_service service;

	for (uint32_t i = 0; i < CROW_METRICS_SERVICES_MAX && crow_view_service(view, i, &service);
	     i++)
		put_one(text, view, &service, context);
}

static void put_service(struct crow_text *text, const char *name, const char *service)
{
	put(text, "crowfly_%s{service=\"", name);
	crow_text_label(text, service);
}

static void put_series(struct crow_text *text, const struct crow_view *view,
		       const struct crow_view_service *service, const void *context)
{
	const struct series *series = context;
	double value;

	if (!series->get(view, service, &value))
		return;
	put_service(text, series->name, service->name);
	put(text, "\"} %.15g\n", value);
}

static void put_states(struct crow_text *text, const struct crow_view *view,
		       const struct crow_view_service *service, const void *context)
{
	const struct {
		const char *state;
		uint32_t count;
	} states[] = {
		{"up", service->up},
		{"drained", service->drained},
		{"ejected", service->ejected},
		{"tombstone", service->tombstones},
	};

	(void)view;
	(void)context;
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		put_service(text, "service_instances", service->name);
		put(text, "\",state=\"%s\"} %" PRIu32 "\n", states[i].state, states[i].count);
	}
}

struct crow_body *crow_metrics_render(const struct crow_view *view)
{
	struct crow_text text = {0};

	put_daemon(&text, view);
	put_counters(&text);
	head(&text, "service_instances", "gauge",
	     "instances by state: up is picked by weight, drained has weight 0, ejected is left "
	     "out "
	     "because connections failed, tombstone left the list lately");
	each(&text, view, NULL, put_states);
	for (size_t i = 0; i < sizeof(all_series) / sizeof(all_series[0]); i++) {
		head(&text, all_series[i].name, "gauge", all_series[i].help);
		each(&text, view, &all_series[i], put_series);
	}
	return crow_text_finish(&text);
}
