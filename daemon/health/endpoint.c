#include "daemon/health/endpoint.h"

#include <assert.h>

#define MS_NS     INT64_C(1000000)
#define SECOND_NS (1000 * MS_NS)

/* A report may be forged, and then costs the instance a probe: one in this time. */
#define REPORT_NS SECOND_NS

/* Time-outs in a row that count as evidence: one lost SYN is none. */
#define STRIKES 2

static void enter(struct crow_endpoint *endpoint, enum crow_endpoint_state state, int64_t now_ns)
{
	/* What is DOWN is asked until it answers, so that no report or time-out makes it better. */
	static const bool legal[3][3] = {
		[CROW_ENDPOINT_UP] = {true, true, true},
		[CROW_ENDPOINT_SUSPECT] = {true, true, true},
		[CROW_ENDPOINT_DOWN] = {true, false, true},
	};

	assert(legal[endpoint->state][state]);
	if (endpoint->state != state)
		endpoint->since_ns = now_ns;
	endpoint->state = (uint8_t)state;
}

int64_t crow_endpoint_report(struct crow_endpoint *endpoint, int64_t now_ns)
{
	int64_t next_ns = endpoint->reported_ns + REPORT_NS;

	endpoint->reports++;
	endpoint->told_ns = now_ns;
	if (endpoint->state != CROW_ENDPOINT_UP || endpoint->probing)
		return CROW_ENDPOINT_NEVER;
	enter(endpoint, CROW_ENDPOINT_SUSPECT, now_ns);
	if (endpoint->reported_ns != 0 && next_ns > now_ns) {
		endpoint->reported_ns = next_ns;
		return next_ns;
	}
	endpoint->reported_ns = now_ns;
	return CROW_ENDPOINT_AT_ONCE;
}

/* Between 0.8 and 1.2 times that, so that hosts do not probe an instance in step. */
static int64_t jittered_ns(uint32_t ms, uint32_t random)
{
	int64_t span_ns = ms * MS_NS;

	return span_ns * 4 / 5 + (int64_t)((uint64_t)(span_ns * 2 / 5) * (random >> 8) >> 24);
}

static int64_t next_while_down(struct crow_endpoint *endpoint,
			       const struct crow_endpoint_waits *waits, uint32_t random,
			       int64_t now_ns)
{
	uint64_t ms =
		endpoint->backoff_ms == 0 ? waits->min_ms : 2 * (uint64_t)endpoint->backoff_ms;

	endpoint->backoff_ms = (uint32_t)(ms < waits->max_ms ? ms : waits->max_ms);
	return now_ns + jittered_ns(endpoint->backoff_ms, random);
}

/* One that comes and goes is asked after ever longer waits, as if it had never come: each time
 * costs some programs an attempt. Staying up for the longest wait clears its name. */
static bool has_stayed_up(const struct crow_endpoint *endpoint,
			  const struct crow_endpoint_waits *waits, int64_t now_ns)
{
	return endpoint->admitted_ns == 0 ||
	       now_ns - endpoint->admitted_ns >= waits->max_ms * MS_NS;
}

static int64_t fall(struct crow_endpoint *endpoint, enum crow_evidence evidence,
		    const struct crow_endpoint_waits *waits, uint32_t random, int64_t now_ns)
{
	if (endpoint->state != CROW_ENDPOINT_DOWN) {
		endpoint->ejections++;
		endpoint->why = (uint8_t)evidence;
		endpoint->strikes = 0;
		if (has_stayed_up(endpoint, waits, now_ns))
			endpoint->backoff_ms = 0;
	}
	enter(endpoint, CROW_ENDPOINT_DOWN, now_ns);
	return next_while_down(endpoint, waits, random, now_ns);
}

static int64_t rise(struct crow_endpoint *endpoint, int64_t now_ns)
{
	if (endpoint->state == CROW_ENDPOINT_DOWN)
		endpoint->admitted_ns = now_ns;
	endpoint->strikes = 0;
	enter(endpoint, CROW_ENDPOINT_UP, now_ns);
	return CROW_ENDPOINT_NEVER;
}

static int64_t fall_silent(struct crow_endpoint *endpoint, const struct crow_endpoint_waits *waits,
			   uint32_t random, int64_t now_ns)
{
	if (endpoint->state == CROW_ENDPOINT_DOWN || ++endpoint->strikes >= STRIKES)
		return fall(endpoint, CROW_EVIDENCE_SILENT, waits, random, now_ns);
	enter(endpoint, CROW_ENDPOINT_SUSPECT, now_ns);
	return CROW_ENDPOINT_AT_ONCE;
}

int64_t crow_endpoint_outcome(struct crow_endpoint *endpoint, enum crow_evidence evidence,
			      const struct crow_endpoint_waits *waits, uint32_t random,
			      int64_t now_ns)
{
	endpoint->probing = false;
	endpoint->probes++;
	endpoint->last = (uint8_t)evidence;
	endpoint->probed_ns = now_ns;
	endpoint->told_ns = now_ns;
	if (evidence == CROW_EVIDENCE_OK)
		endpoint->doubted_ns = 0;
	else if (evidence != CROW_EVIDENCE_LOCAL && endpoint->doubted_ns == 0)
		endpoint->doubted_ns = endpoint->begun_ns;

	switch (evidence) {
	case CROW_EVIDENCE_OK:
		return rise(endpoint, now_ns);
	case CROW_EVIDENCE_REFUSED:
	case CROW_EVIDENCE_UNREACHABLE:
		return fall(endpoint, evidence, waits, random, now_ns);
	case CROW_EVIDENCE_SILENT:
		return fall_silent(endpoint, waits, random, now_ns);
	case CROW_EVIDENCE_NONE:
	case CROW_EVIDENCE_LOCAL:
		break;
	}
	if (endpoint->state == CROW_ENDPOINT_DOWN)
		return next_while_down(endpoint, waits, random, now_ns);
	return rise(endpoint, now_ns);
}

bool crow_evidence_is_weak(enum crow_evidence evidence)
{
	return evidence == CROW_EVIDENCE_SILENT || evidence == CROW_EVIDENCE_UNREACHABLE;
}

const char *crow_evidence_name(enum crow_evidence evidence)
{
	switch (evidence) {
	case CROW_EVIDENCE_NONE:
		break;
	case CROW_EVIDENCE_OK:
		return "connected";
	case CROW_EVIDENCE_REFUSED:
		return "connect refused";
	case CROW_EVIDENCE_UNREACHABLE:
		return "unreachable";
	case CROW_EVIDENCE_SILENT:
		return "timed out";
	case CROW_EVIDENCE_LOCAL:
		return "could not be probed";
	}
	return "";
}
