/*
 * Who of a service is out of picks, given which of its instances are down: pure. Each family is
 * judged by itself, since a program that asks for IPv4 is not helped by an instance on IPv6.
 *
 * 1. All are down: all are in. There is nobody to go to instead, so that being wrong about one of
 *    them is all that could be gained (Amazon Route 53 does the same; Envoy calls it panic).
 * 2. Evidence that our own network may be the cause of (time-outs, no route) needs a witness:
 *    another instance that answered since.
 * 3. By time-outs at most half of the weight goes out, but always one instance.
 * 4. After a total loss, who fell with all others goes out step by step: the weight that is out
 *    rises evenly to all of it. Else the first instance to come back would get the load of all. Who
 *    was down long before the loss goes at once: the others had carried its load.
 *
 * Where not all can go out, who has been down longest goes first.
 */
#ifndef CROW_JUDGE_H
#define CROW_JUDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum crow_verdict {
	CROW_VERDICT_OUT,
	CROW_VERDICT_ALL_DOWN,
	CROW_VERDICT_NO_WITNESS,
	CROW_VERDICT_HALF,
	CROW_VERDICT_RAMP,
};

/* An instance that is down and may be picked, that is whose weight is not 0. */
struct crow_down {
	size_t item; /* which one, the caller's */
	uint32_t weight;
	int64_t since_ns;
	bool silent;    /* by time-outs */
	bool witnessed; /* the evidence is a RST, or somebody else answered since */
	enum crow_verdict verdict;
};

/* The instances of one family that may be picked. */
struct crow_case {
	size_t count;
	uint64_t weight; /* of all of them */
	int64_t fell_ns; /* when all of them were down the last time; 0 = never, or the ramp is over */
	int64_t regained_ns; /* when that ended */
	int64_t ramp_ns;     /* how long until then all may be out; 0 = no ramp */
};

/* Sets the verdicts; sorts downs. */
void crow_judge(const struct crow_case *which, struct crow_down *downs, size_t count,
		int64_t now_ns);

/* Why one that is down is in all the same; "" for OUT. */
const char *crow_verdict_name(enum crow_verdict verdict);

#endif
