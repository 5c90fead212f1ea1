#include "daemon/http/page.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/counters.h"
#include "daemon/http/assets.h"
#include "daemon/http/parts.h"

/* So many services are shown with their instances; more are lines of a table. */
#define CARDS_MAX 12u
/* Instances of a service that are shown with others. */
#define CARD_INSTANCES 16u
/* Of a larger service it is not computed for each card how often DNS gave which instance: that
 * costs 0.1 us for each of them, and the service's own page does it. */
#define CARD_PICKS_MAX 1000u
#define CARD_GRAVES    4u

const char crow_page_policy[] =
	"default-src 'none'; style-src '" CROW_PAGE_CSS_HASH "'; script-src '" CROW_PAGE_JS_HASH
	"'; connect-src 'self'; img-src data:; form-action 'self'; "
	"base-uri 'none'; frame-ancestors 'none'";

struct sums {
	uint32_t services, troubled, stale;
	uint64_t up, drained, ejected, tombstones;
};

static struct sums add_up(const struct crow_view *view)
{
	struct crow_view_service service;
	struct sums sums = {0};

	for (uint32_t i = 0; crow_view_service(view, i, &service); i++) {
		sums.services++;
		sums.troubled += crow_view_is_troubled(&service);
		sums.stale += service.stale;
		sums.up += service.up;
		sums.drained += service.drained;
		sums.ejected += service.ejected;
		sums.tombstones += service.tombstones;
	}
	return sums;
}

/* ---- the frame ---- */

/* search: what the box looks for; action: where it leads, below which is `service`. */
struct frame {
	const char *title, *search, *action, *service, *query;
};

static void open_page(struct crow_text *text, const struct frame *frame)
{
	char host[64] = "";

	gethostname(host, sizeof(host) - 1);
	crow_text_html(text,
		       "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
		       "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
		       "<meta name=\"color-scheme\" content=\"light dark\">\n"
		       "<title>%s</title>\n<link rel=\"icon\" href=\"data:,\">\n"
		       "<noscript><meta http-equiv=\"refresh\" content=\"5\"></noscript>\n<style>",
		       frame->title);
	crow_text_put(text, CROW_PAGE_CSS);
	crow_text_html(text,
		       "</style>\n</head>\n<body>\n<header class=\"top\">"
		       "<a class=\"brand\" href=\"/\">crowfly</a><span class=\"host\">%s</span>"
		       "<form role=\"search\" method=\"get\" action=\"%s",
		       host, frame->action);
	crow_text_url(text, frame->service);
	crow_text_html(
		text,
		"\"><input type=\"search\" name=\"q\" id=\"search\" value=\"%s\" "
		"placeholder=\"%s\" aria-label=\"%s\" maxlength=\"253\" autocomplete=\"off\" "
		"spellcheck=\"false\"></form>"
		"<span id=\"live\" role=\"status\"></span></header>\n<main id=\"main\">\n",
		frame->query, frame->search, frame->search);
}

static struct crow_body *close_page(struct crow_text *text, const struct crow_view *view)
{
	const struct crow_snap_header *header = view->img->header;

	crow_text_html(text, "<footer>crowflyd %s &middot; pid %d &middot; up for ", CROW_VERSION,
		       (int)getpid());
	crow_part_since(text, view, true, view->started_ns);
	crow_text_html(text, " &middot; image %lu, ",
		       header ? (unsigned long)header->generation : 0);
	crow_part_since(text, view, header != NULL, header ? header->built_boot_ns : 0);
	crow_text_put(text, " old<span class=\"links\"><a href=\"/api/v1/status\">status</a> "
			    "<a href=\"/metrics\">metrics</a></span></footer>\n</main>\n<script>");
	crow_text_put(text, CROW_PAGE_JS);
	crow_text_put(text, "</script>\n</body>\n</html>\n");
	return crow_text_finish(text);
}

/* ---- counters ---- */

static void put_counter(struct crow_text *text, const struct crow_counter_value *counter,
			const char *name)
{
	crow_text_html(text, "<div%s title=\"%s\"><dt>%s</dt><dd>%lu</dd></div>\n",
		       counter->value ? "" : " class=\"zero\"", counter->prose, name,
		       (unsigned long)counter->value);
}

/* Those that begin with the prefix, or (but) all others. */
static void put_counters(struct crow_text *text, const char *prefix, bool but)
{
	struct crow_counter_value counter;
	size_t length = strlen(prefix);

	crow_text_put(text, "<dl class=\"counters\">\n");
	for (size_t i = 0; crow_counter_get(i, &counter); i++)
		if ((strncmp(counter.name, prefix, length) == 0) != but)
			put_counter(text, &counter, but ? counter.name : counter.name + length);
	crow_text_put(text, "</dl>\n");
}

static void put_all_counters(struct crow_text *text)
{
	crow_text_put(text, "<section><h2>DNS</h2>\n");
	put_counters(text, "dns_", false);
	crow_text_put(text, "<details id=\"counters\"><summary>all other counters</summary>\n");
	put_counters(text, "dns_", true);
	crow_text_put(text, "</details></section>\n");
}

/* ---- instances ---- */

static void open_instances(struct crow_text *text, const char *id)
{
	crow_text_html(
		text,
		"<div class=\"scroll\" id=\"t-%s\"><table class=\"instances\"><thead><tr>"
		"<th class=\"addr\">instance</th><th class=\"st\">state</th>"
		"<th class=\"num\">weight</th>"
		"<th class=\"num\" title=\"of all picks, by weight\">asked</th>"
		"<th class=\"num\" title=\"of the picks of DNS in the last minute\">given</th>"
		"<th class=\"wide\"></th><th class=\"why\">why</th><th "
		"class=\"label\">label</th></tr></thead>\n<tbody>\n",
		id);
}

/* Why it is in its state, and what is known of it besides. */
static void put_reason(struct crow_text *text, const struct crow_view *view,
		       const struct crow_health_view *health)
{
	crow_text_html(text, "%s", health->why);
	if (health->failovers > 0)
		crow_text_html(text, "%s%u failover%s", health->why[0] ? "; " : "",
			       health->failovers, health->failovers == 1 ? "" : "s");
	if (health->probed_ns == 0)
		return;
	crow_text_html(text, "<small>%sprobed ",
		       health->why[0] || health->failovers > 0 ? "; " : "");
	crow_part_since(text, view, true, health->probed_ns);
	crow_text_put(text, " ago");
	if (!health->why[0] && health->last)
		crow_text_html(text, ": %s", health->last);
	crow_text_put(text, "</small>");
}

static void put_instance(struct crow_text *text, const struct crow_view *view,
			 const struct crow_view_instance *instance, double most)
{
	const struct crow_snap_instance *snap = instance->snap;

	crow_text_html(text, "<tr class=\"%s\"><td class=\"addr\">%s</td><td>",
		       snap->state == CROW_STATE_UP ? "ok" : "off", instance->endpoint);
	crow_part_health(text, snap->state, instance->health.state);
	if (instance->health.since_ns && snap->state != CROW_STATE_DRAINED) {
		crow_text_put(text, " <small>for ");
		crow_part_since(text, view, true, instance->health.since_ns);
		crow_text_put(text, "</small>");
	}
	crow_text_html(text, "</td><td class=\"num\">%u</td>", snap->weight);
	crow_part_share(text, instance->asked, instance->given, most);
	crow_text_put(text, "<td class=\"why\">");
	put_reason(text, view, &instance->health);
	crow_text_html(text, "</td><td class=\"label\" title=\"%s\">%s</td></tr>\n", instance->app,
		       instance->app);
}

static void put_grave(struct crow_text *text, const struct crow_view *view,
		      const struct crow_snap_instance *snap)
{
	char endpoint[CROW_ENDPOINT_TEXT];

	(void)view;
	crow_addr_format(&snap->addr, snap->port, endpoint);
	crow_text_html(text, "<tr class=\"off\"><td class=\"addr\">%s</td><td>", endpoint);
	crow_part_state(text, CROW_STATE_TOMBSTONE);
	crow_text_put(text,
		      "</td><td class=\"num dim\">&ndash;</td><td class=\"num dim\">&ndash;</td>"
		      "<td class=\"num dim\">&ndash;</td><td class=\"wide\"></td>"
		      "<td class=\"why\">left the list</td><td></td></tr>\n");
}

/* The image has those that are picked first; a person wants the others first. */
static uint32_t place(const struct crow_view_service *service, uint32_t rank)
{
	return (rank + service->up) % service->snap->count;
}

/* The largest part that any of count instances has; they need not be those that are shown. */
static double largest_part(const struct crow_view *view, const struct crow_view_service *service,
			   uint32_t count)
{
	double most = 0;

	for (uint32_t i = 0; i < count && i < service->up; i++) {
		double part = crow_view_part(view, service, i);

		most = part > most ? part : most;
	}
	return most;
}

/* ---- a service ---- */

static void put_service_link(struct crow_text *text, const char *name)
{
	crow_text_put(text, "<a href=\"/service/");
	crow_text_url(text, name);
	crow_text_html(text, "\">%s</a>", name);
}

/* Why an eye should fall on it, in a sentence; the details come from discovery's last poll. */
static void put_trouble(struct crow_text *text, const struct crow_view *view,
			const struct crow_view_service *service)
{
	const struct crow_service *polled = service->polled;
	bool failing = polled && polled->failing_ns;

	if (service->lost_ns) {
		crow_text_put(text, "<p class=\"stale\"><b>down</b> no instance answers, for ");
		crow_part_since(text, view, true, service->lost_ns);
		crow_text_put(text, "; all stay in picks, since an outage looks the same</p>\n");
	}
	if (!service->stale && service->snap->count > 0)
		return;
	if (service->snap->count > 0) {
		crow_text_put(text, "<p class=\"stale\"><b>stale</b> the list of ");
		crow_part_since(text, view, service->snap->taken_wall_s != 0,
				service->snap->taken_boot_ns);
		crow_text_put(text, " ago serves on");
	} else {
		crow_text_put(text,
			      "<p class=\"stale\"><b>waiting</b> there is no list yet, so that "
			      "nothing can be served");
	}
	if (polled && polled->detail[0])
		crow_text_html(text, ": %s", polled->detail);
	if (failing) {
		crow_text_put(text, ", for ");
		crow_part_since(text, view, true, polled->failing_ns);
	}
	crow_text_put(text, "</p>\n");
}

static void put_fact(struct crow_text *text, const char *what)
{
	crow_text_html(text, "<div><dt>%s</dt><dd>", what);
}

static void put_facts(struct crow_text *text, const struct crow_view *view,
		      const struct crow_view_service *service)
{
	const struct crow_service *polled = service->polled;

	crow_text_put(text, "<dl class=\"facts\">");
	put_fact(text, "list");
	crow_part_since(text, view, service->snap->taken_wall_s != 0, service->snap->taken_boot_ns);
	crow_text_html(text, "%s</dd></div>", service->snap->taken_wall_s ? " old" : "");
	put_fact(text, "last poll");
	if (polled) {
		crow_part_since(text, view, polled->polled_ns != 0, polled->polled_ns);
		crow_text_html(text, "%s &middot; <span class=\"%s\">%s</span>",
			       polled->polled_ns ? " ago" : "", polled->failing_ns ? "bad" : "fine",
			       crow_poll_stroutcome(polled->outcome));
	}
	crow_text_put(text, "</dd></div>");
	put_fact(text, "failovers");
	crow_part_failovers(text, view, service->name);
	crow_text_put(text, "</dd></div>");
	put_fact(text, "probes");
	crow_part_probes(text, view, service->name);
	crow_text_put(text, "</dd></div></dl>\n");
}

static void put_service_head(struct crow_text *text, const struct crow_view *view,
			     const struct crow_view_service *service, bool linked)
{
	crow_text_put(text, linked ? "<header><h2>" : "<header><h1>");
	if (linked)
		put_service_link(text, service->name);
	else
		crow_text_html(text, "%s", service->name);
	crow_text_put(text, linked ? "</h2> " : "</h1> ");
	crow_part_counts(text, service);
	crow_text_html(text,
		       "<span class=\"from\">%s &middot; %s &middot; port %u</span></header>\n",
		       service->source, service->zone, service->snap->port);
	put_trouble(text, view, service);
	put_facts(text, view, service);
}

static void put_card_instances(struct crow_text *text, const struct crow_view *view,
			       const struct crow_view_service *service)
{
	uint32_t count = service->snap->count,
		 shown = count < CARD_INSTANCES ? count : CARD_INSTANCES;
	uint32_t picks = count <= CARD_PICKS_MAX ? crow_view_picks(view, service) : 0;
	double most = largest_part(view, service, count < CARD_PICKS_MAX ? count : CARD_PICKS_MAX);
	struct crow_view_instance instance;

	open_instances(text, service->name);
	for (uint32_t i = 0; i < shown; i++)
		if (crow_view_instance(view, service, place(service, i), picks, &instance))
			put_instance(text, view, &instance, most);
	for (uint32_t i = 0; i < service->snap->graves && i < CARD_GRAVES; i++)
		put_grave(text, view, crow_image_instance(view->img, service->snap->grave + i));
	crow_text_put(text, "</tbody></table></div>\n");
	if (shown == count && service->snap->graves <= CARD_GRAVES)
		return;
	crow_text_put(text, "<p class=\"more\"><a href=\"/service/");
	crow_text_url(text, service->name);
	crow_text_html(text, "\">all %u instances", count);
	if (service->snap->graves > 0)
		crow_text_html(text, " and %u tombstones", service->snap->graves);
	crow_text_put(text, "</a></p>\n");
}

static void put_card(struct crow_text *text, const struct crow_view *view,
		     const struct crow_view_service *service)
{
	bool late = service->stale && !service->ejected && !service->lost_ns;

	crow_text_html(text, "<article class=\"card%s\">\n",
		       late                             ? " late"
		       : crow_view_is_troubled(service) ? " troubled"
							: "");
	put_service_head(text, view, service, true);
	if (service->snap->count > 0)
		put_card_instances(text, view, service);
	crow_text_put(text, "</article>\n");
}

/* In a row of its own, as wide as the table. */
static void put_line_trouble(struct crow_text *text, const struct crow_view *view,
			     const struct crow_view_service *service)
{
	if (!service->stale && !service->lost_ns && service->snap->count > 0)
		return;
	crow_text_put(text, "<tr class=\"sentence\"><td colspan=\"7\">");
	put_trouble(text, view, service);
	crow_text_put(text, "</td></tr>\n");
}

static void put_line(struct crow_text *text, const struct crow_view *view,
		     const struct crow_view_service *service)
{
	const struct crow_service *polled = service->polled;

	crow_text_html(text, "<tr class=\"%s\"><td class=\"name\">",
		       crow_view_is_troubled(service) ? "troubled" : "well");
	put_service_link(text, service->name);
	crow_text_put(text, "</td><td>");
	crow_part_counts(text, service);
	crow_text_put(text, "</td><td class=\"num\">");
	crow_part_since(text, view, service->snap->taken_wall_s != 0, service->snap->taken_boot_ns);
	crow_text_put(text, "</td><td class=\"num\">");
	crow_part_since(text, view, polled && polled->polled_ns, polled ? polled->polled_ns : 0);
	crow_text_html(text, "</td><td><span class=\"%s\">%s</span></td><td>",
		       polled && polled->failing_ns ? "bad" : "fine",
		       polled ? crow_poll_stroutcome(polled->outcome) : "");
	crow_part_failovers(text, view, service->name);
	crow_text_put(text, "</td><td>");
	crow_part_probes(text, view, service->name);
	crow_text_put(text, "</td></tr>\n");
	put_line_trouble(text, view, service);
}

/* ---- all services ---- */

static void put_verdict(struct crow_text *text, const struct sums *sums)
{
	if (sums->services == 0)
		crow_text_put(text, "<h1 class=\"verdict\"><i class=\"dot warn\"></i>No service yet"
				    "</h1>\n<p class=\"hint\">Services come from the sources of "
				    "crowfly.conf; with services=* they appear when somebody asks "
				    "for their names.</p>\n");
	else if (sums->troubled == 0)
		crow_text_html(text,
			       "<h1 class=\"verdict\"><i class=\"dot good\"></i>%s well</h1>\n",
			       sums->services == 1 ? "The one service is" : "All services are");
	else
		crow_text_html(text,
			       "<h1 class=\"verdict\"><i class=\"dot bad\"></i>%u of %u services "
			       "need%s a look</h1>\n",
			       sums->troubled, sums->services, sums->troubled == 1 ? "s" : "");
	if (sums->stale > 0)
		crow_text_html(
			text,
			"<p class=\"banner\"><b>Stale:</b> discovery does not confirm %u of %u "
			"lists. Their last good ones serve on.</p>\n",
			sums->stale, sums->services);
}

static void put_tile(struct crow_text *text, const char *look, uint64_t value, const char *what)
{
	crow_text_html(text, "<div class=\"%s%s\"><dd>", look, value ? "" : " zero");
	crow_part_number(text, value);
	crow_text_html(text, "</dd><dt>%s</dt></div>\n", what);
}

static void put_tiles(struct crow_text *text, const struct sums *sums)
{
	crow_text_put(text, "<dl class=\"tiles\">\n");
	put_tile(text, "", sums->services, "services");
	put_tile(text, "up", sums->up, "up");
	put_tile(text, "ejected", sums->ejected, "ejected");
	put_tile(text, "draining", sums->drained, "draining");
	put_tile(text, "gone", sums->tombstones, "tombstones");
	put_tile(text, "old", sums->stale, "stale lists");
	crow_text_put(text, "</dl>\n");
}

static void put_lines(struct crow_text *text, const struct crow_view *view,
		      const struct crow_selection *shown)
{
	struct crow_view_service service;

	crow_text_put(text,
		      "<div class=\"scroll\" id=\"t-services\"><table class=\"services\"><thead>"
		      "<tr><th>service</th><th>instances</th><th class=\"num\">list age</th>"
		      "<th class=\"num\">last poll</th><th>outcome</th><th>failovers</th>"
		      "<th>probes</th></tr></thead>\n<tbody>\n");
	for (size_t i = 0; i < shown->count; i++)
		if (crow_view_service(view, shown->services[i], &service))
			put_line(text, view, &service);
	crow_text_put(text, "</tbody></table></div>\n");
}

static void put_services(struct crow_text *text, const struct crow_view *view,
			 const struct crow_selection *shown)
{
	struct crow_view_service service;

	if (shown->total > CARDS_MAX) {
		put_lines(text, view, shown);
		return;
	}
	for (size_t i = 0; i < shown->count; i++)
		if (crow_view_service(view, shown->services[i], &service))
			put_card(text, view, &service);
}

static const char *title_of(const struct sums *sums)
{
	return sums->troubled ? "! crowfly" : "crowfly";
}

struct crow_body *crow_page_services(const struct crow_view *view, const char *query, unsigned page)
{
	struct sums sums = add_up(view);
	const struct frame frame = {title_of(&sums), "service or address", "/", "", query};
	struct crow_text text = {0};
	struct crow_selection shown;

	crow_view_select(view, query, page, &shown);
	open_page(&text, &frame);
	put_verdict(&text, &sums);
	put_tiles(&text, &sums);
	if (*query)
		crow_text_html(&text,
			       "<p class=\"hint\">%zu of %u services match <b>%s</b>. "
			       "<a href=\"/\">Show all</a></p>\n",
			       shown.total, sums.services, query);
	put_services(&text, view, &shown);
	crow_part_pages(&text, "/", "", query, shown.page, shown.pages);
	put_all_counters(&text);
	return close_page(&text, view);
}

/* ---- one service ---- */

/* Ranks of the instances that match, those of one page. */
struct found {
	size_t total, count;
	unsigned page, pages;
	uint32_t places[CROW_PAGE_INSTANCES];
};

/* A state's word, as it is shown or as the status has it. */
static bool is_state(uint8_t state, const char *word)
{
	return strcasecmp(crow_part_word(state), word) == 0 ||
	       strcasecmp(crow_view_state(state), word) == 0;
}

static bool is_in_doubt(const struct crow_view *view, const struct crow_view_service *service,
			uint32_t i, const char *word)
{
	struct crow_view_instance instance;
	bool kept = strcasecmp(word, "kept") == 0 || strcasecmp(word, "down") == 0;
	enum crow_health_state state = kept ? CROW_HEALTH_KEPT : CROW_HEALTH_SUSPECT;

	return (kept || strcasecmp(word, "suspect") == 0) &&
	       crow_view_instance(view, service, i, 0, &instance) && instance.health.state == state;
}

/* Of a hundred thousand; so what costs little is looked at first. */
static bool matches(const struct crow_view *view, const struct crow_view_service *service,
		    uint32_t i, const char *query)
{
	const struct crow_snap_instance *snap =
		crow_image_instance(view->img, service->snap->first + i);
	char endpoint[CROW_ENDPOINT_TEXT];

	if (!*query || is_state(snap->state, query) ||
	    strcasestr(crow_image_string(view->img, snap->app), query) ||
	    is_in_doubt(view, service, i, query))
		return true;
	crow_addr_format(&snap->addr, snap->port, endpoint);
	return strcasestr(endpoint, query);
}

static void find(const struct crow_view *view, const struct crow_view_service *service,
		 const char *query, unsigned page, struct found *out)
{
	size_t skip = (page - 1) * (size_t)CROW_PAGE_INSTANCES;

	*out = (struct found){.page = page};
	for (uint32_t rank = 0; rank < service->snap->count; rank++) {
		uint32_t i = place(service, rank);

		if (matches(view, service, i, query) && out->total++ >= skip &&
		    out->count < CROW_PAGE_INSTANCES)
			out->places[out->count++] = i;
	}
	out->pages = (unsigned)((out->total + CROW_PAGE_INSTANCES - 1) / CROW_PAGE_INSTANCES);
	if (out->pages == 0)
		out->pages = 1;
	if (page > out->pages)
		find(view, service, query, out->pages, out);
}

static void put_found(struct crow_text *text, const struct crow_view *view,
		      const struct crow_view_service *service, const struct found *found)
{
	uint32_t picks = crow_view_picks(view, service);
	double most = largest_part(view, service, service->snap->count);
	struct crow_view_instance instance;

	open_instances(text, "all");
	for (size_t i = 0; i < found->count; i++)
		if (crow_view_instance(view, service, found->places[i], picks, &instance))
			put_instance(text, view, &instance, most);
	crow_text_put(text, "</tbody></table></div>\n");
}

static void put_graves(struct crow_text *text, const struct crow_view *view,
		       const struct crow_view_service *service)
{
	uint32_t graves = service->snap->graves;

	if (graves == 0)
		return;
	crow_text_html(text, "<h2>%u left the list in the last ten minutes</h2>\n", graves);
	open_instances(text, "graves");
	for (uint32_t i = 0; i < graves && i < CROW_PAGE_INSTANCES; i++)
		put_grave(text, view, crow_image_instance(view->img, service->snap->grave + i));
	crow_text_put(text, "</tbody></table></div>\n");
	if (graves > CROW_PAGE_INSTANCES)
		crow_text_html(text, "<p class=\"hint\">and %u more</p>\n",
			       graves - CROW_PAGE_INSTANCES);
}

struct crow_body *crow_page_service(const struct crow_view *view,
				    const struct crow_view_service *service, const char *query,
				    unsigned page)
{
	const struct frame frame = {service->name, "address, state or label", "/service/",
				    service->name, query};
	struct crow_text text = {0};
	struct found found;

	find(view, service, query, page ? page : 1, &found);
	open_page(&text, &frame);
	crow_text_html(&text, "<p class=\"back\"><a href=\"/\">all services</a></p>\n"
			      "<section class=\"one\">\n");
	put_service_head(&text, view, service, false);
	if (*query)
		crow_text_html(&text, "<p class=\"hint\">%zu of %u instances match <b>%s</b></p>\n",
			       found.total, service->snap->count, query);
	crow_part_pages(&text, "/service/", service->name, query, found.page, found.pages);
	put_found(&text, view, service, &found);
	crow_part_pages(&text, "/service/", service->name, query, found.page, found.pages);
	if (found.page == found.pages)
		put_graves(&text, view, service);
	crow_text_put(&text, "</section>\n");
	return close_page(&text, view);
}

struct crow_body *crow_page_missing(const struct crow_view *view, const char *name)
{
	const struct frame frame = {"crowfly", "service or address", "/", "", ""};
	struct crow_text text = {0};

	open_page(&text, &frame);
	crow_text_html(&text,
		       "<h1 class=\"verdict\"><i class=\"dot warn\"></i>No service %s here</h1>\n"
		       "<p class=\"hint\"><a href=\"/\">Show all services</a></p>\n",
		       name);
	return close_page(&text, view);
}
