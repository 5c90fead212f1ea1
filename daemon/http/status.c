#include "daemon/http/status.h"

#include <unistd.h>

#include "daemon/counters.h"
#include "daemon/http/json.h"
#include "daemon/http/upstreams.h"

struct doc {
	struct crow_json json;
	const struct crow_view *view;
};

/* ---- a service ---- */

static void add_endpoint(struct crow_json *json, struct json_object *object,
			 const struct crow_addr *addr, uint16_t port)
{
	char address[CROW_ENDPOINT_TEXT];

	crow_addr_format(addr, 0, address);
	crow_json_add_string(json, object, "address", address);
	crow_json_add_number(json, object, "port", port);
}

/* What the array of a service's instances is written from. */
struct slice {
	struct doc *doc;
	struct crow_view_service service;
};

/* What is known against it; of most, nothing is. */
static void add_health(struct doc *doc, struct json_object *object,
		       const struct crow_service *service,
		       const struct crow_snap_instance *instance)
{
	struct crow_health_view health;

	if (!doc->view->health || !service)
		return;
	crow_health_get(doc->view->health, service, &instance->addr, instance->port, &health);
	if (health.state == CROW_HEALTH_UP)
		return;
	crow_json_add_string(&doc->json, object, "health", crow_health_strstate(health.state));
	crow_json_add_string(&doc->json, object, "why", health.why);
	crow_json_add_age(&doc->json, object, "since_s", health.since_ns != 0, health.since_ns);
}

static struct json_object *new_instance(const void *context, size_t i)
{
	const struct slice *slice = context;
	struct crow_json *json = &slice->doc->json;
	const struct crow_image *img = slice->doc->view->img;
	const struct crow_snap_instance *instance =
		crow_image_instance(img, slice->service.snap->first + (uint32_t)i);
	struct json_object *object = crow_json_object(json);

	add_endpoint(json, object, &instance->addr, instance->port);
	crow_json_add_number(json, object, "weight", instance->weight);
	crow_json_add_string(json, object, "state", crow_view_state(instance->state));
	crow_json_add_string(json, object, "app", crow_image_string(img, instance->app));
	crow_json_add_number(json, object, "given",
			     crow_view_picks_of(slice->doc->view, &slice->service, instance));
	add_health(slice->doc, object, slice->service.polled, instance);
	return object;
}

static struct json_object *new_instances(struct doc *doc, const struct crow_view_service *service)
{
	const struct slice slice = {doc, *service};

	return crow_json_lazy(&doc->json, service->snap->count, new_instance, &slice,
			      sizeof(slice));
}

static struct json_object *new_counts(struct doc *doc, const struct crow_view_service *service)
{
	struct json_object *object = crow_json_object(&doc->json);

	crow_json_add_number(&doc->json, object, "up", service->up);
	crow_json_add_number(&doc->json, object, "drained", service->drained);
	crow_json_add_number(&doc->json, object, "ejected", service->ejected);
	crow_json_add_number(&doc->json, object, "tombstones", service->tombstones);
	return object;
}

static struct json_object *new_tombstones(struct doc *doc, const struct crow_service *service)
{
	struct json_object *array = crow_json_array(&doc->json);

	for (size_t i = 0; service && i < service->tombstone_count && !doc->json.failed; i++) {
		struct json_object *object = crow_json_object(&doc->json);

		add_endpoint(&doc->json, object, &service->tombstones[i].addr,
			     service->tombstones[i].port);
		crow_json_append(&doc->json, array, object);
	}
	return array;
}

static struct json_object *new_poll(struct doc *doc, const struct crow_service *service)
{
	struct crow_json *json = &doc->json;
	struct json_object *object = crow_json_object(json);

	crow_json_add_string(json, object, "outcome", crow_poll_stroutcome(service->outcome));
	crow_json_add_string(json, object, "detail", service->detail);
	crow_json_add_age(json, object, "ended_s_ago", service->polled_ns != 0, service->polled_ns);
	crow_json_add_age(json, object, "failing_s", service->failing_ns != 0, service->failing_ns);
	crow_json_add_number(json, object, "dropped", service->tally.dropped);
	crow_json_add_number(json, object, "outside", service->tally.outside);
	crow_json_add_number(json, object, "merged", service->tally.merged);
	crow_json_add_number(json, object, "clamped", service->tally.clamped);
	return object;
}

static struct json_object *new_service(struct doc *doc, const struct crow_view_service *service)
{
	struct crow_json *json = &doc->json;
	struct json_object *object = crow_json_object(json);
	const struct crow_snap_service *snap = service->snap;

	crow_json_add_string(json, object, "name", service->name);
	crow_json_add_string(json, object, "source", service->source);
	crow_json_add_string(json, object, "zone", service->zone);
	crow_json_add_number(json, object, "port", snap->port);
	crow_json_add_number(json, object, "attempt_timeout_ms", snap->attempt_timeout_ms);
	crow_json_add_string(json, object, "state", crow_view_standing(service));
	crow_json_add_bool(json, object, "stale", service->stale);
	crow_json_add_age(json, object, "list_age_s", snap->taken_wall_s != 0, snap->taken_boot_ns);
	crow_json_add(json, object, "counts", new_counts(doc, service));
	crow_json_add_number(json, object, "given", crow_view_picks(doc->view, service));
	crow_json_add(json, object, "instances", new_instances(doc, service));
	crow_json_add(json, object, "tombstones", new_tombstones(doc, service->polled));
	if (service->polled)
		crow_json_add(json, object, "poll", new_poll(doc, service->polled));
	else
		crow_json_add_null(json, object, "poll");
	return object;
}

/* ---- the document ---- */

static struct json_object *new_services(struct doc *doc, const struct crow_status_scope *scope)
{
	const struct crow_view *view = doc->view;
	struct json_object *array = crow_json_array(&doc->json);
	uint32_t count =
		scope->shown ? (uint32_t)scope->shown->count : crow_image_service_count(view->img);
	struct crow_view_service service;

	if (scope->service) {
		if (crow_view_find(view, scope->service, &service))
			crow_json_append(&doc->json, array, new_service(doc, &service));
		return array;
	}
	for (uint32_t i = 0; i < count && !doc->json.failed; i++)
		if (crow_view_service(view, scope->shown ? scope->shown->services[i] : i, &service))
			crow_json_append(&doc->json, array, new_service(doc, &service));
	return array;
}

static struct json_object *new_denied(struct doc *doc)
{
	const struct crow_table *table = doc->view->table;
	struct json_object *array = crow_json_array(&doc->json);

	for (size_t i = 0; i < table->denial_count; i++)
		crow_json_append_string(&doc->json, array, table->denials[i].name);
	return array;
}

static struct json_object *new_counters(struct doc *doc)
{
	struct json_object *object = crow_json_object(&doc->json);
	struct crow_counter_value counter;

	for (size_t i = 0; crow_counter_get(i, &counter); i++)
		crow_json_add_number(&doc->json, object, counter.name, counter.value);
	return object;
}

struct crow_body *crow_status_render(const struct crow_view *view,
				     const struct crow_status_scope *scope)
{
	struct doc doc = {.json.now_ns = view->now_ns, .view = view};
	struct crow_json *json = &doc.json;
	struct json_object *object = crow_json_object(json);
	const struct crow_snap_header *header = view->img->header;
	size_t waiting;

	crow_json_add_string(json, object, "version", CROW_VERSION);
	crow_json_add_number(json, object, "pid", (uint64_t)getpid());
	crow_json_add_age(json, object, "uptime_s", true, view->started_ns);
	crow_json_add_bool(json, object, "ready", crow_view_is_ready(view, &waiting));
	crow_json_add_number(json, object, "generation", header ? header->generation : 0);
	crow_json_add_age(json, object, "built_s_ago", header != NULL,
			  header ? header->built_boot_ns : 0);
	if (scope->shown) {
		crow_json_add_number(json, object, "matching", scope->shown->total);
		crow_json_add_number(json, object, "page", scope->shown->page);
		crow_json_add_number(json, object, "pages", scope->shown->pages);
	}
	crow_json_add(json, object, "services", new_services(&doc, scope));
	crow_json_add(json, object, "denied", new_denied(&doc));
	crow_json_add(json, object, "upstreams", crow_upstreams_json(json, view->upstreams));
	crow_json_add(json, object, "counters", new_counters(&doc));
	return crow_json_finish(json, object);
}
