#include "daemon/http/parts.h"

#include <stdio.h>
#include <string.h>

/* ---- numbers ---- */

void crow_part_number(struct crow_text *text, uint64_t value)
{
	char digits[24];
	int length = snprintf(digits, sizeof(digits), "%lu", (unsigned long)value);

	for (int i = 0; i < length; i++) {
		if (i > 0 && length > 4 && (length - i) % 3 == 0)
			crow_text_put(text, "&#8239;");
		crow_text_put_bytes(text, &digits[i], 1);
	}
}

/* ---- ages ---- */

void crow_part_age(struct crow_text *text, int64_t seconds)
{
	if (seconds < 0)
		seconds = 0;
	if (seconds < 120)
		crow_text_html(text, "%ld&nbsp;s", (long)seconds);
	else if (seconds < 7200)
		crow_text_html(text, "%ld&nbsp;min", (long)(seconds / 60));
	else if (seconds < 172800)
		crow_text_html(text, "%ld&nbsp;h %ld&nbsp;min", (long)(seconds / 3600),
			       (long)(seconds / 60 % 60));
	else
		crow_text_html(text, "%ld&nbsp;d %ld&nbsp;h", (long)(seconds / 86400),
			       (long)(seconds / 3600 % 24));
}

void crow_part_since(struct crow_text *text, const struct crow_view *view, bool ever,
		     int64_t since_ns)
{
	if (ever)
		crow_part_age(text, (view->now_ns - since_ns) / 1000000000);
	else
		crow_text_put(text, "never");
}

/* ---- states ---- */

static const struct {
	const char *name, *word, *title;
} looks[] = {
	[CROW_STATE_UP] = {"up", "up", "picked by weight"},
	[CROW_STATE_DRAINED] = {"draining", "draining", "weight 0: in the list, never picked"},
	[CROW_STATE_EJECTED] = {"ejected", "ejected", "left out, because connections failed"},
	[CROW_STATE_TOMBSTONE] = {"gone", "tombstone",
				  "left the list lately; connections to it are taken elsewhere"},
};

#define LOOK_COUNT (sizeof(looks) / sizeof(looks[0]))

static size_t look_of(uint8_t state)
{
	return state > 0 && state < LOOK_COUNT ? state : CROW_STATE_EJECTED;
}

const char *crow_part_word(uint8_t state)
{
	return looks[look_of(state)].word;
}

void crow_part_state(struct crow_text *text, uint8_t state)
{
	size_t i = look_of(state);

	crow_text_html(text, "<span class=\"state %s\" title=\"%s\"><i></i>%s</span>",
		       looks[i].name, looks[i].title, looks[i].word);
}

void crow_part_health(struct crow_text *text, uint8_t state, enum crow_health_state health)
{
	if (state == CROW_STATE_UP && health == CROW_HEALTH_SUSPECT)
		crow_text_put(text,
			      "<span class=\"state doubt\" title=\"picked as ever, while a probe "
			      "finds out\"><i></i>suspect</span>");
	else if (state == CROW_STATE_UP && health == CROW_HEALTH_KEPT)
		crow_text_put(text,
			      "<span class=\"state doubt\" title=\"seems down, and is picked all "
			      "the same\"><i></i>down, kept</span>");
	else
		crow_part_state(text, state);
}

void crow_part_counts(struct crow_text *text, const struct crow_view_service *service)
{
	const uint32_t counts[] = {
		[CROW_STATE_UP] = service->up,
		[CROW_STATE_DRAINED] = service->drained,
		[CROW_STATE_EJECTED] = service->ejected,
		[CROW_STATE_TOMBSTONE] = service->tombstones,
	};
	/* What is wrong is read first. */
	static const uint8_t order[] = {CROW_STATE_EJECTED, CROW_STATE_UP, CROW_STATE_DRAINED,
					CROW_STATE_TOMBSTONE};

	if (service->snap->count == 0)
		crow_text_put(text, "<span class=\"state ejected\"><i></i>no list yet</span> ");
	for (size_t i = 0; i < sizeof(order); i++)
		if (counts[order[i]] > 0)
			crow_text_html(text,
				       "<span class=\"state %s\" title=\"%s\"><i></i>%u %s</span> ",
				       looks[order[i]].name, looks[order[i]].title,
				       counts[order[i]], looks[order[i]].word);
}

/* ---- curves ---- */

#define CURVE_HEIGHT 18u

static unsigned largest(const uint16_t points[CROW_HISTORY_POINTS], unsigned least)
{
	for (size_t i = 0; i < CROW_HISTORY_POINTS; i++)
		if (points[i] > least)
			least = points[i];
	return least;
}

/* One stroke for each point, two units apart; what is not 0 is seen, however small. */
static void put_strokes(struct crow_text *text, const char *look,
			const uint16_t points[CROW_HISTORY_POINTS], unsigned most)
{
	crow_text_html(text, "<path class=\"%s\" d=\"", look);
	for (unsigned i = 0; i < CROW_HISTORY_POINTS; i++) {
		unsigned height = (points[i] * CURVE_HEIGHT + most - 1) / most;

		if (height > 0)
			crow_text_html(text, "M%u %uv-%u", 2 * i + 1, CURVE_HEIGHT,
				       height < 2 ? 2 : height);
	}
	crow_text_put(text, "\"/>");
}

static void open_curve(struct crow_text *text)
{
	crow_text_html(text,
		       "<svg class=\"curve\" viewBox=\"0 0 %u %u\" aria-hidden=\"true\">"
		       "<path class=\"base\" d=\"M0 %uh%u\"/>",
		       2 * CROW_HISTORY_POINTS, CURVE_HEIGHT + 1, CURVE_HEIGHT,
		       2 * CROW_HISTORY_POINTS);
}

static uint32_t get(const struct crow_view *view, const char *service, enum crow_history_kind kind,
		    uint16_t points[CROW_HISTORY_POINTS])
{
	memset(points, 0, CROW_HISTORY_POINTS * sizeof(*points));
	return view->history ? crow_history_get(view->history, service, kind, view->now_ns, points)
			     : 0;
}

void crow_part_failovers(struct crow_text *text, const struct crow_view *view, const char *service)
{
	uint16_t points[CROW_HISTORY_POINTS];
	uint32_t sum = get(view, service, CROW_HISTORY_FAILOVERS, points);

	crow_text_put(text, "<span class=\"trend\" title=\"failovers, the last ten minutes\">");
	open_curve(text);
	put_strokes(text, "warn", points, largest(points, 4));
	crow_text_html(text, "</svg><b%s>%u</b></span>", sum ? "" : " class=\"zero\"", sum);
}

void crow_part_probes(struct crow_text *text, const struct crow_view *view, const char *service)
{
	uint16_t good[CROW_HISTORY_POINTS], bad[CROW_HISTORY_POINTS];
	uint32_t oks = get(view, service, CROW_HISTORY_PROBES_OK, good);
	uint32_t fails = get(view, service, CROW_HISTORY_PROBES_FAILED, bad);
	unsigned most = largest(bad, 4);

	crow_text_put(text, "<span class=\"trend\" title=\"probes, the last ten minutes\">");
	open_curve(text);
	put_strokes(text, "good", good, largest(good, most));
	put_strokes(text, "bad", bad, largest(good, most));
	crow_text_html(text, "</svg><b%s>%u</b> ok", oks ? "" : " class=\"zero\"", oks);
	if (fails > 0)
		crow_text_html(text, ", <b class=\"bad\">%u</b> failed", fails);
	crow_text_put(text, "</span>");
}

/* ---- shares ---- */

static void put_percent(struct crow_text *text, double part)
{
	if (part < 0)
		crow_text_put(text, "<td class=\"num dim\">&ndash;</td>");
	else if (part > 0 && part < 0.001)
		crow_text_put(text, "<td class=\"num\">&lt;&nbsp;0.1&nbsp;%</td>");
	else
		crow_text_html(text, "<td class=\"num\">%.1f&nbsp;%%</td>", part * 100);
}

void crow_part_share(struct crow_text *text, double asked, double given, double most)
{
	double scale = most > 0 ? 100 / most : 0;

	put_percent(text, asked);
	put_percent(text, given);
	crow_text_html(text,
		       "<td class=\"wide\"><svg class=\"bar\" viewBox=\"0 0 100 8\" "
		       "preserveAspectRatio=\"none\" aria-hidden=\"true\">"
		       "<rect class=\"asked\" width=\"%.1f\" height=\"8\"/>",
		       asked * scale);
	if (given > 0)
		crow_text_html(text, "<rect class=\"given\" y=\"2\" width=\"%.1f\" height=\"4\"/>",
			       given * scale > 100 ? 100.0 : given * scale);
	crow_text_put(text, "</svg></td>");
}

/* ---- pages ---- */

static void put_link(struct crow_text *text, const char *path, const char *service,
		     const char *query, unsigned page, const char *label)
{
	crow_text_html(text, "<a href=\"%s", path);
	crow_text_url(text, service);
	crow_text_html(text, "?page=%u", page);
	if (*query) {
		crow_text_put(text, "&amp;q=");
		crow_text_url(text, query);
	}
	crow_text_html(text, "\">%s</a> ", label);
}

void crow_part_pages(struct crow_text *text, const char *path, const char *service,
		     const char *query, unsigned page, unsigned pages)
{
	if (pages < 2)
		return;
	crow_text_put(text, "<nav class=\"pages\" aria-label=\"pages\">");
	if (page > 1) {
		put_link(text, path, service, query, 1, "first");
		put_link(text, path, service, query, page - 1, "previous");
	}
	crow_text_html(text, "<b>page %u of %u</b> ", page, pages);
	if (page < pages) {
		put_link(text, path, service, query, page + 1, "next");
		put_link(text, path, service, query, pages, "last");
	}
	crow_text_put(text, "</nav>");
}
