/*
 * Readiness for systemd's Type=notify: the sd_notify(3) datagram, written by hand because
 * libsystemd is a large library for one sendto().
 */
#ifndef CROW_NOTIFY_H
#define CROW_NOTIFY_H

/* Sends state ("READY=1", "RELOADING=1", "STOPPING=1") to NOTIFY_SOCKET if that is set. */
void crow_notify(const char *state);

#endif
