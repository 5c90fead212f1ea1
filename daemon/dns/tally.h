/*
 * Counts the replies that leave, whoever made them.
 */
#ifndef CROW_TALLY_H
#define CROW_TALLY_H

#include "daemon/dns/reply.h"

void crow_tally_reply(const struct crow_reply *reply);

#endif
