#include "daemon/http/upstreams.h"

static const char *state_of(const struct crow_upstream *upstream, int64_t now_ns)
{
	if (upstream->looped_until_ns > now_ns)
		return "loop";
	return upstream->suspecting > 0 ? "suspect" : "up";
}

/* Each number is right by itself; they are those of slightly different moments. */
static struct json_object *new_upstream(struct crow_json *json,
					const struct crow_upstream *upstream)
{
	struct json_object *object = crow_json_object(json);
	char endpoint[CROW_ENDPOINT_TEXT];

	crow_addr_format(&upstream->at.addr, upstream->at.port, endpoint);
	crow_json_add_string(json, object, "server", endpoint);
	crow_json_add_string(json, object, "state", state_of(upstream, json->now_ns));
	crow_json_add_number(json, object, "queries", upstream->queries);
	crow_json_add_number(json, object, "answers", upstream->answers);
	crow_json_add_number(json, object, "timeouts", upstream->timeouts);
	crow_json_add_number(json, object, "unreachable", upstream->failures);
	if (upstream->smoothed_us > 0)
		crow_json_add_number(json, object, "smoothed_us", upstream->smoothed_us);
	else
		crow_json_add_null(json, object, "smoothed_us");
	return object;
}

struct json_object *crow_upstreams_json(struct crow_json *json,
					const struct crow_upstreams *upstreams)
{
	struct json_object *array = crow_json_array(json);

	for (size_t i = 0; upstreams && i < upstreams->count; i++)
		crow_json_append(json, array, new_upstream(json, &upstreams->items[i]));
	return array;
}
