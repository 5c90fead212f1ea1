/*
 * The parts of `crowfly doctor`: each looks at one thing and adds its findings.
 */
#ifndef CROW_DOCTOR_H
#define CROW_DOCTOR_H

#include "cli/finding.h"
#include "resolver/image.h"

/* The next step of what fails because something else does: a note, so that whoever counts failures
 * counts causes. */
#define CROW_DOCTOR_FOLLOWS "nothing here: mend what is above, from which this follows"

struct crow_doctor {
	struct crow_findings findings;
	const char *dir;              /* the runtime directory */
	const struct crow_image *img; /* the snapshot; with no header if it cannot be used */
	const char *service;          /* the only one to look at; NULL: all */
	bool daemon_lives, pages_answer, responder_answers;
	unsigned polls_told; /* services whose last poll was told */
};

bool crow_doctor_wants(const struct crow_doctor *doctor, uint32_t index);

/* Whether the pages answer: to the person on call, Prometheus, probes, programs with an SDK. */
void crow_doctor_pages(struct crow_doctor *doctor);

/* Whether names resolve: by the preload library, by the DNS responder, by the system as it is set
 * up. */
void crow_doctor_names(struct crow_doctor *doctor);

/* Whether each instance takes a connection from this host, and if not, why. */
void crow_doctor_instances(struct crow_doctor *doctor);

#endif
