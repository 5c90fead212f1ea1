/*
 * Allowances of senders: a fixed table, so that no number of senders costs memory. Pure.
 */
#ifndef CROW_LIMIT_H
#define CROW_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

/* Senders whose numbers meet in a slot share its allowance. */
#define CROW_LIMIT_SLOTS 256

struct crow_limit {
	uint32_t per_second, burst;
	uint64_t seed; /* so that nobody can choose to meet somebody else */
	struct crow_limit_slot {
		uint64_t sender;
		int64_t full_ns; /* when its allowance will be whole again */
	} slots[CROW_LIMIT_SLOTS];
};

void crow_limit_init(struct crow_limit *limit, uint32_t per_second, uint32_t burst, uint64_t seed);

/* Takes one from the sender's allowance; false if there is none left. */
bool crow_limit_take(struct crow_limit *limit, uint64_t sender, int64_t now_ns);

#endif
