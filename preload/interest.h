/*
 * What the program has registered in its epoll sets (epoll(7): their interest lists), to know its
 * events again: an event carries the program's own data, and nothing else of the descriptor.
 *
 * A record of the last registrations, which loses some: another descriptor's takes its place, and
 * one made past epoll_ctl() (io_uring) never comes here. The kernel's own list, in /proc, has all,
 * also those of a duplicate of the descriptor, and costs up to 2 us a line.
 */
#ifndef CROW_INTEREST_H
#define CROW_INTEREST_H

#include <stdbool.h>
#include <stdint.h>

struct crow_interest {
	int fd; /* as it was registered */
	uint32_t events;
	uint64_t data;
};

/* After a successful epoll_ctl(). events: as the kernel keeps them. */
void crow_interest_record(int epfd, int op, int fd, uint32_t events, uint64_t data);

/* The record of the descriptor. */
bool crow_interest_recall(int epfd, int fd, struct crow_interest *out);

/* From the kernel: a registration with that data of the same socket as fd. Where an event has
 * disarmed it (EPOLLONESHOT), its events are flags alone. False too if there is no /proc. */
bool crow_interest_look_up(int epfd, int fd, uint64_t data, struct crow_interest *out);

#endif
