#include "daemon/saver.h"

#include <errno.h>
#include <string.h>

#include "daemon/counters.h"
#include "daemon/log.h"
#include "daemon/state.h"

/* The loop stands still while a list is saved. A pause as long as that leaves half of the time to
 * polls, publishing and pages, on a disk of any speed. */
#define PAUSE_SAVES 1

/* A disk that was full, or a directory that was missing: somebody has to come and mend it. */
#define RETRY_NS (60 * INT64_C(1000000000))

static void on_due(struct crow_timer *timer, int64_t now_ns);

void crow_saver_init(struct crow_saver *saver, struct crow_loop *loop, struct crow_table *table,
		     const char *dir)
{
	*saver = (struct crow_saver){
		.loop = loop, .table = table, .dir = dir, .timer.on_due = on_due};
}

static void warn(struct crow_saver *saver)
{
	int error = errno;

	if (!crow_log_hourly(&saver->warned_ns, crow_now_ns()))
		return;
	saver->failing = true;
	crow_log(CROW_LOG_WARNING,
		 "cannot save lists in %s: %s; everything goes on, and saving is tried again every "
		 "minute, but a restart while discovery is down would start from older lists",
		 saver->dir, strerror(error));
}

static void save(struct crow_saver *saver, struct crow_service *service)
{
	/* The directory may have been removed since, or its parent may be there by now. */
	if (crow_state_open(saver->dir) && crow_state_save(saver->dir, service)) {
		service->unsaved = false;
		crow_count(states_saved);
		return;
	}
	crow_count(states_unsaved);
	warn(saver);
}

/* From saver->next on; NULL at the end of the table. */
static struct crow_service *next_unsaved(struct crow_saver *saver)
{
	while (saver->next < saver->table->count) {
		struct crow_service *service = saver->table->services[saver->next++];

		if (service->unsaved)
			return service;
	}
	saver->next = 0;
	return NULL;
}

static void end_round(struct crow_saver *saver)
{
	bool again = saver->again;

	saver->again = false;
	if (next_unsaved(saver) != NULL) {
		saver->next = 0;
		crow_timer_set(saver->loop, &saver->timer, crow_now_ns() + (again ? 0 : RETRY_NS));
	} else if (saver->failing) {
		saver->failing = false;
		crow_log(CROW_LOG_INFO, "all lists are saved in %s again", saver->dir);
	}
}

static void on_due(struct crow_timer *timer, int64_t now_ns)
{
	struct crow_saver *saver = crow_container(timer, struct crow_saver, timer);
	struct crow_service *service = next_unsaved(saver);
	int64_t start_ns = crow_now_ns(), end_ns;

	(void)now_ns;
	if (service == NULL) {
		end_round(saver);
		return;
	}
	save(saver, service);
	end_ns = crow_now_ns();
	crow_timer_set(saver->loop, timer, end_ns + PAUSE_SAVES * (end_ns - start_ns));
}

void crow_saver_schedule(struct crow_saver *saver)
{
	if (saver->next > 0)
		saver->again = true;
	else
		crow_timer_set(saver->loop, &saver->timer, crow_now_ns());
}

void crow_saver_flush(struct crow_saver *saver)
{
	struct crow_service *service;

	crow_timer_clear(saver->loop, &saver->timer);
	saver->next = 0;
	while ((service = next_unsaved(saver)) != NULL)
		save(saver, service);
}
