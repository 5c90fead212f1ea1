/*
 * What `crowfly doctor` finds: each a verdict, what it is about, a sentence, and the next step.
 * Printed as it is found, as a row for people or as JSON for programs.
 */
#ifndef CROW_FINDING_H
#define CROW_FINDING_H

#include "cli/term.h"

enum crow_verdict {
	CROW_VERDICT_OK,
	CROW_VERDICT_NOTE, /* good to know, nothing else is wrong */
	CROW_VERDICT_WARN, /* works, but less well than it could */
	CROW_VERDICT_FAIL, /* does not work */
	CROW_VERDICTS,
};

struct crow_findings {
	struct crow_term term;
	bool json;
	unsigned counts[CROW_VERDICTS];
	const char *next; /* of the last finding; compared, not read */
};

void crow_findings_begin(struct crow_findings *findings, bool json);

/* next is what to do about it, a text that stays; NULL where there is nothing to do. */
void crow_finding(struct crow_findings *findings, enum crow_verdict verdict, const char *about,
		  const char *next, const char *format, ...) __attribute__((format(printf, 5, 6)));

/* The sum; true if nothing failed. */
bool crow_findings_end(struct crow_findings *findings);

#endif
