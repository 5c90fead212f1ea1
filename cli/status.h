/*
 * What `status` and `watch` show: every service, its instances, and whether crowflyd runs.
 */
#ifndef CROW_STATUS_H
#define CROW_STATUS_H

#include <stdbool.h>

#include "cli/term.h"

struct crow_status {
	bool json;
	const char *dir;    /* the runtime directory */
	char **wanted;      /* services, NULL-terminated; none: all */
	bool trouble_first; /* what needs an eye before what does not; else by name */
};

/* For people. False, after a complaint, if there is no snapshot or no such service. */
bool crow_status_print(const struct crow_status *status, const struct crow_term *term);

#endif
