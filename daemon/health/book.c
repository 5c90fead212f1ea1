#include "daemon/health/book.h"

#include <stdlib.h>

#define NOT_IN_HEAP SIZE_MAX

bool crow_book_init(struct crow_book *book)
{
	/* Whole at once, 384 kB, of which only what is used becomes memory. */
	*book = (struct crow_book){.bucket_count = CROW_BOOK_MAX};
	book->buckets = calloc(CROW_BOOK_MAX, sizeof(struct crow_endpoint *));
	book->heap = calloc(CROW_BOOK_MAX, sizeof(struct crow_endpoint *));
	book->all = calloc(CROW_BOOK_MAX, sizeof(struct crow_endpoint *));
	if (book->buckets != NULL && book->heap != NULL && book->all != NULL)
		return true;
	crow_book_fini(book);
	return false;
}

void crow_book_fini(struct crow_book *book)
{
	while (book->count > 0)
		free(book->all[--book->count]);
	free(book->buckets);
	free(book->heap);
	free(book->all);
	*book = (struct crow_book){0};
}

static struct crow_endpoint **chain_of(const struct crow_book *book, const struct crow_addr *addr,
				       uint16_t port)
{
	return &book->buckets[(crow_addr_hash(addr) ^ port) & (book->bucket_count - 1)];
}

struct crow_endpoint *crow_book_find(const struct crow_book *book, const struct crow_addr *addr,
				     uint16_t port)
{
	struct crow_endpoint *at = *chain_of(book, addr, port);

	while (at != NULL && (at->port != port || !crow_addr_equal(&at->addr, addr)))
		at = at->next;
	return at;
}

struct crow_endpoint *crow_book_note(struct crow_book *book, const struct crow_addr *addr,
				     uint16_t port, int64_t now_ns)
{
	struct crow_endpoint *endpoint = crow_book_find(book, addr, port);
	struct crow_endpoint **chain = chain_of(book, addr, port);

	if (endpoint != NULL || book->count == CROW_BOOK_MAX)
		return endpoint;
	endpoint = malloc(sizeof(*endpoint));
	if (endpoint == NULL)
		return NULL;
	*endpoint = (struct crow_endpoint){
		.addr = *addr,
		.port = port,
		.due_ns = CROW_ENDPOINT_NEVER,
		.told_ns = now_ns,
		.heap_index = NOT_IN_HEAP,
		.all_index = book->count,
		.next = *chain,
	};
	*chain = endpoint;
	book->all[book->count++] = endpoint;
	return endpoint;
}

void crow_book_forget(struct crow_book *book, struct crow_endpoint *endpoint)
{
	struct crow_endpoint **at = chain_of(book, &endpoint->addr, endpoint->port);

	crow_book_set_due(book, endpoint, CROW_ENDPOINT_NEVER);
	while (*at != endpoint)
		at = &(*at)->next;
	*at = endpoint->next;
	book->count--;
	book->all[endpoint->all_index] = book->all[book->count];
	book->all[endpoint->all_index]->all_index = endpoint->all_index;
	free(endpoint);
}

/* ---- the heap: each due no later than the two below it ---- */

static void place(struct crow_book *book, size_t at, struct crow_endpoint *endpoint)
{
	book->heap[at] = endpoint;
	endpoint->heap_index = at;
}

static void sift_up(struct crow_book *book, size_t at)
{
	struct crow_endpoint *endpoint = book->heap[at];

	while (at > 0 && book->heap[(at - 1) / 2]->due_ns > endpoint->due_ns) {
		place(book, at, book->heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	place(book, at, endpoint);
}

static void sift_down(struct crow_book *book, size_t at)
{
	struct crow_endpoint *endpoint = book->heap[at];

	for (;;) {
		size_t below = 2 * at + 1;

		if (below + 1 < book->heap_count &&
		    book->heap[below + 1]->due_ns < book->heap[below]->due_ns)
			below++;
		if (below >= book->heap_count || book->heap[below]->due_ns >= endpoint->due_ns)
			break;
		place(book, at, book->heap[below]);
		at = below;
	}
	place(book, at, endpoint);
}

static void take_out(struct crow_book *book, struct crow_endpoint *endpoint)
{
	size_t at = endpoint->heap_index;
	struct crow_endpoint *last = book->heap[--book->heap_count];

	endpoint->heap_index = NOT_IN_HEAP;
	if (last == endpoint)
		return;
	place(book, at, last);
	sift_up(book, at);
	sift_down(book, last->heap_index);
}

void crow_book_set_due(struct crow_book *book, struct crow_endpoint *endpoint, int64_t due_ns)
{
	if (endpoint->heap_index != NOT_IN_HEAP)
		take_out(book, endpoint);
	endpoint->due_ns = due_ns;
	if (due_ns == CROW_ENDPOINT_NEVER)
		return;
	place(book, book->heap_count++, endpoint);
	sift_up(book, endpoint->heap_index);
}

struct crow_endpoint *crow_book_first(const struct crow_book *book)
{
	return book->heap_count > 0 ? book->heap[0] : NULL;
}
