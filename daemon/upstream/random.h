/*
 * Random numbers for what a forger must not guess (ids, ports, the case of letters), drawn from
 * the kernel in portions, since arc4random(3) of glibc is a system call each time. One thread.
 */
#ifndef CROW_RANDOM_H
#define CROW_RANDOM_H

#include <stddef.h>
#include <stdint.h>

struct crow_random { /* zeroed: nothing was drawn yet */
	size_t left;
	uint8_t bytes[1024];
};

uint16_t crow_random_u16(struct crow_random *random);
uint64_t crow_random_u64(struct crow_random *random);

#endif
