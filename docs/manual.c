/*
 * Writes what documents the configuration from the table that also parses it: `manual options` is
 * the middle of crowfly.conf(5), `manual sample` the commented sample. Run by docs/install.mk.
 */
#include <stdio.h>
#include <string.h>

#include "daemon/config.h"

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "options") == 0) {
		crow_config_print_manual(stdout);
	} else if (argc == 2 && strcmp(argv[1], "sample") == 0) {
		crow_config_print_sample(stdout);
	} else {
		fputs("usage: manual options|sample\n", stderr);
		return 2;
	}
	return fflush(stdout) == 0 ? 0 : 1;
}
