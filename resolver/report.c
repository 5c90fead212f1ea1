#include "resolver/report.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#define HEAD 32 /* bytes before the name; the fields of struct head */

struct head {
	uint16_t version;
	uint16_t kind;
	uint32_t error;
	uint32_t elapsed_us;
	uint16_t port;
	uint16_t name_length;
	uint8_t addr[16];
};
static_assert(sizeof(struct head) == HEAD, "no padding: part of the datagram's layout");
static_assert(HEAD + CROW_NAME_MAX == CROW_REPORT_MAX_SIZE, "the size that callers reserve");

size_t crow_report_encode(const struct crow_report *report, uint8_t out[CROW_REPORT_MAX_SIZE])
{
	struct head head = {
		.version = CROW_REPORT_VERSION,
		.kind = (uint16_t)report->kind,
		.error = report->error,
		.elapsed_us = report->elapsed_us,
		.port = report->port,
		.name_length = (uint16_t)report->name_length,
	};

	memcpy(head.addr, report->addr.bytes, sizeof(head.addr));
	memcpy(out, &head, HEAD);
	memcpy(out + HEAD, report->name, report->name_length);
	return HEAD + report->name_length;
}

bool crow_report_decode(const uint8_t *bytes, size_t size, struct crow_report *out)
{
	struct head head;

	if (size < HEAD)
		return false;
	memcpy(&head, bytes, HEAD);
	if (head.version != CROW_REPORT_VERSION || head.name_length == 0 ||
	    head.name_length > CROW_NAME_MAX || size != HEAD + (size_t)head.name_length ||
	    memchr(bytes + HEAD, '\0', head.name_length) != NULL)
		return false;
	if (head.kind != CROW_REPORT_FAILED && head.kind != CROW_REPORT_WANTED)
		return false;
	*out = (struct crow_report){
		.kind = head.kind,
		.addr = crow_addr_v6(head.addr),
		.port = head.port,
		.error = head.error,
		.elapsed_us = head.elapsed_us,
		.name_length = head.name_length,
	};
	memcpy(out->name, bytes + HEAD, head.name_length);
	return true;
}

bool crow_report_send(const struct crow_report *report, const char *dir)
{
	static const char name[] = "/" CROW_REPORT_FILE;
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	uint8_t bytes[CROW_REPORT_MAX_SIZE];
	size_t len = strlen(dir);
	int fd, saved;
	ssize_t sent;

	errno = ENAMETOOLONG;
	if (len + sizeof(name) > sizeof(to.sun_path))
		return false;
	memcpy(to.sun_path, dir, len);
	memcpy(to.sun_path + len, name, sizeof(name));
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return false;
	sent = sendto(fd, bytes, crow_report_encode(report, bytes), MSG_DONTWAIT | MSG_NOSIGNAL,
		      (struct sockaddr *)&to, sizeof(to));
	saved = errno;
	close(fd);
	errno = saved;
	return sent >= 0;
}
