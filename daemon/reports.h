/*
 * The report socket: where readers leave hints (resolver/report.h). Main thread.
 */
#ifndef CROW_REPORTS_H
#define CROW_REPORTS_H

#include "daemon/loop.h"
#include "resolver/report.h"

struct crow_reports;

/* Called for each datagram that is well-formed. */
typedef void crow_report_hook(void *context, const struct crow_report *report);

/* Binds <dir>/report (0666: any local user may leave a hint) in place of one that a dead daemon
 * left; the caller holds the directory's lock. dir is borrowed. NULL with errno. */
struct crow_reports *crow_reports_open(struct crow_loop *loop, const char *dir,
				       crow_report_hook *on_report, void *context);
void crow_reports_close(struct crow_reports *reports);

/* Binds it again if somebody removed the file. */
void crow_reports_check(struct crow_reports *reports);

#endif
