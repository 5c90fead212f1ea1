/*
 * The responder's sockets: opened and bound, or a sentence why not.
 */
#ifndef CROW_DNS_SOCKET_H
#define CROW_DNS_SOCKET_H

#include "daemon/config.h"

/* A bound, non-blocking socket, listening if type is SOCK_STREAM. Port 0: the kernel chooses, and
 * at->port says which. shared: further sockets will be bound to the same address (workers).
 * -1 with a sentence that names the address and the remedy. */
int crow_dns_socket(struct crow_listen *at, int type, bool shared, char *complaint,
		    size_t complaint_size);

#endif
