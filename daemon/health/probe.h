/*
 * Probes: TCP connections that are begun, looked at and closed. Nothing is sent on them. Main thread.
 *
 * A probe that connected is closed in the ordinary way, so that the instance sees a client that
 * came and left (a FIN), not an error (a RST, which many servers log). The port then rests in
 * TIME_WAIT on this host: at 100 probes a second those are 6000 of the 28,000 ports that each
 * instance's address has here.
 */
#ifndef CROW_PROBE_H
#define CROW_PROBE_H

#include "daemon/health/endpoint.h"
#include "daemon/loop.h"

/* Under way at once: 100 in a second that are all silent for two seconds keep 200 busy. More wait:
 * each is a descriptor of the daemon's. */
#define CROW_PROBES_MAX 256

struct crow_probes;

typedef void crow_probe_hook(void *context, struct crow_endpoint *endpoint,
			     enum crow_evidence evidence);

struct crow_probes *crow_probes_new(struct crow_loop *loop, crow_probe_hook *on_outcome,
				    void *context); /* NULL: no memory */
void crow_probes_free(struct crow_probes *probes);  /* those under way are given up, unheard */

bool crow_probes_are_full(const struct crow_probes *probes);
/* Begins one; the hook is called with its outcome, perhaps before this returns. The endpoint is
 * borrowed until then. Not while they are full. */
void crow_probes_start(struct crow_probes *probes, struct crow_endpoint *endpoint,
		       uint32_t timeout_ms);

#endif
