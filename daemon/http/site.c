#include "daemon/http/site.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "daemon/cidr.h"
#include "daemon/counters.h"
#include "daemon/http/metrics.h"
#include "daemon/http/mirror.h"
#include "daemon/http/page.h"
#include "daemon/http/status.h"
#include "daemon/loop.h"

#define TEXT "text/plain; charset=utf-8"
#define HTML "text/html; charset=utf-8"

enum {
	OK = 200,
	NOT_MODIFIED = 304,
	FORBIDDEN = 403,
	NOT_FOUND = 404,
	NOT_ALLOWED = 405,
	MISDIRECTED = 421,
	BUSY = 503
};

/* Of an argument: as long as any name may be. */
#define ARGUMENT_MAX CROW_NAME_MAX
#define STATUS_KEY   (ARGUMENT_MAX + 32)

static void say(struct crow_answer *out, unsigned status, const char *text)
{
	out->status = status;
	out->type = TEXT;
	out->body = crow_body_copy(text);
}

/* ---- pages ---- */

/* What a page is made from. */
struct visit {
	struct crow_site *site;
	struct crow_view view;
	const struct crow_request *request;
	const char *rest;                   /* of the path, behind the route's */
	const struct crow_selection *shown; /* of the services in a status; NULL: not chosen so */
	/* While a list of the mirror is made. */
	const struct crow_mirror *mirror;
	const struct crow_view_service *service;
};

static void answer_health(struct visit *visit, struct crow_answer *out)
{
	(void)visit; /* that the loop turns is the answer */
	say(out, OK, "ok\n");
}

static void answer_ready(struct visit *visit, struct crow_answer *out)
{
	char text[128];
	size_t waiting;

	if (crow_view_is_ready(&visit->view, &waiting)) {
		say(out, OK, "ready\n");
		return;
	}
	snprintf(text, sizeof(text),
		 waiting == 1 ? "%zu service was not asked for yet, or is not shown yet\n"
			      : "%zu services were not asked for yet, or are not shown yet\n",
		 waiting);
	say(out, BUSY, text);
}

/* A document that may be large comes from its shelf if it is there, else it is made. */
static bool answer_kept(struct crow_shelf *shelf, const char *key, struct crow_answer *out)
{
	out->status = OK;
	out->body = crow_shelf_find(shelf, key, crow_now_ns());
	return out->body;
}

static void answer_made(const struct visit *visit, struct crow_shelf *shelf, const char *key,
			struct crow_body *(*render)(const struct visit *visit),
			struct crow_answer *out)
{
	int64_t start_ns = crow_now_ns();

	out->status = OK;
	out->body = render(visit);
	crow_shelf_keep(shelf, key, out->body, start_ns, crow_now_ns());
}

static const char *or_empty(const char *argument)
{
	return argument ? argument : "";
}

static unsigned page_number(const struct crow_request *request)
{
	unsigned long page = strtoul(or_empty(request->page), NULL, 10);

	return page < 1 || page > 1000000 ? 1 : (unsigned)page;
}

/* ---- the page ---- */

static void answer_page(struct visit *visit, struct crow_answer *out)
{
	const struct crow_request *request = visit->request;

	out->status = OK;
	out->type = HTML;
	out->policy = crow_page_policy;
	out->body =
		crow_page_services(&visit->view, or_empty(request->query), page_number(request));
}

static void answer_service_page(struct visit *visit, struct crow_answer *out)
{
	const struct crow_request *request = visit->request;
	struct crow_view_service service;
	bool found = crow_view_find(&visit->view, visit->rest, &service);

	out->status = found ? OK : NOT_FOUND;
	out->type = HTML;
	out->policy = crow_page_policy;
	out->body = found ? crow_page_service(&visit->view, &service, or_empty(request->query),
					      page_number(request))
			  : crow_page_missing(&visit->view, visit->rest);
}

/* ---- documents ---- */

static struct crow_body *render_status(const struct visit *visit)
{
	const struct crow_status_scope scope = {
		.service = visit->request->service,
		.shown = visit->shown,
	};

	return crow_status_render(&visit->view, &scope);
}

/* Numbers come first, and at most one text, last: no two requests have the same key unless they get
 * the same document. */
static void answer_some(struct visit *visit, const char *query, struct crow_answer *out)
{
	struct crow_selection shown;
	struct crow_shelf *shelf = *query ? &visit->site->searches : &visit->site->statuses;
	char key[STATUS_KEY];

	crow_view_select(&visit->view, query, page_number(visit->request), &shown);
	visit->shown = &shown;
	snprintf(key, sizeof(key), "page %u %s", shown.page, query);
	if (answer_kept(shelf, key, out))
		return;
	if (*query && crow_shelf_is_full(shelf)) {
		crow_count(http_busy);
		out->retry_after_s = 1;
		say(out, BUSY, "too many searches find too much; ask again\n");
		return;
	}
	answer_made(visit, shelf, key, render_status, out);
}

static void answer_status(struct visit *visit, struct crow_answer *out)
{
	const struct crow_request *request = visit->request;
	struct crow_shelf *shelf = &visit->site->statuses;
	char key[STATUS_KEY];

	out->type = "application/json";
	if (!request->service && (request->query || request->page)) {
		answer_some(visit, or_empty(request->query), out);
		return;
	}
	snprintf(key, sizeof(key), request->service ? "service %s" : "all",
		 or_empty(request->service));
	if (!answer_kept(shelf, key, out))
		answer_made(visit, shelf, key, render_status, out);
}

static struct crow_body *render_metrics(const struct visit *visit)
{
	return crow_metrics_render(&visit->view);
}

static void answer_metrics(struct visit *visit, struct crow_answer *out)
{
	struct crow_shelf *shelf = &visit->site->metrics;

	out->type = "text/plain; version=0.0.4; charset=utf-8";
	if (!answer_kept(shelf, "", out))
		answer_made(visit, shelf, "", render_metrics, out);
}

/* ---- the mirror ---- */

/* On top of a zone's time-out: what is found must first be in an image. */
#define PUBLICATION_NS INT64_C(1000000000)

static struct crow_body *render_mirror(const struct visit *visit)
{
	return crow_mirror_render(visit->mirror, &visit->view, visit->service,
				  visit->site->turns++);
}

static void answer_list(struct visit *visit, const struct crow_view_service *service,
			struct crow_answer *out)
{
	struct crow_shelf *shelf = &visit->site->mirrors;
	struct crow_mirror mirror;
	char key[sizeof(mirror.etag) + CROW_NAME_MAX + 2];

	if (!crow_mirror_init(&mirror, &visit->view, service))
		return;
	visit->mirror = &mirror;
	visit->service = service;
	out->type = "application/json";
	if (crow_mirror_is_known(&mirror, visit->request->if_none_match)) {
		crow_count(mirror_unchanged);
		out->status = NOT_MODIFIED;
		out->body = crow_body_copy("");
	} else {
		crow_count(mirror_lists);
		/* With the tag: what is handed out again must be of the set that it names. */
		snprintf(key, sizeof(key), "%s %s", mirror.etag, service->name);
		if (!answer_kept(shelf, key, out))
			answer_made(visit, shelf, key, render_mirror, out);
	}
	strcpy(out->etag, mirror.etag);
	crow_mirror_fini(&mirror);
}

static void answer_unknown(struct crow_answer *out)
{
	crow_count(mirror_unknown);
	say(out, NOT_FOUND, "discovery knows no such service, or crowflyd is not to ask for it\n");
}

static void answer_no_list(const struct crow_view_service *service, struct crow_answer *out)
{
	char text[CROW_NAME_MAX + CROW_DETAIL_TEXT + 64];

	if (service->polled && service->polled->outcome == CROW_POLL_UNKNOWN) {
		answer_unknown(out);
		return;
	}
	snprintf(text, sizeof(text), "%s has no list yet: %s\n", service->name,
		 service->polled && service->polled->detail[0] ? service->polled->detail
							       : "discovery is being asked");
	out->retry_after_s = 1;
	say(out, BUSY, text);
}

static void answer_service(struct visit *visit, const struct crow_view_service *service,
			   struct crow_answer *out)
{
	if (service->snap->count > 0)
		answer_list(visit, service, out);
	else
		answer_no_list(service, out);
}

/* What the image has of a name below the on-demand zones. The first that lacks it is asked. */
static void answer_on_demand(struct visit *visit, const char *name, struct crow_answer *out)
{
	const struct crow_image *img = visit->view.img;
	bool failed = false;

	for (uint32_t i = 0; img->header && i < img->header->zones.count; i++) {
		const struct crow_snap_zone *zone = &img->zones[i];
		char text[2 * CROW_NAME_MAX + 2], folded[CROW_NAME_MAX + 1];
		const struct crow_snap_name *known;
		struct crow_view_service service;

		snprintf(text, sizeof(text), "%s.%s", name, crow_image_string(img, zone->name));
		if (zone->timeout_ms == 0 || crow_name_fold(text, strlen(text), folded) == 0)
			continue;
		known = crow_image_find_name(img, folded, strlen(folded));
		if (known && known->kind == CROW_NAME_SERVICE &&
		    crow_view_service(&visit->view, known->service, &service)) {
			answer_service(visit, &service, out);
			return;
		}
		if (!known && !visit->request->waited) {
			visit->site->demand(visit->site->context, folded);
			out->later_ns = visit->view.now_ns + zone->timeout_ms * INT64_C(1000000) +
					PUBLICATION_NS;
			return;
		}
		failed |= !known || known->kind == CROW_NAME_FAILED;
	}
	if (!failed) {
		answer_unknown(out);
		return;
	}
	out->retry_after_s = 1;
	say(out, BUSY, "discovery could not say whether there is such a service\n");
}

static void answer_mirror(struct visit *visit, struct crow_answer *out)
{
	struct crow_view_service service;

	if (crow_view_find(&visit->view, visit->rest, &service))
		answer_service(visit, &service, out);
	else if (crow_mirror_is_name(visit->rest))
		answer_on_demand(visit, visit->rest, out);
	else
		answer_unknown(out);
}

/* ---- routes ---- */

static const struct route {
	const char *path; /* one that ends in {service} stands for all that begin so */
	void (*answer)(struct visit *visit, struct crow_answer *out);
} routes[] = {
	{"/", answer_page},
	{"/service/{service}", answer_service_page},
	{"/api/v1/status", answer_status},
	{"/metrics", answer_metrics},
	{"/healthz", answer_health},
	{"/readyz", answer_ready},
	{"/exported/apis/eas.alibaba-inc.k8s.io/v1/upstreams/{service}", answer_mirror},
	{"/api/v1/servicediscovery/upstreams/{service}", answer_mirror},
};

#define ROUTE_COUNT (sizeof(routes) / sizeof(routes[0]))

/* What stands where the route's {service} is, "" if it has none; NULL: another path. */
static const char *match(const struct route *route, const char *path)
{
	size_t length = strcspn(route->path, "{");

	if (strncmp(path, route->path, length) != 0)
		return NULL;
	if (route->path[length] == '\0' && path[length] != '\0')
		return NULL;
	return path + length;
}

static void answer_not_found(struct crow_answer *out)
{
	char text[512] = "there is no such page; there are:";
	size_t length = strlen(text);

	for (size_t i = 0; i < ROUTE_COUNT; i++)
		length += (size_t)snprintf(text + length, sizeof(text) - length, " %s",
					   routes[i].path);
	snprintf(text + length, sizeof(text) - length, "\n");
	say(out, NOT_FOUND, text);
}

/* ---- who asks ---- */

/* The host of "name", "name:port", "[v6]" or "[v6]:port"; false: none of these. */
static bool split_authority(const char *authority, char host[CROW_NAME_MAX + 1], bool *bracketed)
{
	const char *start = authority + (authority[0] == '[');
	size_t length;
	const char *rest;

	*bracketed = authority[0] == '[';
	length = strcspn(start, *bracketed ? "]" : ":");
	rest = start + length + *bracketed;
	if (length > CROW_NAME_MAX || (*bracketed && start[length] != ']') ||
	    (*rest != '\0' && *rest != ':'))
		return false;
	memcpy(host, start, length);
	host[length] = '\0';
	return true;
}

/* A browser that was led here by a page of somebody's, whose own name was pointed at this host
 * ("DNS rebinding"), sends that name. An address, or localhost, cannot be pointed elsewhere. */
static bool is_own_host(const struct crow_strings *hosts, const char *authority)
{
	char host[CROW_NAME_MAX + 1];
	struct in6_addr addr;
	bool bracketed;

	if (!split_authority(authority, host, &bracketed))
		return false;
	if (bracketed)
		return inet_pton(AF_INET6, host, &addr) == 1;
	for (size_t i = 0; i < hosts->count; i++)
		if (strcasecmp(host, hosts->items[i]) == 0)
			return true;
	return strcasecmp(host, "localhost") == 0 || inet_pton(AF_INET, host, &addr) == 1;
}

/* A proxy on this host that passes its clients' requests on is asked by all of them, but then it is
 * the proxy that lets them in. */
static bool is_admitted(const struct crow_config *config, const struct crow_request *request,
			struct crow_answer *out)
{
	if (!crow_cidrs_admit(&config->http_allow, &request->peer, &request->own)) {
		say(out, FORBIDDEN, "[http] allow= of crowflyd does not name your address\n");
	} else if (request->host && !is_own_host(&config->http_hosts, request->host)) {
		say(out, MISDIRECTED,
		    "the Host header must be an address, localhost, or a name that [http] host= "
		    "of crowflyd lists\n");
	} else {
		return true;
	}
	crow_count(http_refused);
	return false;
}

#define STRING(number) #number
#define DIGITS(number) STRING(number)

static const char too_long[] = "names have at most " DIGITS(
	CROW_NAME_MAX) " bytes, and so have the arguments q=, page= and "
		       "service=; /api/v1/status lists the names that there are\n";

static bool is_long(const char *argument)
{
	return argument && strlen(argument) > ARGUMENT_MAX;
}

/* Whatever is asked: else the last large answers would stay as long as nobody asks for others. */
static void sweep(struct crow_site *site)
{
	int64_t now_ns = crow_now_ns();

	crow_shelf_sweep(&site->statuses, now_ns);
	crow_shelf_sweep(&site->searches, now_ns);
	crow_shelf_sweep(&site->metrics, now_ns);
	crow_shelf_sweep(&site->mirrors, now_ns);
}

void crow_site_answer(struct crow_site *site, const struct crow_image *img,
		      const struct crow_request *request, int64_t now_ns, struct crow_answer *out)
{
	struct visit visit = {
		.site = site,
		.view = {.img = img,
			 .table = site->table,
			 .now_ns = now_ns,
			 .started_ns = site->started_ns,
			 .upstreams = site->follow ? crow_follow_get(site->follow) : NULL,
			 .given = site->given,
			 .health = site->health,
			 .history = site->history},
		.request = request,
	};

	*out = (struct crow_answer){0};
	sweep(site);
	if (!is_admitted(site->table->config, request, out))
		return;
	if (strcmp(request->method, "GET") != 0 && strcmp(request->method, "HEAD") != 0) {
		out->allow = "GET, HEAD";
		say(out, NOT_ALLOWED, "GET and HEAD are all that is served here\n");
		return;
	}
	if (is_long(request->query) || is_long(request->page) || is_long(request->service)) {
		say(out, NOT_FOUND, too_long);
		return;
	}
	for (size_t i = 0; i < ROUTE_COUNT; i++) {
		visit.rest = match(&routes[i], request->path);
		if (visit.rest) {
			routes[i].answer(&visit, out);
			return;
		}
	}
	answer_not_found(out);
}

void crow_site_init(struct crow_site *site, const struct crow_table *table,
		    void (*demand)(void *context, const char *name), void *context, int64_t now_ns)
{
	memset(site, 0, sizeof(*site));
	site->table = table;
	site->demand = demand;
	site->context = context;
	site->started_ns = now_ns;
	site->history = crow_history_new();
	site->large_max = CROW_SITE_LARGE_MAX;
	crow_shelf_init(&site->statuses);
	crow_shelf_init(&site->searches);
	site->searches.kept_max = CROW_SITE_SEARCHES_MAX;
	crow_shelf_init(&site->metrics);
	crow_shelf_init(&site->mirrors);
}

bool crow_site_is_crowded(const struct crow_site *site)
{
	return site->statuses.bytes + site->searches.bytes + site->metrics.bytes +
		       site->mirrors.bytes >
	       site->large_max;
}

void crow_site_note(struct crow_site *site, const struct crow_image *img,
		    enum crow_history_kind kind, const struct crow_addr *addr, uint16_t port,
		    int64_t now_ns)
{
	struct crow_owner owner;
	uint32_t probe = 0;

	while (site->history && crow_image_next_owner(img, addr, port, &probe, &owner))
		if (owner.exact)
			crow_history_note(
				site->history,
				crow_image_string(img,
						  crow_image_service(img, owner.service)->name),
				kind, now_ns);
}

void crow_site_fini(struct crow_site *site)
{
	crow_shelf_fini(&site->statuses);
	crow_shelf_fini(&site->searches);
	crow_shelf_fini(&site->metrics);
	crow_shelf_fini(&site->mirrors);
	crow_history_free(site->history);
}
