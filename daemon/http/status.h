/*
 * /api/v1/status; docs/api.md describes the document. Instances come from the image, polls from
 * the table.
 */
#ifndef CROW_HTTP_STATUS_H
#define CROW_HTTP_STATUS_H

#include "daemon/http/body.h"
#include "daemon/http/view.h"

/* Which services are told of. */
struct crow_status_scope {
	const char *service;                /* of this very name alone; NULL: see below */
	const struct crow_selection *shown; /* a page of them; NULL: all */
};

/* NULL: no memory. */
struct crow_body *crow_status_render(const struct crow_view *view,
				     const struct crow_status_scope *scope);

#endif
