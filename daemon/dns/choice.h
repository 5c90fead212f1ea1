/*
 * Choosing: which instances of a service an answer names, the weighted pick first. Pure.
 *
 * The state of instances decides first. Those that may be picked are what there is; where there are
 * none, all that are ejected (Route 53's rule: health that condemns everything knows nothing). What
 * is drained is never named; a list of nothing else is no list (daemon/list.h).
 */
#ifndef CROW_CHOICE_H
#define CROW_CHOICE_H

#include "daemon/dns/settings.h"
#include "resolver/pick.h"

/* Up to want different instances; want is at most CROW_PICK_SEVERAL_MAX, here and below. */
size_t crow_choice_instances(const struct crow_image *img, uint32_t service,
			     enum crow_family family, uint64_t seq, size_t want, uint32_t *out);

/* Instances, as indices into the image, and their addresses. */
struct crow_choice {
	size_t count;
	uint32_t instances[CROW_PICK_SEVERAL_MAX];
	struct crow_addr addrs[CROW_PICK_SEVERAL_MAX];
};

/* Up to want instances of a family on different addresses, none of which a stub resolver of this
 * host would put before the first (host.h): so what it uses first keeps the weights, and it has
 * others to fall back on. */
void crow_choice_addresses(const struct crow_image *img, uint32_t service, enum crow_family family,
			   const struct crow_answer_settings *settings, size_t want,
			   struct crow_choice *out);

#endif
