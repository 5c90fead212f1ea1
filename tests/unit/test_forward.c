/*
 * Forwarding without memory: the n-th allocation fails, for every n, and whoever asks is still told
 * something. As in test_out_of_memory.c, this program's malloc() stands in front of libc's for all
 * code in it, c-ares included.
 */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/dns/forward.h"
#include "daemon/dns/question.h"
#include "daemon/log.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#endif

#define FLAG_RD 0x0100

/* How many allocations are still granted; negative: all of them. */
static long granted = -1;
static bool refused, lasting;

#ifndef SANITIZED

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *block, size_t size);

static bool refuses(void)
{
	if (granted < 0 || granted-- > 0)
		return false;
	granted = lasting ? 0 : -1;
	refused = true;
	errno = ENOMEM;
	return true;
}

void *malloc(size_t size)
{
	return refuses() ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	return refuses() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *block, size_t size)
{
	return refuses() ? NULL : __libc_realloc(block, size);
}

#endif

static struct crow_loop *loop;
static unsigned told, rcode;

static void deliver(const struct crow_asker *asker, const uint8_t *reply, size_t size)
{
	(void)asker;
	assert_true(size >= CROW_WIRE_HEADER);
	told++;
	rcode = reply[3] & 15;
	crow_loop_stop(loop);
}

static void on_too_late(struct crow_timer *timer, int64_t now_ns)
{
	(void)timer;
	(void)now_ns;
	crow_loop_stop(loop);
}

/* Of nobody: the network says so at once. */
static uint16_t find_closed_port(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(at);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&at, size), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
	close(fd);
	return ntohs(at.sin_port);
}

/* Asks once, with `n` allocations granted, and waits for what is told. */
static void ask(struct crow_upstreams *upstreams, long n)
{
	static const struct crow_asker asker = {.deliver = deliver};
	struct crow_timer patience = {.on_due = on_too_late};
	uint8_t bytes[CROW_QUERY_UDP_MAX];
	struct crow_reply reply = {.bytes = bytes, .capacity = sizeof(bytes)};
	struct crow_forward *forward;
	struct crow_query query;

	crow_question_make(&query, "www.example.com", 1);
	query.flags = FLAG_RD;
	query.limit = CROW_QUERY_UDP_MIN;
	granted = n;
	refused = false;
	told = 0;
	forward = crow_forward_new(loop, 10);
	if (!forward)
		return;
	crow_forward_offer(forward, upstreams);
	crow_forward_update(forward);
	if (crow_forward_ask(forward, &query, &asker, 0, &reply)) {
		rcode = bytes[3] & 15;
	} else {
		crow_timer_set(loop, &patience, crow_now_ns() + INT64_C(20000000000));
		crow_loop_run(loop);
		crow_timer_clear(loop, &patience);
		assert_int_equal(told, 1);
	}
	granted = -1;
	assert_true(rcode == CROW_RCODE_SERVFAIL || rcode == CROW_RCODE_REFUSED);
	crow_forward_free(forward);
}

static void test_every_allocation(bool all_that_follow)
{
	struct crow_listen at = {crow_addr_v4("\x7f\0\0\1"), find_closed_port()};
	const struct crow_listens servers = {&at, 1}, nowhere = {0};
	struct crow_upstreams *upstreams;
	long n = 0;

#ifdef SANITIZED
	print_message("skipped: the sanitizer has a malloc() of its own\n");
	skip();
#endif
	upstreams = crow_upstreams_new(&servers, &nowhere, NULL);
	loop = crow_loop_new();
	lasting = all_that_follow;
	do
		ask(upstreams, n++);
	while (refused);
	assert_true(n > 10);
	assert_int_equal(rcode, CROW_RCODE_SERVFAIL); /* memory or not, nobody is there */
	granted = -1;
	crow_loop_free(loop);
	crow_upstreams_release(upstreams);
}

static void test_one_allocation_fails(void **state)
{
	(void)state;
	test_every_allocation(false);
}

static void test_all_from_one_on_fail(void **state)
{
	(void)state;
	test_every_allocation(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_allocation_fails),
		cmocka_unit_test(test_all_from_one_on_fail),
	};

	crow_log_init(0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
