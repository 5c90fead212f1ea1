/*
 * A list of instances as discovery sent it, after the rules: sorted by family, address and port,
 * without duplicates, weights 0 to 1,000,000. How it is read from JSON is list_json.c's.
 */
#ifndef CROW_LIST_H
#define CROW_LIST_H

#include "daemon/config.h"
#include "resolver/address.h"

/* More is refused (100,000 are the goal); bounds memory against a hostile answer. */
#define CROW_LIST_MAX 262144u

#define CROW_WEIGHT_MAX 1000000u

struct crow_item {
	struct crow_addr addr;
	uint16_t port;
	uint16_t app;    /* index into the list's apps */
	uint32_t weight; /* 0 = drained */
};

/* All zero is an initialised list. A list without items may have no apps either. */
struct crow_list {
	struct crow_item *items;
	size_t count, capacity;
	char **apps; /* apps[0] is "" */
	size_t app_count;
	uint32_t *app_slots; /* list.c's own, while items are added: index + 1 into apps */
	size_t app_slot_count;
};

/* What the rules did to a list. */
struct crow_list_tally {
	size_t seen;    /* items in the answer */
	size_t dropped; /* wrong type, port, address, weight */
	size_t outside; /* address not covered by `accept`, or never acceptable; counts as bad too */
	size_t merged;
	size_t clamped;
	char example[160]; /* the first bad item and why, or why the whole is malformed; else "" */
};

enum crow_list_verdict {
	CROW_LIST_OK,        /* at least one instance with weight > 0 */
	CROW_LIST_EMPTY,     /* no items */
	CROW_LIST_DRAINED,   /* all weights 0 */
	CROW_LIST_REFUSED,   /* more than half of the items bad */
	CROW_LIST_MALFORMED, /* not JSON, or not of this shape */
	CROW_LIST_OVERSIZE,  /* more than CROW_LIST_MAX items */
	CROW_LIST_NO_MEMORY,
};

void crow_list_init(struct crow_list *list);
void crow_list_fini(struct crow_list *list);

/* IPv4 first, then by address, then by port: the order of a finished list. */
int crow_item_compare(const struct crow_item *a, const struct crow_item *b);

/* Adds an item as it is, without the rules. The label (NULL: none) is kept as printable ASCII of at
 * most 128 bytes; a list has at most 65535 labels, what is beyond gets "". False: no memory. */
bool crow_list_append(struct crow_list *list, const struct crow_addr *addr, uint16_t port,
		      uint32_t weight, const char *app);

/* Adds an item as it was read; weight is a number as JSON had it. Applies the rules of one item
 * and counts into tally. False only without memory. */
bool crow_list_add(struct crow_list *list, const struct crow_cidrs *accept, const char *ip,
		   int64_t port, double weight, const char *app, struct crow_list_tally *tally);

/* Counts an item that could not even be read as dropped; the format says why. */
void crow_list_drop(struct crow_list_tally *tally, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Sorts, merges (the last one's weight wins), and gives the verdict over the whole. A verdict other
 * than OK and DRAINED leaves the list empty. */
enum crow_list_verdict crow_list_finish(struct crow_list *list, struct crow_list_tally *tally);

/* The example, and if there are addresses outside of `accept`, what lets them in: the option is of
 * the source of that name. */
#define CROW_LIST_REASON 320 /* an example, the longest name of a source, and the words */
#define CROW_DETAIL_TEXT 400 /* of a poll: where, which is cut, and such a reason */
void crow_list_explain(const struct crow_list_tally *tally, const char *source,
		       char out[CROW_LIST_REASON]);

/* Where an endpoint stands in a finished list; its count if it does not. */
size_t crow_list_find(const struct crow_list *list, const struct crow_addr *addr, uint16_t port);

/* True if both hold the same instances with the same weights and labels (after finish). */
bool crow_list_equal(const struct crow_list *a, const struct crow_list *b);

/* Whether an address may be an instance: covered by accept, or accept is empty (or NULL) and it is
 * none of 0/8, 127/8, 169.254/16, multicast, ::, ::1, fe80::/10. */
bool crow_list_accepts(const struct crow_cidrs *accept, const struct crow_addr *addr);

/* Reads the platform's JSON ({"endpoints":{"items":[{"app","ip","port","weight"}]}}) into an
 * empty list: add and finish of all of it. The tally is zeroed first. A null where the items
 * should be is a list without items; anything else but an array there is malformed. */
enum crow_list_verdict crow_list_read_json(struct crow_list *list, const char *json, size_t size,
					   const struct crow_cidrs *accept,
					   struct crow_list_tally *tally);
const char *crow_list_strverdict(enum crow_list_verdict verdict);

#endif
