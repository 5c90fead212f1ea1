/*
 * What the status tells of the servers that names are forwarded to.
 */
#ifndef CROW_HTTP_UPSTREAMS_H
#define CROW_HTTP_UPSTREAMS_H

#include "daemon/http/json.h"
#include "daemon/upstream/upstreams.h"

/* An array; empty where upstreams is NULL. */
struct json_object *crow_upstreams_json(struct crow_json *json,
					const struct crow_upstreams *upstreams);

#endif
