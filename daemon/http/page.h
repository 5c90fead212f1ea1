/*
 * The page: what a person on call wants to see first. One document with its style and script in it
 * (page.css, page.js; assets.sh makes C of them), which works without the script and asks for
 * nothing from anywhere else.
 */
#ifndef CROW_HTTP_PAGE_H
#define CROW_HTTP_PAGE_H

#include "daemon/http/body.h"
#include "daemon/http/view.h"

/* What a browser may load and run of it: its own style and script, by their hashes. */
extern const char crow_page_policy[];

/* All services, or those that match query: a few whole, many as lines, 50 on a page. NULL: no
 * memory. */
struct crow_body *crow_page_services(const struct crow_view *view, const char *query,
				     unsigned page);

/* One service, 100 instances on a page: those that are not picked first. query: a part of an
 * instance's address, state or label. */
#define CROW_PAGE_INSTANCES 100u
struct crow_body *crow_page_service(const struct crow_view *view,
				    const struct crow_view_service *service, const char *query,
				    unsigned page);

/* In place of a service that is not there. */
struct crow_body *crow_page_missing(const struct crow_view *view, const char *name);

#endif
