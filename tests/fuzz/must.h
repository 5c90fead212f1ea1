/*
 * What a fuzz target demands, of the code that it runs: a crash is what the fuzzer looks for. libc
 * alone.
 */
#ifndef CROW_MUST_H
#define CROW_MUST_H

#include <stdlib.h>

#define MUST(condition)                                                                            \
	do {                                                                                       \
		if (!(condition))                                                                  \
			abort();                                                                   \
	} while (0)

#endif
