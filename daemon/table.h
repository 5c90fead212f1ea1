/*
 * The cache: every service with its last good list, what its polls do, and the addresses it lately
 * had (tombstones). One writer, the main thread; the DNS threads never see it, only images.
 *
 * A list once good is replaced by a good one alone. crow_table_fail() never touches it.
 */
#ifndef CROW_TABLE_H
#define CROW_TABLE_H

#include "daemon/config.h"
#include "daemon/list.h"
#include "daemon/log.h"
#include "resolver/name.h"
#include "resolver/snapshot.h"

/* How long an address that left a list is still known as its service's: long enough for a program
 * that resolved before a rolling update and connects after it. */
#define CROW_TOMBSTONE_NS (600 * INT64_C(1000000000))

enum crow_poll_outcome {
	CROW_POLL_NEVER, /* not polled yet */
	CROW_POLL_OK,
	CROW_POLL_EMPTY,
	CROW_POLL_STATUS,  /* other than 200 and 404 */
	CROW_POLL_UNKNOWN, /* 404: no such service (any more) */
	CROW_POLL_TIMEOUT,
	CROW_POLL_CONNECT,
	CROW_POLL_MALFORMED,
	CROW_POLL_OVERSIZE,
	CROW_POLL_REFUSED,
	CROW_POLL_NO_MEMORY, /* the daemon had none for the answer */
};

struct crow_tombstone {
	struct crow_addr addr;
	uint16_t port;
	int64_t until_ns;
};

/* What health keeps of a service's instances of one family; daemon/health/judge.h says what for. */
struct crow_standing {
	int64_t answered_ns;    /* when one of them last answered a probe; 0 = never */
	int64_t lost_ns;        /* since when all of them are down; 0 = they are not */
	int64_t fell_ns;        /* the lost_ns before, until the ramp after it is over; 0 = none */
	int64_t regained_ns;    /* when that ended */
	bool waits_for_witness; /* somebody is in because nobody else has answered yet */
};

#define CROW_SHARE_NEW 255

struct crow_service {
	char *name;
	const struct crow_source_config *source; /* of the table's config */
	const struct crow_service_config *config;
	bool on_demand; /* added by crow_table_add(), not by the configuration */
	bool from_state;
	bool unsaved; /* the list is not what the state directory holds; cleared by the saver */

	struct crow_list list; /* the last good one; count 0: none yet */
	int64_t taken_ns;      /* CLOCK_BOOTTIME of that list; may be < 0 */
	int64_t taken_wall_s;
	/* Of each item of the list, by what percentage of its weight it is picked: 0 = ejected. NULL:
	 * all by 100. Set by crow_table_set_shares(); when a list replaces one, items that stay keep
	 * theirs, and those that come are CROW_SHARE_NEW, which counts as 100. */
	uint8_t *shares;
	struct crow_standing standings[2]; /* IPv4, IPv6 */
	struct crow_tombstone *tombstones; /* the oldest first; at most CROW_LIST_MAX */
	size_t tombstone_count;

	enum crow_poll_outcome outcome; /* of the last poll */
	char detail[CROW_DETAIL_TEXT];  /* one sentence about it, "" if it was OK */
	int64_t polled_ns;              /* when it ended; 0 = never */
	int64_t confirmed_ns;           /* when the last good answer came; 0 = not since start */
	int64_t failing_ns;             /* since when polls fail; 0 = they do not */
	struct crow_list_tally tally;   /* of the last answer that could be read */

	int64_t news_ns; /* until when the log has heard enough of this service: see table_poll.c */
	unsigned unsaid; /* news that were not logged since */
};

/* A name that was asked on demand in vain; kind is CROW_NAME_UNKNOWN or CROW_NAME_FAILED. */
struct crow_denial {
	char name[CROW_NAME_MAX + 1];
	uint16_t kind;
	int64_t until_ns;
};

/* Told of every change that a new image must show; list_changed asks for the state file too.
 * service is NULL where the change is not one service's: a new configuration (but not the first,
 * before which there is no image), denials. */
typedef void crow_table_hook(void *context, const struct crow_service *service, bool list_changed);

struct crow_table {
	const struct crow_config *config;
	struct crow_service **services; /* sorted by name (strcmp), each name once */
	size_t count;
	struct crow_denial *denials;
	size_t denial_count;
	crow_table_hook *on_change;
	void *context;
};

void crow_table_init(struct crow_table *table, crow_table_hook *on_change, void *context);
void crow_table_fini(struct crow_table *table);

/* Takes a configuration (kept by the caller): services it names are added, services it no longer
 * names are dropped, the others keep their lists. False: no memory, and nothing has changed. */
bool crow_table_configure(struct crow_table *table, const struct crow_config *config);

struct crow_service *crow_table_find(const struct crow_table *table, const char *name);
/* Adds a service found on demand. NULL: no memory, or max-services of its source are reached. */
struct crow_service *crow_table_add(struct crow_table *table, const char *name,
				    const struct crow_source_config *source);

/* take and fail are the end of a poll and bump every polls_ and items_ counter, so that their
 * callers bump none. */

/* A good list (CROW_LIST_OK): moved out of *list, which is empty afterwards. Vanished instances
 * become tombstones. Logs the first list, and once when the service recovers from failing. Without
 * memory the poll has failed: CROW_POLL_NO_MEMORY. */
void crow_table_take(struct crow_table *table, struct crow_service *service, struct crow_list *list,
		     const struct crow_list_tally *tally, int64_t now_ns);
/* The same for a list from the state file, taken at that wall time; no poll, and nothing to save.
 * Items that the source's `accept` does not cover are left out. A list that is there stays. */
void crow_table_restore(struct crow_table *table, struct crow_service *service,
			struct crow_list *list, int64_t taken_wall_s, int64_t now_ns);
/* Everything else: keeps the last good list. Logs once for each change of outcome; detail is a
 * clause such as "discovery answered 500". tally is NULL where no list could be read. */
void crow_table_fail(struct crow_table *table, struct crow_service *service,
		     enum crow_poll_outcome outcome, const char *detail,
		     const struct crow_list_tally *tally, int64_t now_ns);

/* Health's word on the list: one percentage for each item, taken over, or NULL for 100 each. */
void crow_table_set_shares(struct crow_table *table, struct crow_service *service, uint8_t *shares);
uint8_t crow_service_share(const struct crow_service *service, size_t item);

/* The level at which news of a service are to be logged: each may say so much and no more. */
enum crow_log_level crow_service_news(struct crow_service *service, enum crow_log_level level,
				      int64_t now_ns);

/* Remembers (kind CROW_NAME_UNKNOWN or _FAILED) that a folded name was asked in vain. At most
 * CROW_DENIALS_MAX are kept; one more replaces the one that would end first. */
#define CROW_DENIALS_MAX 1024
void crow_table_deny(struct crow_table *table, const char *name, uint16_t kind, int64_t until_ns);
const struct crow_denial *crow_table_find_denial(const struct crow_table *table, const char *name);

/* Drops tombstones and denials past their time; returns when that is next due, INT64_MAX if never. */
int64_t crow_table_expire(struct crow_table *table, int64_t now_ns);

/* Calls on_change, if there is one. For table_poll.c. */
void crow_table_tell(struct crow_table *table, const struct crow_service *service,
		     bool list_changed);

const char *crow_poll_stroutcome(enum crow_poll_outcome outcome);

#endif
