/*
 * The endpoints that are worth remembering: found by address and port, and in the order in which
 * their probes are due. An endpoint that nobody ever complained of, and that DNS did not give, is
 * not in it.
 */
#ifndef CROW_BOOK_H
#define CROW_BOOK_H

#include "daemon/health/endpoint.h"

/* More are not remembered: at 100 probes a second it takes minutes to ask so many, and their states
 * take 3 MB. What is not remembered is up. */
#define CROW_BOOK_MAX 16384u

struct crow_book {
	struct crow_endpoint **buckets; /* chains by hash */
	struct crow_endpoint **heap;    /* those that are due at some time, the earliest first */
	size_t bucket_count, heap_count;
	struct crow_endpoint **all; /* in no order */
	size_t count;
};

bool crow_book_init(struct crow_book *book);
void crow_book_fini(struct crow_book *book);

struct crow_endpoint *crow_book_find(const struct crow_book *book, const struct crow_addr *addr,
				     uint16_t port);
/* Finds it, or adds one that is UP. NULL: the book is full, or there is no memory. */
struct crow_endpoint *crow_book_note(struct crow_book *book, const struct crow_addr *addr,
				     uint16_t port, int64_t now_ns);
void crow_book_forget(struct crow_book *book, struct crow_endpoint *endpoint);

/* CROW_ENDPOINT_NEVER takes it out of the order. */
void crow_book_set_due(struct crow_book *book, struct crow_endpoint *endpoint, int64_t due_ns);
/* The one that is due first, NULL if none is. */
struct crow_endpoint *crow_book_first(const struct crow_book *book);

#endif
