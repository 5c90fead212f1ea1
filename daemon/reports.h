/*
 * The report socket: where readers leave hints (resolver/report.h). Main thread.
 *
 * Any local user may send, as much as he likes. In 10 ms at most 128 datagrams are taken; what is
 * beyond that stays in the kernel's queue, which holds ten or so: who sends without waiting is told
 * EAGAIN, and who waits, waits. So a flood costs the daemon a few per cent of a cpu, and the sender
 * all of its own.
 */
#ifndef CROW_REPORTS_H
#define CROW_REPORTS_H

#include <sys/types.h>

#include "daemon/loop.h"
#include "resolver/report.h"

struct crow_reports;

/* Who sent it, by the kernel's word. In another namespace: what of that is known here, or 0 and the
 * overflow uid. */
struct crow_sender {
	pid_t pid;
	uid_t uid;
};

/* Called for each datagram that is well-formed. */
typedef void crow_report_hook(void *context, const struct crow_report *report,
			      const struct crow_sender *sender);

/* Binds <dir>/report (0666: any local user may leave a hint) in place of one that a dead daemon
 * left; the caller holds the directory's lock. dir is borrowed. NULL with errno. */
struct crow_reports *crow_reports_open(struct crow_loop *loop, const char *dir,
				       crow_report_hook *on_report, void *context);
void crow_reports_close(struct crow_reports *reports);

/* Binds it again if somebody removed the file. */
void crow_reports_check(struct crow_reports *reports);

#endif
