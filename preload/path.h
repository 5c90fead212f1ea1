/*
 * The way of calls that need nothing of us is short, straight and in one place: of a connect() that
 * succeeds, of a wait while nothing connects. The kernel has filled the caches by the time that it
 * returns, so that each 64 bytes of code cost 5 ns, each page more; and a processor that forgets its
 * return addresses there (AMD's safe returns) pays 10 ns or more for each return after a system call.
 * `make bench` shows the sum.
 */
#ifndef CROW_PATH_H
#define CROW_PATH_H

#define CROW_HOT    __attribute__((hot)) /* on that way: lies with the others of its kind */
#define CROW_INLINE inline __attribute__((always_inline))
#define CROW_APART  __attribute__((noinline, cold)) /* what becomes of a connect() that fails */

#endif
