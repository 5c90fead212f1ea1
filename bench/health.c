/*
 * health DIR COUNT: for each of the last COUNT instances of the first service in turn, how long it takes from the first
 * report that connecting to it failed until this process finds it ejected in the snapshot, in
 * microseconds, one a line. As a program does it: by the report socket, stat() and a private copy.
 * The instances must refuse, and the service must have more that answer.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "bench/measure.h"
#include "resolver/attach.h"
#include "resolver/report.h"

/* Between two measurements: a process may cause ten probes in a second, and each image shall be the
 * first after a quiet while. */
static const struct timespec pause = {.tv_nsec = 110000000};

static bool is_ejected(const struct crow_image *img, const struct crow_addr *addr, uint16_t port)
{
	struct crow_owner owner;
	uint32_t probe = 0;

	return crow_image_next_owner(img, addr, port, &probe, &owner) && owner.exact &&
	       img->instances[owner.instance].state == CROW_STATE_EJECTED;
}

static double report_and_wait(struct crow_copy *copy, const char *dir,
			      const struct crow_snap_instance *instance, const char *service)
{
	struct crow_report report = {
		.kind = CROW_REPORT_FAILED,
		.addr = instance->addr,
		.port = instance->port,
		.error = ECONNREFUSED,
		.name_length = strlen(service),
	};
	double start = seconds(CLOCK_MONOTONIC);

	memcpy(report.name, service, report.name_length);
	if (!crow_report_send(&report, dir))
		return -1;
	while (!is_ejected(&copy->image, &report.addr, report.port)) {
		if (seconds(CLOCK_MONOTONIC) - start > 5)
			return -1;
		if (crow_copy_is_outdated(&copy->identity, dir))
			crow_copy_load(copy, dir, NULL);
	}
	return (seconds(CLOCK_MONOTONIC) - start) * 1e6;
}

int main(int argc, char **argv)
{
	struct crow_copy first = {0}, copy = {0};
	const struct crow_snap_service *service;

	if (argc != 3 || crow_copy_load(&first, argv[1], NULL) != CROW_ATTACH_OK ||
	    crow_copy_load(&copy, argv[1], NULL) != CROW_ATTACH_OK)
		return 2;
	service = crow_image_service(&first.image, 0);
	if (service == NULL || service->count < (uint32_t)atoi(argv[2]))
		return 2;
	for (uint32_t i = service->count - (uint32_t)atoi(argv[2]); i < service->count; i++) {
		double us =
			report_and_wait(&copy, argv[1], &first.image.instances[service->first + i],
					crow_image_string(&first.image, service->name));

		if (us < 0)
			return 1;
		printf("visible %.1f us\n", us);
		nanosleep(&pause, NULL);
	}
	return 0;
}
