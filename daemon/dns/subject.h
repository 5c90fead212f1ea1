/*
 * What a name means: a decision as a value, taken from the image alone. Answering is answer.h's.
 */
#ifndef CROW_SUBJECT_H
#define CROW_SUBJECT_H

#include "resolver/image.h"

enum crow_subject_kind {
	CROW_SUBJECT_ELSEWHERE, /* not below a zone of ours */
	CROW_SUBJECT_ABSENT,    /* below a zone, and there is nothing there nor below it; or below
				   one with a search suffix: svc.eas.internal.corp.example.com */
	CROW_SUBJECT_EMPTY,     /* nothing there, but names below it: an empty non-terminal */
	CROW_SUBJECT_APEX,      /* the zone itself */
	CROW_SUBJECT_SERVICE,
	CROW_SUBJECT_SERVICE_SRV, /* _http._tcp.<service> */
	CROW_SUBJECT_ADDRESS,     /* ip-10-0-0-1.<zone>, of an address that the image has */
	CROW_SUBJECT_REVERSE,     /* 1.0.0.10.in-addr.arpa, of an address that has an instance */
	CROW_SUBJECT_WANTED,      /* below an on-demand zone and not looked up yet */
	CROW_SUBJECT_UNREADY, /* it may exist, but discovery could not say, or no list came yet */
};

struct crow_subject {
	enum crow_subject_kind kind;
	uint32_t service;      /* of SERVICE and SERVICE_SRV */
	struct crow_addr addr; /* of ADDRESS and REVERSE */
	size_t apex;         /* offset in the text of the name that carries SOA and NS: the zone, an
				  alias that lies outside of all zones, or a zone that somebody
				  appended a search suffix to */
	size_t wanted;       /* of WANTED: offset in the text of the service's name */
	uint32_t timeout_ms; /* of WANTED: how long the asker may wait */
};

/* text: folded, as struct crow_query has it. */
struct crow_subject crow_subject_of(const struct crow_image *img, const char *text, size_t length);

#endif
