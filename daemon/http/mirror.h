/*
 * The mirror: the discovery API served again, in the platform's own shape, for programs that use an
 * SDK of the platform. What an SDK of any kind may choke on is not in it: weights are integers of 1
 * to 1,000,000, nothing is null, and no list is empty. Who is ejected is withheld, but never more
 * than half: health may be wrong, and an SDK has nothing else to go by.
 */
#ifndef CROW_HTTP_MIRROR_H
#define CROW_HTTP_MIRROR_H

#include "daemon/http/body.h"
#include "daemon/http/view.h"

/* What a service shows of itself; indices into the image, in its order. */
struct crow_mirror {
	uint32_t *instances;
	size_t count;
	char etag[32]; /* of the set, whatever its order: weak (RFC 9110 8.8.1) */
};

/* The service has a list. False: no memory. */
bool crow_mirror_init(struct crow_mirror *mirror, const struct crow_view *view,
		      const struct crow_view_service *service);
void crow_mirror_fini(struct crow_mirror *mirror);

/* True if the value of If-None-Match (NULL: missing) names this set. */
bool crow_mirror_is_known(const struct crow_mirror *mirror, const char *if_none_match);

/* The document, beginning at another instance each turn: SDKs that all start with the first one do
 * not all start with the same. NULL: no memory. */
struct crow_body *crow_mirror_render(const struct crow_mirror *mirror, const struct crow_view *view,
				     const struct crow_view_service *service, uint64_t turn);

/* A service in discovery may have this name. */
bool crow_mirror_is_name(const char *name);

#endif
