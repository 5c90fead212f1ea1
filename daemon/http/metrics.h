/*
 * /metrics in Prometheus' text format 0.0.4: the counters of counters.def, what the daemon is, and
 * gauges for each service. No series names an instance: there may be 100,000 of them.
 */
#ifndef CROW_HTTP_METRICS_H
#define CROW_HTTP_METRICS_H

#include "daemon/http/body.h"
#include "daemon/http/view.h"

/* Services with series of their own, in the order of their names; of the rest there is a count. */
#define CROW_METRICS_SERVICES_MAX 2000u

struct crow_body *crow_metrics_render(const struct crow_view *view); /* NULL: no memory */

#endif
