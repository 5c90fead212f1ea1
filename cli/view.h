/*
 * What `status` and `lookup` share: the snapshot they look at, and its values in words.
 */
#ifndef CROW_VIEW_H
#define CROW_VIEW_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "cli/story.h"
#include "cli/term.h"
#include "resolver/attach.h"

#define CROW_RUNTIME_DIR "/run/crowfly"

/* The option's value if given, else CROWFLY_RUNTIME_DIR, else /run/crowfly. */
const char *crow_view_dir(const char *option);

/* Loads the snapshot. False if there is none that can be used: the reason and the next step are in
 * complaint. */
#define CROW_VIEW_COMPLAINT (2 * PATH_MAX + 256)
bool crow_view_try(struct crow_copy *copy, const char *dir, char complaint[CROW_VIEW_COMPLAINT]);

/* The same, and the complaint is made. */
bool crow_view_load(struct crow_copy *copy, const char *dir);

/* The zone's name of a service; "" if the file lies. */
const char *crow_view_zone(const struct crow_image *img, const struct crow_snap_service *service);

/* Whether no list of it has come yet, so that its names do not resolve. */
bool crow_view_is_waiting(const struct crow_snap_service *service);

/* Whether a service goes by this name: its name in discovery, or one of its DNS names. */
bool crow_view_is_named(const struct crow_image *img, uint32_t index, const char *name);

/* Whether crowflyd holds <dir>/lock. Asks without taking the lock, so that a daemon that starts at
 * this moment is not turned away. */
bool crow_view_daemon_lives(const char *dir);

/* "up", "drained", "ejected". */
const char *crow_view_state(const struct crow_snap_instance *instance);
enum crow_tint crow_view_tint(const struct crow_snap_instance *instance);

/* Which part of the picks an instance gets, in per cent. */
double crow_view_share(const struct crow_snap_service *service,
		       const struct crow_snap_instance *instance);

/* Whole seconds since then (CLOCK_BOOTTIME), never negative. */
int64_t crow_view_seconds_since(int64_t boot_ns);

/* "4 s", "12 min", "3 h", "9 d"; seconds are not negative. */
#define CROW_AGE_TEXT 32
void crow_view_age(int64_t seconds, char out[CROW_AGE_TEXT]);

/* {"address":...,"port":...,"weight":...,"share":...,"state":...,"app":...}; what the daemon told of
 * it (NULL: nothing) adds since_s, given and why. */
void crow_view_json_instance(FILE *out, const struct crow_image *img,
			     const struct crow_snap_service *service,
			     const struct crow_snap_instance *instance,
			     const struct crow_story_instance *told);

/* A table of instances: a head, then a row each. told as above, for all rows or none. */
void crow_view_put_head(const struct crow_term *term, bool told);
void crow_view_put_instance(const struct crow_term *term, const struct crow_image *img,
			    const struct crow_snap_service *service,
			    const struct crow_snap_instance *instance,
			    const struct crow_story_instance *told);

#endif
