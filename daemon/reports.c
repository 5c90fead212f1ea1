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

/* Datagrams taken in a window. One costs some 5 us, most of it for waking up, so that a flood takes
 * 6 % of a cpu; and 100 processes that meet a dead instance in the same moment are heard at once. */
#define WINDOW_MAX 128
#define WINDOW_NS  (10 * INT64_C(1000000))

struct datagram {
	uint8_t bytes[CROW_REPORT_MAX_SIZE + 1]; /* a longer one shows by its last byte */
	_Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(struct ucred))];
	struct iovec vector;
};

struct crow_reports {
	struct crow_watch watch;
	struct crow_loop *loop;
	struct crow_timer pause; /* armed while nothing is taken, until the window is over */
	int64_t window_ns;       /* when the window began */
	unsigned taken;          /* in it */
	struct mmsghdr headers[BATCH];
	struct datagram datagrams[BATCH];
	struct sockaddr_un address;
	struct stat identity; /* of the socket's file */
	crow_report_hook *on_report;
	void *context;
};

/* The kernel's word on who sent it (SO_PASSCRED, unix(7)). */
static struct crow_sender sender_of(struct msghdr *header)
{
	struct cmsghdr *control = CMSG_FIRSTHDR(header);
	struct ucred credentials = {.uid = (uid_t)-1};

	if (control != NULL && control->cmsg_level == SOL_SOCKET &&
	    control->cmsg_type == SCM_CREDENTIALS)
		memcpy(&credentials, CMSG_DATA(control), sizeof(credentials));
	return (struct crow_sender){credentials.pid, credentials.uid};
}

static void take(struct crow_reports *reports, struct mmsghdr *received)
{
	struct crow_sender sender = sender_of(&received->msg_hdr);
	const uint8_t *bytes = received->msg_hdr.msg_iov->iov_base;
	struct crow_report report;

	if (!crow_report_decode(bytes, received->msg_len, &report)) {
		crow_count(reports_malformed);
		return;
	}
	if (report.kind == CROW_REPORT_FAILED)
		crow_count(reports_failed);
	else
		crow_count(reports_wanted);
	reports->on_report(reports->context, &report, &sender);
}

static void prepare(struct mmsghdr *header, struct datagram *datagram)
{
	datagram->vector = (struct iovec){datagram->bytes, sizeof(datagram->bytes)};
	header->msg_hdr = (struct msghdr){
		.msg_iov = &datagram->vector,
		.msg_iovlen = 1,
		.msg_control = datagram->control,
		.msg_controllen = sizeof(datagram->control),
	};
}

/* False if the window has had its share: then nothing is taken until it is over. */
static bool has_room(struct crow_reports *reports)
{
	int64_t now_ns = crow_now_ns();

	if (now_ns - reports->window_ns >= WINDOW_NS) {
		reports->window_ns = now_ns;
		reports->taken = 0;
	}
	if (reports->taken < WINDOW_MAX)
		return true;
	crow_count(reports_shed);
	crow_loop_modify(reports->loop, &reports->watch, 0);
	crow_timer_set(reports->loop, &reports->pause, reports->window_ns + WINDOW_NS);
	return false;
}

static void on_pause_over(struct crow_timer *timer, int64_t now_ns)
{
	struct crow_reports *reports = crow_container(timer, struct crow_reports, pause);

	(void)now_ns;
	if (reports->watch.fd >= 0)
		crow_loop_modify(reports->loop, &reports->watch, EPOLLIN);
}

static void on_ready(struct crow_watch *watch, uint32_t events)
{
	struct crow_reports *reports = crow_container(watch, struct crow_reports, watch);
	int count;

	(void)events;
	if (!has_room(reports))
		return;
	for (int i = 0; i < BATCH; i++)
		prepare(&reports->headers[i], &reports->datagrams[i]);
	count = recvmmsg(watch->fd, reports->headers, BATCH, MSG_DONTWAIT, NULL);
	for (int i = 0; i < count; i++)
		take(reports, &reports->headers[i]);
	reports->taken += count > 0 ? (unsigned)count : 0;
}

static bool listen_on(struct crow_reports *reports)
{
	const char *path = reports->address.sun_path;
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const int on = 1;

	if (fd < 0)
		return false;
	unlink(path);
	if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) == 0 &&
	    bind(fd, (struct sockaddr *)&reports->address, sizeof(reports->address)) == 0 &&
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
	crow_timer_clear(reports->loop, &reports->pause);
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
	reports->pause.on_due = on_pause_over;
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
