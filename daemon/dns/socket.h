/*
 * The responder's sockets: opened and bound, or a sentence why not.
 */
#ifndef CROW_DNS_SOCKET_H
#define CROW_DNS_SOCKET_H

#include "daemon/inherit.h"

/* Bytes of the receive buffer of a UDP socket, as SO_RCVBUF counts them: 2000 queries that come at
 * the same moment, of 2304 bytes each (a network card's buffer, and the kernel's own). */
#define CROW_DNS_RECEIVE_BUFFER (2000 * 2304)

/* A bound, non-blocking socket, listening if type is SOCK_STREAM: the inherited one, or one of our
 * own. Port 0: the kernel chooses, and at->port says which. shared: further sockets will be bound
 * to the same address (workers). -1 with a sentence that names the address and the remedy. */
int crow_dns_socket(struct crow_listen *at, int type, bool shared, struct crow_inherited *inherited,
		    char *complaint, size_t complaint_size);
/* What the kernel granted. */
int crow_dns_receive_buffer(int fd);

#endif
