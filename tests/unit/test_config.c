#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/config.h"
#include "daemon/option.h"
#include "daemon/value.h"

/* Tests run at the top of the tree. */
#define CASES  "tests/unit/config"
#define SAMPLE "docs/examples/crowfly.conf"

static char complaint[512];

/* All of a file; NULL if there is none. */
static char *read_text(const char *path)
{
	FILE *in = fopen(path, "re");
	char *text = calloc(1, 1 << 20);

	assert_non_null(text);
	if (!in) {
		free(text);
		return NULL;
	}
	assert_true(fread(text, 1, (1 << 20) - 1, in) < (1 << 20) - 1);
	fclose(in);
	return text;
}

static struct crow_config *parse(const char *text)
{
	complaint[0] = '\0';
	return crow_config_parse(text, "test.conf", NULL, complaint, sizeof(complaint));
}

static struct crow_config *parse_good(const char *text)
{
	struct crow_config *config = parse(text);

	if (!config)
		fail_msg("%s", complaint);
	return config;
}

static char *print(const struct crow_config *config)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	crow_config_print(config, out);
	fclose(out);
	return text;
}

static char *print_with(void (*printer)(FILE *))
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	printer(out);
	fclose(out);
	return text;
}

/* What is printed reads back as the same. */
static void check_round_trip(const char *printed)
{
	struct crow_config *config = parse_good(printed);
	char *again = print(config);

	assert_string_equal(printed, again);
	free(again);
	crow_config_free(config);
}

static void check_case(const char *input, const char *stem)
{
	char path[300];
	char *text = read_text(input);

	assert_non_null(text);
	struct crow_config *config = crow_config_parse(text, strrchr(input, '/') + 1, NULL,
						       complaint, sizeof(complaint));
	free(text);
	snprintf(path, sizeof(path), CASES "/%s.%s", stem, config ? "ok" : "err");
	char *expected = read_text(path);
	if (!expected)
		fail_msg("%s: %s, and there is no %s", input, config ? "it is good" : complaint,
			 path);
	if (config) {
		char *printed = print(config);

		assert_string_equal(printed, expected);
		check_round_trip(printed);
		free(printed);
		crow_config_free(config);
	} else {
		expected[strcspn(expected, "\n")] = '\0';
		assert_string_equal(complaint, expected);
	}
	free(expected);
}

/* tests/unit/config: each .in is either good and printed as .ok, or refused with .err. */
static void test_cases(void **state)
{
	DIR *dir = opendir(CASES);
	struct dirent *entry;
	int cases = 0;

	(void)state;
	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL) {
		char input[300], stem[256];
		size_t len = strlen(entry->d_name);

		if (len < 4 || strcmp(entry->d_name + len - 3, ".in") != 0)
			continue;
		snprintf(input, sizeof(input), CASES "/%s", entry->d_name);
		snprintf(stem, sizeof(stem), "%.*s", (int)(len - 3), entry->d_name);
		check_case(input, stem);
		cases++;
	}
	closedir(dir);
	assert_true(cases >= 80);
}

static void test_fields(void **state)
{
	char *text = read_text(CASES "/full.in");
	struct crow_config *config = parse_good(text);
	const struct crow_source_config *source = &config->sources[0];
	char addr[CROW_ENDPOINT_TEXT];

	(void)state;
	assert_string_equal(config->runtime_dir, "/tmp/cf/run");
	assert_string_equal(config->user, "nobody");
	assert_int_equal(config->source_count, 2);
	assert_string_equal(source->name, "prod");
	assert_string_equal(source->endpoint,
			    "http://1234567890.vpc.cn-shanghai.pai-eas.aliyuncs.com");
	assert_int_equal(source->services.count, 2); /* the * is no service */
	assert_string_equal(source->services.items[1], "group.item");
	assert_true(source->on_demand);
	assert_false(config->sources[1].on_demand);
	assert_int_equal(config->sources[1].type, CROW_SOURCE_FILE);
	assert_int_equal(source->max_services, 7);
	assert_int_equal(source->poll_interval_ms, 90000);
	assert_int_equal(source->timeout_ms, 1500);
	assert_string_equal(source->zone, "models.internal");
	assert_int_equal(source->accept.count, 4);
	assert_int_equal(source->accept.items[0].bits, 104);
	assert_int_equal(config->dns_listen.count, 5);
	crow_addr_format(&config->dns_listen.items[1].addr, 0, addr);
	assert_string_equal(addr, "::1");
	assert_int_equal(config->dns_listen.items[1].port, 5353);
	assert_int_equal(config->dns_listen.items[2].port, 53);
	assert_int_equal(config->dns_allow.count, 2);
	assert_int_equal(config->http_allow.count, 1);
	assert_int_equal(config->dns_ttl_s, 120);
	assert_int_equal(config->dns_answers, 32);
	assert_false(config->dns_https);
	assert_int_equal(config->dns_workers, 2);
	assert_int_equal(config->probe_interval_ms, 0);
	assert_int_equal(config->probe_rate, 7);
	assert_int_equal(config->probe_timeout_ms, 1000);
	assert_int_equal(config->eject_backoff_min_ms, 50);
	assert_int_equal(config->eject_backoff_max_ms, 60000);
	assert_int_equal(config->recovery_ramp_ms, 0);
	assert_int_equal(config->slow_start_ms, 30000);
	assert_int_equal(config->http_listen.count, 0);
	crow_config_free(config);
	free(text);
}

static void test_defaults(void **state)
{
	struct crow_config *config = parse_good("[source s]\nendpoint=http://h\nservices=x\n");
	const struct crow_source_config *source = &config->sources[0];

	(void)state;
	assert_int_equal(source->type, CROW_SOURCE_EAS);
	assert_int_equal(source->paths.count, 2);
	assert_string_equal(source->paths.items[0],
			    "/exported/apis/eas.alibaba-inc.k8s.io/v1/upstreams/{service}");
	assert_int_equal(source->poll_interval_ms, 5000);
	assert_int_equal(source->timeout_ms, 2000);
	assert_int_equal(source->max_services, 1000);
	assert_int_equal(source->accept.count, 0);
	assert_null(config->service_default.name);
	assert_int_equal(config->service_default.port, 80);
	assert_int_equal(config->service_default.attempt_timeout_ms, 250);
	assert_int_equal(config->dns_listen.items[0].port, 53);
	assert_int_equal(config->dns_ttl_s, 1);
	assert_int_equal(config->dns_answers, 3);
	assert_true(config->dns_https);
	assert_int_equal(config->http_listen.items[0].port, 9550);
	crow_config_free(config);
}

static void test_service_settings(void **state)
{
	struct crow_config *config = parse_good("[source s]\nendpoint=http://h\nservices=x,y\n"
						"[service y]\nport=81\n");

	(void)state;
	assert_ptr_equal(crow_config_service(config, "x"), &config->service_default);
	assert_string_equal(crow_config_service(config, "y")->name, "y");
	assert_int_equal(crow_config_service(config, "y")->port, 81);
	assert_int_equal(crow_config_service(config, "y")->attempt_timeout_ms, 250);
	crow_config_free(config);
}

static struct crow_config *parse_args(const char *text, const char *endpoint, size_t count,
				      const char *const *services)
{
	struct crow_config_args args = {
		.endpoint = endpoint, .services = services, .service_count = count};

	return crow_config_parse(text, "test.conf", &args, complaint, sizeof(complaint));
}

static void test_command_line(void **state)
{
	static const char *const services[] = {"x", "y,*"};
	struct crow_config *config = parse_args("", "http://h/", 2, services);

	(void)state;
	assert_non_null(config);
	assert_int_equal(config->source_count, 1);
	assert_string_equal(config->sources[0].name, "command-line");
	assert_string_equal(config->sources[0].endpoint, "http://h");
	assert_int_equal(config->sources[0].services.count, 2);
	assert_true(config->sources[0].on_demand);
	char *printed = print(config);
	check_round_trip(printed);
	free(printed);
	crow_config_free(config);
}

static void test_command_line_accepts(void **state)
{
	static const char *const services[] = {"x"};
	struct crow_config_args args = {.endpoint = "http://h",
					.accept = "127.0.0.0/8,10.0.0.0/8",
					.services = services,
					.service_count = 1};
	struct crow_config *config;

	(void)state;
	config = crow_config_parse("", "test.conf", &args, complaint, sizeof(complaint));
	assert_non_null(config);
	assert_int_equal(config->sources[0].accept.count, 2);
	crow_config_free(config);

	args.accept = "10/8";
	assert_null(crow_config_parse("", "test.conf", &args, complaint, sizeof(complaint)));
	assert_non_null(strstr(complaint, "command line: accept=10/8: "));

	args = (struct crow_config_args){.accept = "10.0.0.0/8"};
	assert_null(crow_config_parse("", "test.conf", &args, complaint, sizeof(complaint)));
	assert_string_equal(complaint, "command line: --accept needs --endpoint URL; a source of a "
				       "file has its own accept=");
}

static void test_command_line_beside_file(void **state)
{
	static const char *const services[] = {"y"};
	const char *text = "[source s]\nendpoint=http://h\nservices=x\n[service y]\nport=81\n";
	struct crow_config *config = parse_args(text, "http://h", 1, services);

	(void)state;
	assert_non_null(config);
	assert_int_equal(config->source_count, 2);
	assert_int_equal(crow_config_service(config, "y")->port, 81);
	crow_config_free(config);
}

static void refuse_args(const char *text, const char *endpoint, const char *service,
			const char *expected)
{
	assert_null(parse_args(text, endpoint, service ? 1 : 0, &service));
	assert_string_equal(complaint, expected);
}

static void test_bad_command_line(void **state)
{
	(void)state;
	refuse_args("", "http://h", NULL,
		    "command line: --endpoint needs --service NAME, or --service '*' for any that "
		    "is asked for");
	refuse_args("", NULL, "x",
		    "command line: --service needs --endpoint URL, which says whom to ask");
	refuse_args("", "h:80", "x",
		    "command line: endpoint=h:80: expected http://HOST[:PORT][/PATH] or "
		    "https://HOST[:PORT][/PATH]");
	refuse_args("", "http://h", "x y",
		    "command line: services=x y: expected names of services such as "
		    "mnist_saved_model_example, or *, not `x y`");
	refuse_args("[source command-line]\nendpoint=http://h\nservices=x\n", "http://h", "y",
		    "command line: [source command-line]: this section begins at test.conf:1 "
		    "already; merge the two");
	refuse_args("[source s]\nendpoint=http://h\nservices=x\n", "http://h", "x",
		    "command line: services: x is a service of source s already; expected it "
		    "once");
}

static void refuse_file(const char *path, const char *expected)
{
	struct crow_config_args args = {.file = path};
	char whole[600];

	assert_null(crow_config_load(&args, complaint, sizeof(complaint)));
	snprintf(whole, sizeof(whole), "%s: %s", path, expected);
	assert_string_equal(complaint, whole);
}

static void test_files(void **state)
{
	struct crow_config_args args = {.file = CASES "/minimal.in"};
	struct crow_config *config = crow_config_load(&args, complaint, sizeof(complaint));

	(void)state;
	assert_non_null(config);
	crow_config_free(config);
	refuse_file("/nowhere/crowfly.conf", "cannot open it: No such file or directory; another "
					     "file is named by -c FILE");
	refuse_file("/", "cannot read it: Is a directory");
	refuse_file("/dev/null", "there is no source of instances; expected a [source NAME] "
				 "section with endpoint= and services=, or --endpoint URL "
				 "--service NAME");
}

static void test_no_text(void **state)
{
	char path[] = "/tmp/crowfly-test-config-XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "[dns]\0ttl", 9), 9);
	refuse_file(path, "expected text, and it holds a NUL byte");
	assert_int_equal(ftruncate(fd, 17 << 20), 0);
	refuse_file(path, "expected at most 16 MiB");
	close(fd);
	unlink(path);
}

static void test_short_complaint(void **state)
{
	char small[12];

	(void)state;
	memset(small, 'x', sizeof(small));
	assert_null(crow_config_parse("[nope]\n", "a/long/name.conf", NULL, small, 10));
	assert_string_equal(small, "a/long/na");
	assert_int_equal(small[10], 'x');
	assert_null(crow_config_parse("[nope]\n", "a", NULL, small, 1));
	assert_string_equal(small, "");
}

static bool contains(const char *network, const char *address)
{
	struct crow_cidr cidr;
	struct crow_addr addr;

	assert_true(crow_cidr_parse(network, &cidr));
	assert_true(crow_addr_parse(address, strlen(address), &addr));
	return crow_cidr_contains(&cidr, &addr);
}

static void test_cidr(void **state)
{
	static const char *const bad[] = {"",       "10.0.0.0/33", "10.0.0.0/",         "10.0.0/8",
					  "::/129", "/8",          "10.0.0.0/8 ",       "a/8",
					  "::1/-1", "10.0.0.0/+8", "1.2.3.4/4294967304"};
	struct crow_cidr cidr;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(crow_cidr_parse(bad[i], &cidr));
	assert_true(contains("10.0.0.0/8", "10.255.0.1"));
	assert_false(contains("10.0.0.0/8", "11.0.0.1"));
	assert_true(contains("172.16.0.0/12", "172.31.255.255"));
	assert_false(contains("172.16.0.0/12", "172.32.0.0"));
	assert_true(contains("10.1.2.3/8", "10.9.9.9"));
	assert_true(contains("10.0.0.1", "10.0.0.1"));
	assert_false(contains("10.0.0.1", "10.0.0.2"));
	assert_true(contains("0.0.0.0/0", "255.255.255.255"));
	assert_false(contains("0.0.0.0/0", "fd00::1")); /* the v4 part alone */
	assert_true(contains("::/0", "fd00::1"));
	assert_true(contains("::/0", "10.0.0.1"));
	assert_true(contains("fd00::/7", "fc00::1"));
	assert_true(contains("::ffff:10.0.0.0/104", "10.9.9.9"));
}

static bool admits(const char *network, const char *address, const char *asked)
{
	struct crow_cidr cidr;
	const struct crow_cidrs allow = {&cidr, network ? 1 : 0};
	struct crow_addr peer, own;

	assert_true(!network || crow_cidr_parse(network, &cidr));
	assert_true(crow_addr_parse(address, strlen(address), &peer));
	assert_true(crow_addr_parse(asked, strlen(asked), &own));
	return crow_cidrs_admit(&allow, &peer, &own);
}

static void test_who_may_ask(void **state)
{
	(void)state;
	assert_true(admits(NULL, "127.0.0.1", "127.0.0.55"));
	assert_true(admits(NULL, "127.255.255.254", "10.0.0.1"));
	assert_true(admits(NULL, "::1", "fd00::1"));
	assert_true(admits(NULL, "10.0.0.1", "10.0.0.1"));
	assert_true(admits("192.168.0.0/16", "127.0.0.1", "10.0.0.1"));
	assert_true(admits("10.0.0.0/8", "10.9.9.9", "10.0.0.1"));
	assert_true(admits("fd00::/8", "fd00::9", "fd00::1"));
	assert_true(admits("0.0.0.0/0", "192.0.2.1", "10.0.0.1"));
	assert_false(admits(NULL, "10.0.0.2", "10.0.0.1"));
	assert_false(admits(NULL, "126.255.255.255", "127.0.0.55"));
	assert_false(admits(NULL, "128.0.0.1", "127.0.0.55"));
	assert_false(admits(NULL, "fd00::1", "::1"));
	assert_false(admits("10.0.0.0/8", "11.0.0.1", "10.0.0.1"));
	assert_false(admits("10.0.0.0/8", "fd00::9", "fd00::1"));
}

static void test_cidr_text(void **state)
{
	static const char *const same[] = {"10.0.0.0/8", "0.0.0.0/0", "10.0.0.1/32",  "fd00::/8",
					   "::1/128",    "::/0",      "::ffc0:0:0/90"};
	char text[CROW_CIDR_TEXT];
	struct crow_cidr cidr;

	(void)state;
	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		assert_true(crow_cidr_parse(same[i], &cidr));
		crow_value_format_cidr(&cidr, text);
		assert_string_equal(text, same[i]);
	}
	assert_true(crow_cidr_parse("::ffff:0:0/90", &cidr));
	crow_value_format_cidr(&cidr, text);
	assert_string_equal(text, "::ffc0:0:0/90");
}

static void test_durations(void **state)
{
	static const struct {
		const char *text;
		uint32_t ms;
		const char *printed;
	} good[] = {
		{"0s", 0, "0s"},
		{"0h", 0, "0s"},
		{"1ms", 1, "1ms"},
		{"1500ms", 1500, "1500ms"},
		{"2000ms", 2000, "2s"},
		{"90s", 90000, "90s"},
		{"60m", 3600000, "1h"},
		{"007s", 7000, "7s"},
		{"4294967295ms", 4294967295u, "4294967295ms"},
	};
	static const char *const bad[] = {"",
					  "5",
					  "s",
					  "5 s",
					  "-5s",
					  "5S",
					  "1.5s",
					  "5sx",
					  "5min",
					  "+5s",
					  "4294967296ms",
					  "1194h",
					  "99999999999999999999s"};
	char text[CROW_DURATION_TEXT];
	uint32_t ms = 77;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(crow_value_duration_ms(bad[i], &ms));
	assert_int_equal(ms, 77);
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(crow_value_duration_ms(good[i].text, &ms));
		assert_int_equal(ms, good[i].ms);
		crow_value_format_duration(ms, text);
		assert_string_equal(text, good[i].printed);
	}
}

static void test_listen(void **state)
{
	static const char *const good[][2] = {
		{"127.0.0.1", "127.0.0.1:7"},
		{"127.0.0.1:0", "127.0.0.1:0"},
		{"::1", "[::1]:7"},
		{"[::1]", "[::1]:7"},
		{"[::1]:53", "[::1]:53"},
		{"::", "[::]:7"},
		{"127.0.0.1:65535", "127.0.0.1:65535"},
	};
	static const char *const bad[] = {
		"",      ":53",  "127.0.0.1:", "127.0.0.1:65536", "[::1]x:53", "[127.0.0.1]:53",
		"[]:53", "[::1", "h:53",       "127.0.0.1:5 ",    "[::1]:",    "::1]:53"};
	struct crow_listen listen;
	char text[CROW_LISTEN_TEXT];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(crow_value_listen(good[i][0], 7, &listen));
		crow_value_format_listen(&listen, text);
		assert_string_equal(text, good[i][1]);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(crow_value_listen(bad[i], 7, &listen));
}

/* Every default, uncommented, says what the missing key says. */
static char *uncomment(const char *sample)
{
	char *text = strdup(sample), *to = text;

	assert_non_null(text);
	for (const char *from = sample; *from; from++) {
		const char *end = strchr(from, '\n');
		bool empty = end[-1] == '=';

		if (from[0] == '#' && from[1] != ' ' && !empty)
			from++;
		to = mempcpy(to, from, (size_t)(end + 1 - from));
		from = end;
	}
	*to = '\0';
	return text;
}

static void test_sample(void **state)
{
	char *sample = print_with(crow_config_print_sample);
	char *shipped = read_text(SAMPLE);
	struct crow_config *config = parse_good(sample);
	char *uncommented = uncomment(sample);
	struct crow_config *spelled_out = parse_good(uncommented);
	char *a = print(config), *b = print(spelled_out);

	(void)state;
	assert_non_null(shipped);
	assert_string_equal(shipped, sample);
	assert_string_not_equal(uncommented, sample);
	assert_string_equal(a, b);
	crow_config_free(config);
	crow_config_free(spelled_out);
	free(a);
	free(b);
	free(uncommented);
	free(shipped);
	free(sample);
}

static void test_manual(void **state)
{
	char *manual = print_with(crow_config_print_manual);
	const struct crow_option *option;

	(void)state;
	for (size_t i = 0; (option = crow_option_get(i)) != NULL; i++) {
		char entry[64], *to = entry + sprintf(entry, ".TP\n.B ");

		for (const char *c = option->key; *c; c++)
			to += sprintf(to, *c == '-' ? "\\-" : "%c", *c);
		sprintf(to, "\n");
		assert_non_null(strstr(manual, entry));
	}
	free(manual);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_service_settings),
		cmocka_unit_test(test_command_line),
		cmocka_unit_test(test_command_line_accepts),
		cmocka_unit_test(test_command_line_beside_file),
		cmocka_unit_test(test_bad_command_line),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_no_text),
		cmocka_unit_test(test_short_complaint),
		cmocka_unit_test(test_cidr),
		cmocka_unit_test(test_who_may_ask),
		cmocka_unit_test(test_cidr_text),
		cmocka_unit_test(test_durations),
		cmocka_unit_test(test_listen),
		cmocka_unit_test(test_sample),
		cmocka_unit_test(test_manual),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
