/*
 * What readers send to the daemon: one datagram to <runtime-dir>/report, never answered. Hints
 * from any local user: the daemon believes none of it unproven.
 *
 * Layout (host byte order, as the snapshot): the fields below in this order without padding, then
 * name_length bytes of name. crow_report_decode() refuses every other length, kind and version.
 */
#ifndef CROW_REPORT_H
#define CROW_REPORT_H

#include "resolver/address.h"
#include "resolver/name.h"

#define CROW_REPORT_FILE     "report"
#define CROW_REPORT_VERSION  1
#define CROW_REPORT_MAX_SIZE (32 + CROW_NAME_MAX)

enum crow_report_kind {
	CROW_REPORT_FAILED =
		1,          /* connect() to an instance failed: all fields; name is the service */
	CROW_REPORT_WANTED, /* a name below an on-demand zone that the snapshot lacks: name only */
};

struct crow_report {
	enum crow_report_kind kind;
	struct crow_addr addr;
	uint16_t port;
	uint32_t error;      /* errno of the attempt */
	uint32_t elapsed_us; /* from the attempt's start to its failure */
	size_t name_length;
	char name[CROW_NAME_MAX + 1]; /* NUL-terminated */
};

/* Writes the datagram to out and returns its size. */
size_t crow_report_encode(const struct crow_report *report, uint8_t out[CROW_REPORT_MAX_SIZE]);
bool crow_report_decode(const uint8_t *bytes, size_t size, struct crow_report *out);

/* Sends it to <dir>/report without waiting; the socket is closed at once. False if nobody took it:
 * errno EAGAIN if the daemon has its queue full, else there is none to ask. Safe in signal
 * handlers; errno is clobbered. */
bool crow_report_send(const struct crow_report *report, const char *dir);

#endif
