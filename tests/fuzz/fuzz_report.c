/* A datagram on the report socket, which any local user may write to. */
#include <stdlib.h>
#include <string.h>

#include "resolver/report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t again[CROW_REPORT_MAX_SIZE];
	struct crow_report report;

	if (!crow_report_decode(data, size, &report))
		return 0;
	/* What is taken has one spelling alone. */
	if (strlen(report.name) != report.name_length ||
	    crow_report_encode(&report, again) != size || memcmp(again, data, size) != 0)
		abort();
	return 0;
}
