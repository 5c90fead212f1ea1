#include "daemon/reports.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/counters.h"
#include "daemon/log.h"

/* Datagrams taken in one turn of the loop: a flood must leave room for polls and publishing. */
#define BATCH 64

struct crow_reports {
	struct crow_watch watch;
	struct crow_loop *loop;
	struct sockaddr_un address;
	struct stat identity; /* of the socket's file */
	crow_report_hook *on_report;
	void *context;
};

static void take(struct crow_reports *reports, const uint8_t *bytes, size_t size)
{
	struct crow_report report;

	if (!crow_report_decode(bytes, size, &report)) {
		crow_count(reports_malformed);
		return;
	}
	if (report.kind == CROW_REPORT_FAILED)
		crow_count(reports_failed);
	else
		crow_count(reports_wanted);
	reports->on_report(reports->context, &report);
}

static void on_ready(struct crow_watch *watch, uint32_t events)
{
	struct crow_reports *reports = (void *)watch; /* its first member */
	uint8_t bytes[CROW_REPORT_MAX_SIZE + 1];      /* a longer one shows by its last byte */

	(void)events;
	for (int i = 0; i < BATCH; i++) {
		ssize_t size = recv(watch->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

		if (size < 0)
			return;
		take(reports, bytes, (size_t)size);
	}
}

static bool listen_on(struct crow_reports *reports)
{
	const char *path = reports->address.sun_path;
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return false;
	unlink(path);
	if (bind(fd, (struct sockaddr *)&reports->address, sizeof(reports->address)) == 0 &&
	    chmod(path, 0666) == 0 && stat(path, &reports->identity) == 0) {
		reports->watch.fd = fd;
		if (crow_loop_add(reports->loop, &reports->watch, EPOLLIN) == 0)
			return true;
	}
	int saved = errno;

	reports->watch.fd = -1;
	close(fd);
	errno = saved;
	return false;
}

static void stop_listening(struct crow_reports *reports)
{
	if (reports->watch.fd < 0)
		return;
	crow_loop_remove(reports->loop, &reports->watch);
	close(reports->watch.fd);
	reports->watch.fd = -1;
}

struct crow_reports *crow_reports_open(struct crow_loop *loop, const char *dir,
				       crow_report_hook *on_report, void *context)
{
	struct crow_reports *reports = calloc(1, sizeof(*reports));
	size_t room = sizeof(reports->address.sun_path);
	int saved = ENAMETOOLONG;

	if (reports == NULL)
		return NULL;
	reports->watch = (struct crow_watch){.fd = -1, .on_ready = on_ready};
	reports->loop = loop;
	reports->on_report = on_report;
	reports->context = context;
	reports->address.sun_family = AF_UNIX;
	if (strlen(dir) + sizeof("/" CROW_REPORT_FILE) <= room) {
		strcpy(reports->address.sun_path, dir);
		strcat(reports->address.sun_path, "/" CROW_REPORT_FILE);
		if (listen_on(reports))
			return reports;
		saved = errno;
	}
	free(reports);
	errno = saved;
	return NULL;
}

void crow_reports_close(struct crow_reports *reports)
{
	if (reports == NULL)
		return;
	stop_listening(reports);
	unlink(reports->address.sun_path);
	free(reports);
}

void crow_reports_check(struct crow_reports *reports)
{
	struct stat st;

	if (reports->watch.fd >= 0 && stat(reports->address.sun_path, &st) == 0 &&
	    st.st_ino == reports->identity.st_ino && st.st_dev == reports->identity.st_dev)
		return;
	stop_listening(reports);
	if (listen_on(reports))
		crow_log(CROW_LOG_INFO, "%s was gone; the report socket is back",
			 reports->address.sun_path);
}
