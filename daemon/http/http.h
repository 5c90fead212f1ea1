/*
 * The HTTP face: libmicrohttpd driven by the daemon's own loop (no thread of its own).
 *
 * Files: http.c (the one door to libmicrohttpd: routes, limits), status.c (json-c's writing door).
 */
#ifndef CROW_HTTP_H
#define CROW_HTTP_H

#include "daemon/config.h"
#include "daemon/publisher.h"

struct crow_http;

/* NULL with a sentence that names the address and the remedy. */
struct crow_http *crow_http_bind(const struct crow_config *config, char *complaint,
				 size_t complaint_size);
bool crow_http_start(struct crow_http *http, struct crow_loop *loop,
		     struct crow_publisher *publisher, const struct crow_table *table);
void crow_http_free(struct crow_http *http);

/* /api/v1/status as text; freed with free(). NULL: no memory. Instances come from the image, the
 * polls from the table. */
char *crow_status_json(const struct crow_image *img, const struct crow_table *table, int64_t now_ns,
		       size_t *size);

#endif
