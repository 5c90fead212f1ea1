/*
 * One service under care: which of its instances are down, what judge.h says of them, and the
 * shares that the table gets of it.
 */
#ifndef CROW_WARD_H
#define CROW_WARD_H

#include "daemon/health/care.h"

/* The items of a list that are of one family: [begin, end). */
struct crow_ward_range {
	size_t begin, end;
};
struct crow_ward_range crow_ward_range(const struct crow_list *list, bool is_v4);

/* Whether it has the endpoint and may pick it. */
bool crow_ward_has(const struct crow_service *service, const struct crow_endpoint *endpoint);

/* Instances that came with the last list begin their slow start. */
void crow_ward_admit(struct crow_book *book, const struct crow_service *service, int64_t now_ns);

/* Judges the service, and tells the table and the log what has changed. Brings care->step_ns
 * forward if time alone will change something. Without memory all stays as it is. */
void crow_ward_judge(struct crow_care *care, struct crow_service *service, int64_t now_ns);

/* Whether time alone changes its shares, or did since it was judged. */
bool crow_ward_is_ramping(const struct crow_care *care, const struct crow_service *service);

#endif
