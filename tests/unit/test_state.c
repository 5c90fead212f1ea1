/* The state directory: what is written can be read, and nothing else can. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/counters.h"
#include "daemon/state.h"

static char dir[64];
static struct crow_service service;

static int setup(void **state)
{
	static const char *const ips[] = {"10.0.0.1", "10.0.0.2", "2001:db8::1"};
	static char name[] = "mnist_v1.beta", source_name[] = "eas";
	static const struct crow_source_config source = {.name = source_name};
	struct crow_list_tally tally = {0};

	(void)state;
	strcpy(dir, "/tmp/crowfly-state-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	memset(&service, 0, sizeof(service));
	service.name = name;
	service.source = &source;
	service.taken_wall_s = 1700000000;
	for (size_t i = 0; i < 3; i++)
		crow_list_add(&service.list, NULL, ips[i], 80, (double)i * 50, i ? "a label" : "",
			      &tally);
	return crow_list_finish(&service.list, &tally) == CROW_LIST_OK ? 0 : -1;
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	crow_list_fini(&service.list);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command);
}

static const char *path_of(const char *file)
{
	static char path[sizeof(((struct sockaddr_un *)0)->sun_path)];

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	return path;
}

static bool exists(const char *file)
{
	struct stat st;

	return lstat(path_of(file), &st) == 0;
}

static size_t read_file(const char *file, char *out, size_t size)
{
	FILE *stream = fopen(path_of(file), "r");
	size_t n;

	assert_non_null(stream);
	n = fread(out, 1, size - 1, stream);
	out[n] = '\0';
	fclose(stream);
	return n;
}

static void write_file(const char *file, const char *bytes, size_t size)
{
	FILE *stream = fopen(path_of(file), "w");

	assert_non_null(stream);
	assert_int_equal(fwrite(bytes, 1, size, stream), size);
	assert_int_equal(fclose(stream), 0);
}

/* What crow_state_load() brought. */
static int loaded;
static char loaded_name[256];
static int64_t loaded_wall_s;
static struct crow_list loaded_list;

static void on_load(void *context, struct crow_state *found)
{
	assert_ptr_equal(context, &service);
	assert_string_equal(found->source, "eas");
	loaded++;
	strcpy(loaded_name, found->service);
	loaded_wall_s = found->taken_wall_s;
	crow_list_fini(&loaded_list);
	loaded_list = found->list;
	crow_list_init(&found->list);
}

static int load(void)
{
	loaded = 0;
	crow_state_load(dir, on_load, &service);
	return loaded;
}

static uint64_t bad_files(void)
{
	return atomic_load(&crow_counters.states_bad);
}

static void test_what_is_saved_is_loaded(void **state)
{
	(void)state;
	assert_true(crow_state_save(dir, &service));
	assert_int_equal(load(), 1);
	assert_string_equal(loaded_name, service.name);
	assert_int_equal(loaded_wall_s, 1700000000);
	assert_true(crow_list_equal(&loaded_list, &service.list));
	assert_false(exists(".tmp"));
	crow_list_fini(&loaded_list);
}

static void test_the_text(void **state)
{
	char text[1024];
	struct stat st;

	(void)state;
	assert_true(crow_state_save(dir, &service));
	read_file("mnist_v1.beta.list", text, sizeof(text));
	/* The checksum was computed by another program. */
	assert_string_equal(text, "crowfly-list 1\n"
				  "service mnist_v1.beta\n"
				  "source eas\n"
				  "taken 1700000000\n"
				  "10.0.0.1 80 0 \n"
				  "10.0.0.2 80 50 a label\n"
				  "2001:db8::1 80 100 a label\n"
				  "end 3 4efd4a99c580e535\n");
	assert_int_equal(stat(path_of("mnist_v1.beta.list"), &st), 0);
	assert_int_equal(st.st_mode & 022, 0);
}

static void test_names_of_files(void **state)
{
	static char odd[] = ".a/b %\"";
	static char dots[] = "..";
	char longest[CROW_NAME_MAX + 1];

	(void)state;
	service.name = odd;
	assert_true(crow_state_save(dir, &service));
	assert_true(exists("%2Ea%2Fb%20%25%22.list"));
	assert_int_equal(load(), 1);
	assert_string_equal(loaded_name, odd);
	crow_list_fini(&loaded_list);

	service.name = dots;
	assert_true(crow_state_save(dir, &service));
	assert_true(exists("%2E..list"));

	memset(longest, 'x', CROW_NAME_MAX);
	longest[CROW_NAME_MAX] = '\0';
	service.name = longest;
	assert_false(crow_state_save(dir, &service));
	assert_int_equal(errno, ENAMETOOLONG);
	longest[200] = '\0';
	assert_true(crow_state_save(dir, &service));
	longest[0] = '\n';
	assert_false(crow_state_save(dir, &service));
	assert_int_equal(errno, EINVAL);
	longest[0] = '\0';
	assert_false(crow_state_save(dir, &service));
}

static void test_saving_again_replaces(void **state)
{
	(void)state;
	assert_true(crow_state_save(dir, &service));
	service.list.items[0].weight = 77;
	assert_true(crow_state_save(dir, &service));
	assert_int_equal(load(), 1);
	assert_int_equal(loaded_list.items[0].weight, 77);
	crow_list_fini(&loaded_list);
}

/* A file size limit fails as a full disk does: after a part has been written. */
static void test_a_failed_write_leaves_the_old_file(void **state)
{
	struct rlimit before, tight;

	(void)state;
	assert_true(crow_state_save(dir, &service));
	service.list.items[0].weight = 77;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	tight = (struct rlimit){.rlim_cur = 20, .rlim_max = before.rlim_max};
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
	assert_false(crow_state_save(dir, &service));
	assert_int_equal(errno, EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_false(exists(".tmp"));
	assert_int_equal(load(), 1);
	assert_int_equal(loaded_list.items[0].weight, 0);
	crow_list_fini(&loaded_list);
}

static void test_nothing_to_save(void **state)
{
	(void)state;
	assert_true(crow_state_save(dir, &service));
	crow_list_fini(&service.list);
	assert_false(crow_state_save(dir, &service));
	assert_int_equal(errno, EINVAL);
	assert_int_equal(load(), 1);
	crow_list_fini(&loaded_list);
}

/* The temporary file is never one that was there before: it may lead elsewhere. */
static void test_the_temporary_name_is_not_followed(void **state)
{
	char text[8];

	(void)state;
	write_file("victim", "whole", 5);
	assert_int_equal(symlink("victim", path_of(".tmp")), 0);
	assert_true(crow_state_save(dir, &service));
	read_file("victim", text, sizeof(text));
	assert_string_equal(text, "whole");

	assert_int_equal(mkdir(path_of(".tmp"), 0700), 0); /* unlink() does not remove that */
	assert_false(crow_state_save(dir, &service));
	assert_int_equal(errno, EEXIST);
	assert_int_equal(rmdir(path_of(".tmp")), 0);
}

static void test_a_missing_directory(void **state)
{
	(void)state;
	assert_int_equal(rmdir(dir), 0);
	assert_int_equal(load(), 0);
	assert_false(crow_state_save(dir, &service));
	assert_int_equal(errno, ENOENT);
	assert_true(crow_state_open(dir));
	assert_true(crow_state_open(dir));
	assert_true(crow_state_save(dir, &service));
	assert_false(crow_state_open(path_of("mnist_v1.beta.list")));
	assert_int_equal(errno, ENOTDIR);
	assert_false(crow_state_open(path_of("none/such")));
}

/* A leftover of a daemon that was killed while it wrote. */
static void test_a_leftover_is_removed(void **state)
{
	(void)state;
	write_file(".tmp", "crowfly-list 1\nserv", 19);
	assert_int_equal(load(), 0);
	assert_false(exists(".tmp"));
}

/* No damage of one byte and no cut goes unnoticed. */
static void test_any_damage_is_noticed(void **state)
{
	struct crow_state found;
	char text[1024];
	const char *why;
	size_t size;

	(void)state;
	assert_true(crow_state_save(dir, &service));
	size = read_file("mnist_v1.beta.list", text, sizeof(text));
	for (size_t i = 0; i < size; i++) {
		char *cut = malloc(i + 1);

		assert_non_null(cut);
		memcpy(cut, text, i);
		assert_false(crow_state_parse(cut, i, &found, &why));
		assert_non_null(why);
		assert_null(found.list.items);
		free(cut);
		for (int bit = 0; bit < 8; bit++) {
			text[i] ^= (char)(1 << bit);
			assert_false(crow_state_parse(text, size, &found, &why));
			assert_null(found.list.items);
			text[i] ^= (char)(1 << bit);
		}
	}
	assert_false(crow_state_parse(text, size + 1, &found, &why));
	assert_true(crow_state_parse(text, size, &found, &why));
	assert_null(why);
	crow_list_fini(&found.list);
}

static uint64_t fnv1a(const char *bytes, size_t size)
{
	uint64_t sum = UINT64_C(14695981039346656037);

	for (size_t i = 0; i < size; i++)
		sum = (sum ^ (unsigned char)bytes[i]) * UINT64_C(1099511628211);
	return sum;
}

/* Whether a text parses that carries the right checksum, whatever it says. */
static bool parses(const char *text, const char *end, const char **why)
{
	struct crow_state found;
	char whole[1024];
	bool good;
	int size = snprintf(whole, sizeof(whole), "%send %s %016" PRIx64 "\n", text, end,
			    fnv1a(text, strlen(text)));

	good = crow_state_parse(whole, (size_t)size, &found, why);
	crow_list_fini(&found.list);
	return good;
}

#define HEAD "crowfly-list 1\nservice s\nsource e\ntaken 1\n"

static void test_whole_but_wrong(void **state)
{
	static const struct {
		const char *text, *end;
	} wrong[] = {
		{"", "0"},
		{HEAD, "0"},
		{HEAD "10.0.0.1 80 0 \n", "1"}, /* drained */
		{HEAD "10.0.0.1 80 1 \n", "0"},
		{HEAD "10.0.0.1 80 1 \n", "2"},
		{HEAD "10.0.0.1 80 1 \n", "262145"},
		{HEAD "10.0.0.1 80 1 \n", "99999999999999999999999"},
		{HEAD "10.0.0.1 80 1 \n", "-1"},
		{HEAD "10.0.0.1 80 1\n", "1"},
		{HEAD "10.0.0.1 0 1 \n", "1"},
		{HEAD "10.0.0.1 65536 1 \n", "1"},
		{HEAD "10.0.0.1 80 1000001 \n", "1"},
		{HEAD "10.0.0.1 80 -1 \n", "1"},
		{HEAD "10.0.0.1 80 1.5 \n", "1"},
		{HEAD "10.0.0.1  80 1 \n", "1"},
		{HEAD "10.0.0 80 1 \n", "1"},
		{HEAD "10.0.0.1 80 1 \x01\n", "1"},
		{HEAD "10.0.0.1 80 1 \n\n", "2"},
		{"crowfly-list 1\nservice s\n10.0.0.1 80 1 \n", "1"},
		{"crowfly-list 1\nservice \ntaken 1\n10.0.0.1 80 1 \n", "1"},
		{"crowfly-list 1\nservice s\ntaken -1\n10.0.0.1 80 1 \n", "1"},
		{"crowfly-list 1\nservice s\ntaken 999999999999999\n10.0.0.1 80 1 \n", "1"},
		{"crowfly-list 2\nservice s\ntaken 1\n10.0.0.1 80 1 \n", "1"},
		{"crowfly-list  1\nservice s\ntaken 1\n10.0.0.1 80 1 \n", "1"},
	};
	const char *why;

	(void)state;
	assert_true(parses(HEAD "10.0.0.1 80 1 \n", "1", &why));
	assert_true(parses(HEAD "127.0.0.1 80 0 a b\n::1 65535 1000000 \n", "2", &why));
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		if (parses(wrong[i].text, wrong[i].end, &why))
			fail_msg("taken: %send %s", wrong[i].text, wrong[i].end);
	}
	assert_false(parses(wrong[22].text, "1", &why));
	assert_string_equal(why, "its version of the format is unknown here");
}

static void test_damaged_files_are_set_aside(void **state)
{
	uint64_t before = bad_files();
	char text[1024];
	size_t size;

	(void)state;
	write_file("mnist_v1.beta.list.bad", "older", 5);
	write_file("empty.list", "", 0);
	write_file("future.list", "crowfly-list 99\nwhatever\n", 25);
	assert_true(crow_state_save(dir, &service));
	size = read_file("mnist_v1.beta.list", text, sizeof(text));
	write_file("another.list", text, size); /* a copy under a name that is not its own */
	text[40] ^= 1;
	write_file("mnist_v1.beta.list", text, size);
	write_file("README", "not ours", 8);

	assert_int_equal(load(), 0);
	assert_int_equal(bad_files(), before + 4);
	assert_true(exists("empty.list.bad"));
	assert_true(exists("future.list.bad"));
	assert_true(exists("another.list.bad"));
	assert_false(exists("mnist_v1.beta.list"));
	read_file("mnist_v1.beta.list.bad", text, 6);
	assert_string_equal(text, "crowf"); /* the newer one took the older one's place */
	assert_true(exists("README"));

	assert_int_equal(load(), 0);
	assert_int_equal(bad_files(), before + 4);
	assert_true(crow_state_save(dir, &service));
	assert_int_equal(load(), 1);
	crow_list_fini(&loaded_list);
}

static void bind_socket(const char *file)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path_of(file));
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
}

/* None of these is opened for longer than a look, and none of them hangs the start. */
static void test_what_is_no_regular_file(void **state)
{
	uint64_t before = bad_files();
	char target[sizeof(((struct sockaddr_un *)0)->sun_path)];
	int fd;

	(void)state;
	assert_true(crow_state_save(dir, &service));
	strcpy(target, path_of("real"));
	assert_int_equal(rename(path_of("mnist_v1.beta.list"), target), 0);
	assert_int_equal(symlink(target, path_of("mnist_v1.beta.list")), 0);
	assert_int_equal(symlink("/nowhere", path_of("dangling.list")), 0);
	assert_int_equal(mkfifo(path_of("fifo.list"), 0600), 0);
	assert_int_equal(mkdir(path_of("directory.list"), 0700), 0);
	bind_socket("socket.list");
	fd = open(path_of("sparse.list"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(ftruncate(fd, (off_t)1 << 40), 0);
	close(fd);

	assert_int_equal(load(), 0);
	assert_int_equal(bad_files(), before + 6);
	assert_true(exists("real"));
	assert_false(exists("fifo.list"));
	assert_true(crow_state_save(dir, &service));
	assert_int_equal(load(), 1);
	crow_list_fini(&loaded_list);
}

static void test_a_hundred_thousand(void **state)
{
	struct crow_list_tally tally = {0};

	(void)state;
	crow_list_fini(&service.list);
	for (uint32_t i = 0; i < 100000; i++) {
		uint8_t bytes[4] = {10, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};
		struct crow_addr addr = crow_addr_v4(bytes);

		assert_true(crow_list_append(&service.list, &addr, 50000, i + 1, "svc-label"));
		tally.seen++;
	}
	assert_int_equal(crow_list_finish(&service.list, &tally), CROW_LIST_OK);
	assert_true(crow_state_save(dir, &service));
	assert_int_equal(load(), 1);
	assert_true(crow_list_equal(&loaded_list, &service.list));
	crow_list_fini(&loaded_list);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_saved_is_loaded),
		TEST(the_text),
		TEST(names_of_files),
		TEST(saving_again_replaces),
		TEST(a_failed_write_leaves_the_old_file),
		TEST(nothing_to_save),
		TEST(the_temporary_name_is_not_followed),
		TEST(a_missing_directory),
		TEST(a_leftover_is_removed),
		TEST(any_damage_is_noticed),
		TEST(whole_but_wrong),
		TEST(damaged_files_are_set_aside),
		TEST(what_is_no_regular_file),
		TEST(a_hundred_thousand),
	};

	return cmocka_run_group_tests_name("state", tests, NULL, NULL);
}
