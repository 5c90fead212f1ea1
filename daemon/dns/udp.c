#include "daemon/dns/udp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "daemon/counters.h"

/* Datagrams a system call: at 32 the call's own cost is below a tenth of the whole. */
#define BATCH 32

/* Batches in a row before TCP and timers get their turn. */
#define BATCHES_MAX 16

/* Queries have 50 to 150 bytes, with padding (RFC 8467) 128 or a few times that; this is what fits
 * into a packet of Ethernet. What is longer arrives cut, and so as FORMERR. (A power of two would put
 * the heads of all into the same few places of the processor's cache.) */
#define QUERY_MAX 1472

/* Replies that were waited for: those of one turn of the loop leave together at its end, which is
 * one call for all, and wakes whoever reads them once. */
struct late {
	struct crow_loop *loop;
	struct crow_timer timer; /* due at once: after all that is ready in this turn */
	int fd;                  /* of all that are kept */
	unsigned count;
	struct mmsghdr out[BATCH];
	struct iovec iov[BATCH];
	struct crow_asker askers[BATCH];
	uint8_t replies[BATCH][CROW_QUERY_UDP_MAX];
};

struct crow_udp_batch {
	struct mmsghdr in[BATCH], out[BATCH];
	struct iovec in_iov[BATCH], out_iov[BATCH];
	struct crow_asker askers[BATCH]; /* of in[i]: name and control are received into it */
	uint8_t queries[BATCH][QUERY_MAX];
	uint8_t replies[BATCH][CROW_QUERY_UDP_MAX];
	int64_t now_ns; /* when it was received */
	struct late late;
};

/* The kernel overwrites lengths with what it delivered. */
static void prepare(struct crow_udp_batch *batch, unsigned i)
{
	struct crow_asker *asker = &batch->askers[i];

	batch->in[i].msg_hdr = (struct msghdr){
		.msg_name = &asker->peer,
		.msg_namelen = sizeof(asker->peer),
		.msg_iov = &batch->in_iov[i],
		.msg_iovlen = 1,
		.msg_control = asker->control,
		.msg_controllen = sizeof(asker->control),
	};
}

struct crow_udp_batch *crow_udp_batch_new(void)
{
	struct crow_udp_batch *batch = calloc(1, sizeof(*batch));

	if (!batch)
		return NULL;
	for (unsigned i = 0; i < BATCH; i++) {
		batch->in_iov[i] = (struct iovec){batch->queries[i], QUERY_MAX};
		batch->out_iov[i].iov_base = batch->replies[i];
		prepare(batch, i);
	}
	return batch;
}

void crow_udp_batch_free(struct crow_udp_batch *batch)
{
	if (!batch)
		return;
	if (batch->late.loop)
		crow_timer_clear(batch->late.loop, &batch->late.timer);
	free(batch);
}

/* Where a datagram was sent to, on a wildcard socket. What is left in control, sent back, makes
 * the reply leave from there; the interface is the routing table's choice again, but for link-local
 * addresses, which mean nothing without one. */
static struct crow_addr take_destination(struct msghdr *message)
{
	struct crow_addr addr = {{0}};

	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo *info = (void *)CMSG_DATA(c);

			addr = crow_addr_v4(&info->ipi_addr);
			info->ipi_ifindex = 0;
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo *info = (void *)CMSG_DATA(c);

			addr = crow_addr_v6(&info->ipi6_addr);
			if (!IN6_IS_ADDR_LINKLOCAL(&info->ipi6_addr))
				info->ipi6_ifindex = 0;
		}
	}
	return addr;
}

/* Nobody listens on port 0, and what claims to come from our own socket would be answered to
 * ourselves. (Replies have QR set, so even that could not go round twice.) */
static bool is_answerable(const struct crow_udp *udp, uint16_t port, const struct crow_addr *peer,
			  const struct crow_addr *own)
{
	return port != 0 && (port != udp->port || !crow_addr_equal(peer, own));
}

/* What is to become of a datagram, by its addresses alone; takes those into *asker. */
static enum crow_verdict judge(const struct crow_udp *udp, struct crow_asker *asker,
			       struct msghdr *message)
{
	struct crow_addr own = udp->addr, peer;
	uint16_t port;

	asker->peer_size = message->msg_namelen;
	asker->control_size = 0;
	if (udp->wildcard) {
		own = take_destination(message);
		asker->control_size = message->msg_controllen;
	}
	if (!crow_addr_from_sockaddr(&asker->peer.sa, asker->peer_size, &peer, &port) ||
	    !is_answerable(udp, port, &peer, &own)) {
		crow_count(dns_dropped);
		return CROW_VERDICT_DROP;
	}
	return crow_gate_judge(udp->gate, &peer, &own, udp->batch->now_ns);
}

static void address_reply(struct msghdr *message, struct crow_asker *asker)
{
	message->msg_name = &asker->peer;
	message->msg_namelen = asker->peer_size;
	message->msg_control = asker->control_size ? asker->control : NULL;
	message->msg_controllen = asker->control_size;
	message->msg_iovlen = 1;
	message->msg_flags = 0;
}

/* sendmmsg() stops at a datagram that cannot be sent (no route, a firewall, a full buffer). Only
 * that one is lost: its asker will ask again. */
static void send_all(int fd, struct mmsghdr *messages, unsigned count)
{
	while (count > 0) {
		int sent = sendmmsg(fd, messages, count, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent <= 0) {
			if (errno == EINTR)
				continue;
			crow_count(dns_unsent);
			sent = 1;
		}
		messages += sent;
		count -= (unsigned)sent;
	}
}

/* ---- late replies ---- */

static void flush(struct late *late)
{
	send_all(late->fd, late->out, late->count);
	late->count = 0;
}

static void on_turn_end(struct crow_timer *timer, int64_t now_ns)
{
	(void)now_ns;
	flush(crow_container(timer, struct late, timer));
}

static void deliver(const struct crow_asker *asker, const uint8_t *bytes, size_t size)
{
	const struct crow_udp *udp = asker->endpoint;
	struct late *late = &udp->batch->late;
	unsigned i;

	if (late->count == BATCH || (late->count > 0 && late->fd != udp->watch.fd))
		flush(late);
	if (late->count == 0)
		crow_timer_set(late->loop, &late->timer, 0);
	late->fd = udp->watch.fd;
	i = late->count++;
	late->askers[i] = *asker;
	memcpy(late->replies[i], bytes, size); /* at most what the query's limit says */
	late->iov[i] = (struct iovec){late->replies[i], size};
	late->out[i].msg_hdr.msg_iov = &late->iov[i];
	address_reply(&late->out[i].msg_hdr, &late->askers[i]);
}

/* ---- queries ---- */

static bool truncate_reply(struct crow_reply *reply, const uint8_t *bytes, size_t size)
{
	struct crow_query query;

	if (!crow_query_read(&query, bytes, size, false))
		return false;
	crow_reply_truncate(reply, &query);
	crow_count(dns_truncated);
	return true;
}

/* Answers the i-th datagram into *reply; false if it gets none now. */
static bool write_reply(struct crow_udp *udp, unsigned i, struct crow_reply *reply)
{
	struct crow_udp_batch *batch = udp->batch;
	struct crow_asker *asker = &batch->askers[i];
	const uint8_t *query = batch->queries[i];
	size_t size = batch->in[i].msg_len;

	switch (judge(udp, asker, &batch->in[i].msg_hdr)) {
	case CROW_VERDICT_TRUNCATE:
		return truncate_reply(reply, query, size);
	case CROW_VERDICT_ANSWER:
		asker->endpoint = udp;
		asker->deliver = deliver;
		return crow_responder_ask(udp->responder, query, size, false, asker, reply) ==
		       CROW_EXIT_REPLY;
	default:
		return false;
	}
}

/* Answers the i-th datagram by the j-th of the batch's replies; false if it gets none now. */
static bool answer(struct crow_udp *udp, unsigned i, unsigned j)
{
	struct crow_udp_batch *batch = udp->batch;
	struct crow_asker *asker = &batch->askers[i];
	struct crow_reply reply = {.bytes = batch->replies[j], .capacity = CROW_QUERY_UDP_MAX};

	if (!write_reply(udp, i, &reply))
		return false;
	address_reply(&batch->out[j].msg_hdr, asker);
	batch->out[j].msg_hdr.msg_iov = &batch->out_iov[j];
	batch->out_iov[j].iov_len = reply.size;
	return true;
}

/* One batch; returns how many datagrams it had. */
static unsigned serve(struct crow_udp *udp)
{
	struct crow_udp_batch *batch = udp->batch;
	int received = recvmmsg(udp->watch.fd, batch->in, BATCH, MSG_DONTWAIT, NULL);
	unsigned replies = 0;

	if (received <= 0)
		return 0;
	crow_count_by(dns_queries_udp, (unsigned)received);
	batch->now_ns = crow_now_ns();
	crow_responder_begin(udp->responder);
	for (unsigned i = 0; i < (unsigned)received; i++)
		replies += answer(udp, i, replies);
	send_all(udp->watch.fd, batch->out, replies);
	crow_responder_end(udp->responder);
	for (unsigned i = 0; i < (unsigned)received; i++)
		prepare(batch, i);
	return (unsigned)received;
}

static void on_ready(struct crow_watch *watch, uint32_t events)
{
	struct crow_udp *udp = crow_container(watch, struct crow_udp, watch);

	(void)events;
	for (int i = 0; i < BATCHES_MAX; i++)
		if (serve(udp) < BATCH)
			return;
}

int crow_udp_start(struct crow_udp *udp, struct crow_loop *loop)
{
	udp->watch.on_ready = on_ready;
	udp->batch->late.loop = loop;
	udp->batch->late.timer.on_due = on_turn_end;
	/* A socket that a service manager handed over is every worker's. Exclusive: the kernel (4.5; one
	 * before that takes no notice) wakes one of those that wait, and the next one while that is
	 * busy. What a worker leaves behind after BATCHES_MAX, it is told of again; no other need be. */
	return crow_loop_add(loop, &udp->watch, EPOLLIN | EPOLLEXCLUSIVE);
}
