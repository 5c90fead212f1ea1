/*
 * The configuration: no text may crash the parser, and what it takes must print back as text that
 * it takes again.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct crow_config *parse(const char *text)
{
	char complaint[512];

	return crow_config_parse(text, "fuzz", NULL, complaint, sizeof(complaint));
}

static char *print(const struct crow_config *config)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		abort();
	crow_config_print(config, out);
	fclose(out);
	return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size);
	struct crow_config *config = text ? parse(text) : NULL;

	free(text);
	if (!config)
		return 0;
	char *printed = print(config);
	struct crow_config *again = parse(printed);
	if (!again)
		abort();
	char *printed_again = print(again);
	if (strcmp(printed, printed_again) != 0)
		abort();
	free(printed);
	free(printed_again);
	crow_config_free(config);
	crow_config_free(again);
	return 0;
}
