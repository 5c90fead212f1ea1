#include "preload/resolve.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "preload/current.h"
#include "preload/decide.h"
#include "preload/names.h"
#include "preload/trace.h"
#include "resolver/pick.h"
#include "resolver/report.h"

/* Waiting for a name on demand: the daemon takes a round trip to discovery, 1 to 20 ms as a rule,
 * so it is looked for often at first. */
#define FIRST_NAP_MS 1
#define LAST_NAP_MS  20

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void nap(int64_t ms)
{
	struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	nanosleep(&ts, NULL); /* a signal makes it shorter, and the clock decides */
}

static bool contains(const struct crow_answer *answer, const struct crow_addr *addr)
{
	for (size_t i = 0; i < answer->count; i++)
		if (crow_addr_equal(&answer->addrs[i], addr))
			return true;
	return false;
}

/* Instances that share an address are one answer. */
static void pick_addresses(const struct crow_current *view, uint32_t service,
			   enum crow_family family, uint64_t point, struct crow_answer *out)
{
	uint32_t picks[CROW_ANSWERS_MAX];
	size_t count =
		crow_pick_several(view->image, service, family, point, picks, CROW_ANSWERS_MAX);

	for (size_t i = 0; i < count; i++) {
		const struct crow_snap_instance *instance =
			crow_image_instance(view->image, picks[i]);

		if (instance != NULL && !contains(out, &instance->addr))
			out->addrs[out->count++] = instance->addr;
	}
}

static bool answer_from(const struct crow_current *view, uint32_t index, enum crow_family family,
			enum crow_family otherwise, struct crow_answer *out)
{
	const struct crow_snap_service *service = crow_image_service(view->image, index);
	uint64_t point;

	/* With nobody to pick there is nothing to say that libc could not say better. */
	if (service == NULL || service->up4 + service->up6 == 0)
		return false;
	point = crow_current_next_point(view, index);
	out->count = 0;
	pick_addresses(view, index, family, point, out);
	if (out->count == 0 && otherwise != family)
		pick_addresses(view, index, otherwise, point, out);
	crow_recent_add(crow_names_recent(), service->key);
	return true;
}

/* One look into the current image. */
static enum crow_host_kind look_up(const char *name, enum crow_family family,
				   enum crow_family otherwise, struct crow_host *host,
				   struct crow_answer *out)
{
	struct crow_current view;

	if (!crow_current_enter(&view, CROW_CURRENT_NOW))
		return CROW_HOST_FOREIGN;
	crow_names_find(view.image, name, host);
	if (host->kind == CROW_HOST_SERVICE &&
	    !answer_from(&view, host->service, family, otherwise, out))
		host->kind = CROW_HOST_FOREIGN;
	crow_current_leave(&view);
	return host->kind;
}

static bool ask_for(const struct crow_host *host)
{
	struct crow_report report = {.kind = CROW_REPORT_WANTED, .name_length = host->length};
	int cancel;
	bool sent;

	memcpy(report.name, host->name, host->length);
	/* A thread that is cancelled in sendto() would leave the socket open. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	sent = crow_report_send(&report, crow_current_dir());
	pthread_setcancelstate(cancel, NULL);
	return sent;
}

/* Until the daemon has the name, or knows that there is none, or its time is over. The snapshot's
 * file is all that is watched: no thread, no descriptor, nothing to clean up. Its queue may be full
 * (10 datagrams by default: net.unix.max_dgram_qlen) of the questions of others: then again after
 * the next nap. */
static enum crow_host_kind wait_for(const char *name, enum crow_family family,
				    enum crow_family otherwise, struct crow_host *host,
				    struct crow_answer *out)
{
	int64_t end = now_ms() + host->timeout_ms;
	int64_t ms = FIRST_NAP_MS;
	bool asked = false;
	int64_t left;

	while (host->kind == CROW_HOST_WANTED && (left = end - now_ms()) > 0) {
		if (!asked && !(asked = ask_for(host)) && errno != EAGAIN)
			break;
		nap(ms < left ? ms : left);
		ms = ms * 2 < LAST_NAP_MS ? ms * 2 : LAST_NAP_MS;
		look_up(name, family, otherwise, host, out);
	}
	return host->kind;
}

bool crow_resolve(const char *name, enum crow_family family, enum crow_family otherwise,
		  struct crow_answer *out)
{
	int saved = errno;
	struct crow_host host;
	enum crow_host_kind kind;

	kind = look_up(name, family, otherwise, &host, out);
	if (kind == CROW_HOST_WANTED)
		kind = wait_for(name, family, otherwise, &host, out);
	if (kind == CROW_HOST_SERVICE)
		crow_trace(CROW_TRACE_DEBUG, name, " is ", host.name, NULL);
	errno = saved;
	return kind == CROW_HOST_SERVICE;
}
