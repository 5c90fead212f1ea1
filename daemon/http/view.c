#include "daemon/http/view.h"

#include <stdlib.h>
#include <string.h>

/* ---- a service ---- */

static const char *zone_name(const struct crow_image *img, const struct crow_snap_service *snap)
{
	if (snap->zone >= img->header->zones.count)
		return "";
	return crow_image_string(img, img->zones[snap->zone].name);
}

/* Those that may be picked stand first, so that only the others are looked at. */
static void count_states(const struct crow_image *img, struct crow_view_service *out)
{
	const struct crow_snap_service *snap = out->snap;

	out->up = snap->up4 + snap->up6;
	for (uint32_t i = out->up; i < snap->count; i++) {
		const struct crow_snap_instance *instance =
			crow_image_instance(img, snap->first + i);

		out->drained += instance->state == CROW_STATE_DRAINED;
		out->ejected += instance->state == CROW_STATE_EJECTED;
	}
}

static int64_t lost_since(const struct crow_service *service)
{
	int64_t v4_ns = service->standings[0].lost_ns, v6_ns = service->standings[1].lost_ns;

	return v4_ns == 0 || (v6_ns != 0 && v6_ns < v4_ns) ? v6_ns : v4_ns;
}

bool crow_view_service(const struct crow_view *view, uint32_t index, struct crow_view_service *out)
{
	const struct crow_snap_service *snap = crow_image_service(view->img, index);

	if (!snap)
		return false;
	*out = (struct crow_view_service){
		.index = index,
		.snap = snap,
		.name = crow_image_string(view->img, snap->name),
		.source = crow_image_string(view->img, snap->source),
		.zone = zone_name(view->img, snap),
		.tombstones = snap->graves,
		.stale = snap->flags & CROW_SERVICE_STALE,
	};
	out->polled = crow_table_find(view->table, out->name);
	if (out->polled)
		out->lost_ns = lost_since(out->polled);
	count_states(view->img, out);
	return true;
}

static const char *name_of(const struct crow_image *img, uint32_t index)
{
	return crow_image_string(img, crow_image_service(img, index)->name);
}

/* By bisection: daemon/publish.c keeps the table's order, which is by name. */
bool crow_view_find(const struct crow_view *view, const char *name, struct crow_view_service *out)
{
	uint32_t low = 0, high = crow_image_service_count(view->img);

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (strcmp(name_of(view->img, middle), name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return crow_view_service(view, low, out) && strcmp(out->name, name) == 0;
}

bool crow_view_is_troubled(const struct crow_view_service *service)
{
	return service->stale || service->snap->count == 0 || service->ejected > 0 ||
	       service->lost_ns != 0;
}

const char *crow_view_standing(const struct crow_view_service *service)
{
	if (service->snap->count == 0)
		return "waiting";
	return service->stale ? "stale" : "good";
}

/* ---- an instance ---- */

/* See resolver/snapshot.h. */
double crow_view_part(const struct crow_view *view, const struct crow_view_service *service,
		      uint32_t i)
{
	const uint64_t *uppers = view->img->uppers + service->snap->upper;

	if (i >= service->up)
		return 0;
	if (service->snap->flags & CROW_SERVICE_EQUAL)
		return 1.0 / service->up;
	return (double)(uppers[i] - (i ? uppers[i - 1] : 0)) / 18446744073709551616.0;
}

uint32_t crow_view_picks_of(const struct crow_view *view, const struct crow_view_service *service,
			    const struct crow_snap_instance *snap)
{
	if (!view->given)
		return 0;
	return crow_given_last_minute(view->given, service->name, &snap->addr, snap->port,
				      view->now_ns);
}

uint32_t crow_view_picks(const struct crow_view *view, const struct crow_view_service *service)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < service->snap->count; i++)
		sum += crow_view_picks_of(view, service,
					  crow_image_instance(view->img, service->snap->first + i));
	return sum;
}

bool crow_view_instance(const struct crow_view *view, const struct crow_view_service *service,
			uint32_t i, uint32_t picks, struct crow_view_instance *out)
{
	const struct crow_snap_instance *snap =
		i < service->snap->count ? crow_image_instance(view->img, service->snap->first + i)
					 : NULL;

	if (!snap)
		return false;
	*out = (struct crow_view_instance){
		.snap = snap,
		.app = crow_image_string(view->img, snap->app),
		.asked = crow_view_part(view, service, i),
		.given = picks ? (double)crow_view_picks_of(view, service, snap) / picks : -1,
	};
	if (view->health && service->polled)
		crow_health_get(view->health, service->polled, &snap->addr, snap->port,
				&out->health);
	crow_addr_format(&snap->addr, snap->port, out->endpoint);
	return true;
}

const char *crow_view_state(uint8_t state)
{
	switch (state) {
	case CROW_STATE_UP:
		return "up";
	case CROW_STATE_DRAINED:
		return "drained";
	case CROW_STATE_EJECTED:
		return "ejected";
	default:
		return "tombstone";
	}
}

bool crow_view_is_ready(const struct crow_view *view, size_t *waiting)
{
	*waiting = 0;
	for (size_t i = 0; i < view->table->count; i++) {
		const struct crow_service *service = view->table->services[i];
		struct crow_view_service shown;
		bool published = crow_view_find(view, service->name, &shown);
		bool settled = service->list.count > 0 ? published && shown.snap->count > 0
						       : service->polled_ns != 0;

		*waiting += !settled;
	}
	return *waiting == 0;
}

/* ---- a page of services ---- */

/* What a query asks for. */
struct wish {
	const char *part; /* of a name; NULL: an address */
	struct crow_addr addr;
	uint16_t port; /* 0: any */
};

static bool parse_endpoint(const char *query, struct wish *wish)
{
	const char *colon = strrchr(query, ':');
	size_t length = colon ? (size_t)(colon - query) : 0;
	char *end;
	unsigned long port;

	if (!colon || colon[1] < '0' || colon[1] > '9')
		return false;
	port = strtoul(colon + 1, &end, 10);
	if (*end || port == 0 || port > UINT16_MAX)
		return false;
	wish->port = (uint16_t)port;
	if (*query == '[' && length > 2 && query[length - 1] == ']')
		return crow_addr_parse(query + 1, length - 2, &wish->addr);
	return crow_addr_parse(query, length, &wish->addr);
}

static struct wish parse_query(const char *query)
{
	struct wish wish = {.part = query};

	if (crow_addr_parse(query, strlen(query), &wish.addr)) {
		wish.port = 0;
		wish.part = NULL;
	} else if (parse_endpoint(query, &wish)) {
		wish.part = NULL;
	}
	return wish;
}

static bool has_instance(const struct crow_image *img, const struct crow_snap_service *snap,
			 const struct wish *wish)
{
	for (uint32_t i = 0; i < snap->count; i++) {
		const struct crow_snap_instance *instance =
			crow_image_instance(img, snap->first + i);

		if (memcmp(&instance->addr, &wish->addr, sizeof(wish->addr)) == 0 &&
		    (wish->port == 0 || wish->port == instance->port))
			return true;
	}
	return false;
}

static bool matches(const struct crow_view *view, uint32_t index, const struct wish *wish)
{
	if (wish->part)
		return !*wish->part || strcasestr(name_of(view->img, index), wish->part);
	return has_instance(view->img, crow_image_service(view->img, index), wish);
}

/* Passes over the services of one kind; those from `skip` on are taken, as long as there is room. */
static void take(const struct crow_view *view, const struct wish *wish, bool troubled, size_t skip,
		 struct crow_selection *out)
{
	struct crow_view_service service;

	for (uint32_t i = 0; crow_view_service(view, i, &service); i++) {
		if (crow_view_is_troubled(&service) != troubled || !matches(view, i, wish))
			continue;
		if (out->total++ >= skip && out->count < CROW_VIEW_PAGE)
			out->services[out->count++] = i;
	}
}

void crow_view_select(const struct crow_view *view, const char *query, unsigned page,
		      struct crow_selection *out)
{
	struct wish wish = parse_query(query);

	*out = (struct crow_selection){.page = page ? page : 1};
	take(view, &wish, true, (out->page - 1) * (size_t)CROW_VIEW_PAGE, out);
	take(view, &wish, false, (out->page - 1) * (size_t)CROW_VIEW_PAGE, out);
	out->pages = (unsigned)((out->total + CROW_VIEW_PAGE - 1) / CROW_VIEW_PAGE);
	if (out->pages == 0)
		out->pages = 1;
	if (out->page > out->pages)
		crow_view_select(view, query, out->pages, out);
}
