#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

#include "daemon/config.h"
#include "daemon/daemon.h"
#include "daemon/log.h"

/* Exit codes: 1 cannot run now, 2 the command line or the configuration is wrong. */
#define EXIT_USAGE 2

/* --service may be given as often as a source may have services. */
#define SERVICES_MAX 1000

struct options {
	struct crow_config_args config;
	bool check_only;
	bool verbose;
	const char *services[SERVICES_MAX];
};

static const char usage[] =
	"usage: crowflyd [-c FILE] [-n] [-v]\n"
	"                [--endpoint URL --service NAME ... [--accept NETWORKS]]\n"
	"  -c, --config FILE   read this configuration (default /etc/crowfly.conf if it exists)\n"
	"  -n, --check         check the configuration, print it whole, and exit\n"
	"  -v, --verbose       log what is done, not only what changes\n"
	"      --endpoint URL  poll this discovery endpoint, as a source named command-line,\n"
	"      --service NAME  for this service; may be repeated; * for any name asked for\n"
	"      --accept NETWORKS  take instances in these alone, as accept= of crowfly.conf(5):\n"
	"                      127.0.0.0/8,10.0.0.0/8\n"
	"      --version       print the version\n"
	"      --help          print this; the whole is in crowflyd(8) and crowfly.conf(5)\n";

static bool add_service(struct options *options, const char *name)
{
	if (options->config.service_count == SERVICES_MAX) {
		fprintf(stderr, "crowflyd: --service %s: more than %d services\n", name,
			SERVICES_MAX);
		return false;
	}
	options->services[options->config.service_count++] = name;
	return true;
}

/* One option; -1 to go on, else the exit code. */
static int take_option(struct options *options, int option)
{
	switch (option) {
	case 'c':
		options->config.file = optarg;
		return -1;
	case 'n':
		options->check_only = true;
		return -1;
	case 'v':
		options->verbose = true;
		return -1;
	case 'e':
		options->config.endpoint = optarg;
		return -1;
	case 'a':
		options->config.accept = optarg;
		return -1;
	case 's':
		return add_service(options, optarg) ? -1 : EXIT_USAGE;
	case 'V':
		puts("crowflyd " CROW_VERSION);
		return 0;
	case 'h':
		fputs(usage, stdout);
		return 0;
	default:
		fputs(usage, stderr);
		return EXIT_USAGE;
	}
}

static int parse_options(struct options *options, int argc, char **argv)
{
	static const struct option table[] = {
		{"config", required_argument, NULL, 'c'},
		{"check", no_argument, NULL, 'n'},
		{"verbose", no_argument, NULL, 'v'},
		{"endpoint", required_argument, NULL, 'e'},
		{"service", required_argument, NULL, 's'},
		{"accept", required_argument, NULL, 'a'},
		{"version", no_argument, NULL, 'V'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int option, code;

	while ((option = getopt_long(argc, argv, "c:nv", table, NULL)) != -1) {
		code = take_option(options, option);
		if (code >= 0)
			return code;
	}
	if (optind < argc) {
		fprintf(stderr, "crowflyd: %s: not an option; see crowflyd --help\n", argv[optind]);
		return EXIT_USAGE;
	}
	options->config.services = options->services;
	if (options->config.file == NULL && access("/etc/crowfly.conf", F_OK) == 0)
		options->config.file = "/etc/crowfly.conf";
	return -1;
}

int main(int argc, char **argv)
{
	static struct options options;
	char complaint[512];
	struct crow_config *config;
	int code = parse_options(&options, argc, argv);

	if (code >= 0)
		return code;
	config = crow_config_load(&options.config, complaint, sizeof(complaint));
	if (config == NULL) {
		fprintf(stderr, "crowflyd: %s\n", complaint);
		return EXIT_USAGE;
	}
	if (options.check_only) {
		crow_config_print(config, stdout);
		crow_config_free(config);
		return 0;
	}
	crow_log_init(options.verbose ? CROW_LOG_DEBUG : CROW_LOG_INFO);
	return crow_daemon_run(config, &options.config);
}
