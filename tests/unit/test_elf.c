/*
 * What kind of program a file is: files made here header by header, and real ones.
 */
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/elf.h"
#include "cli/program.h"

#define SEGMENTS 3
#define SECTIONS 2

/* A program as far as it is looked at. */
struct file {
	ElfW(Ehdr) header;
	ElfW(Phdr) segments[SEGMENTS];
	ElfW(Shdr) sections[SECTIONS];
	struct {
		ElfW(Nhdr) header;
		char name[4];
		char text[4];
	} notes[2];
	char interpreter[32];
	char names[32];
};

static void add_segment(struct file *file, uint32_t type, size_t offset, size_t size)
{
	file->segments[file->header.e_phnum++] =
		(ElfW(Phdr)){.p_type = type, .p_offset = offset, .p_filesz = size, .p_align = 4};
}

static void set_interpreter(struct file *file, const char *path)
{
	add_segment(file, PT_INTERP, offsetof(struct file, interpreter), strlen(path) + 1);
	strcpy(file->interpreter, path);
}

static void set_note(struct file *file, int index, const char name[4], uint32_t type)
{
	file->notes[index].header = (ElfW(Nhdr)){.n_namesz = 4, .n_descsz = 4, .n_type = type};
	memcpy(file->notes[index].name, name, 4);
}

static void add_notes(struct file *file)
{
	add_segment(file, PT_NOTE, offsetof(struct file, notes), sizeof(file->notes));
	set_note(file, 0, "GNU", NT_GNU_BUILD_ID);
}

/* Two sections: the second holds the names of both. */
static void add_sections(struct file *file, const char *name)
{
	file->header.e_shoff = offsetof(struct file, sections);
	file->header.e_shnum = SECTIONS;
	file->header.e_shstrndx = 1;
	file->sections[0].sh_name = 1;
	file->sections[1].sh_offset = offsetof(struct file, names);
	file->sections[1].sh_size = sizeof(file->names);
	strcpy(file->names + 1, name);
}

/* Class, byte order and machine are this program's own. */
static void init_file(struct file *file)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	memset(file, 0, sizeof(*file));
	assert_int_equal(pread(fd, &file->header, sizeof(file->header), 0), sizeof(file->header));
	close(fd);
	file->header.e_phoff = offsetof(struct file, segments);
	file->header.e_phnum = 0;
	file->header.e_shnum = 0;
	add_segment(file, PT_LOAD, 0, sizeof(*file));
}

static enum crow_elf_kind examine(const void *bytes, size_t size)
{
	int fd = memfd_create("program", MFD_CLOEXEC);
	enum crow_elf_kind kind;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, size), size);
	kind = crow_elf_examine(fd);
	close(fd);
	return kind;
}

static void test_dynamic_and_static(void **state)
{
	struct file file;

	(void)state;
	init_file(&file);
	assert_int_equal(examine(&file, sizeof(file)), CROW_ELF_STATIC);
	set_interpreter(&file, "/lib64/ld-linux-x86-64.so.2");
	assert_int_equal(examine(&file, sizeof(file)), CROW_ELF_DYNAMIC);
}

static void test_musl(void **state)
{
	struct file file;

	(void)state;
	init_file(&file);
	set_interpreter(&file, "/lib/ld-musl-x86_64.so.1");
	assert_int_equal(examine(&file, sizeof(file)), CROW_ELF_MUSL);
}

static void test_go_by_note_even_when_dynamic(void **state)
{
	struct file file;

	(void)state;
	init_file(&file);
	set_interpreter(&file, "/lib64/ld-linux-x86-64.so.2");
	add_notes(&file);
	assert_int_equal(examine(&file, sizeof(file)), CROW_ELF_DYNAMIC);
	set_note(&file, 1, "Go\0", 4);
	assert_int_equal(examine(&file, sizeof(file)), CROW_ELF_GO);
	set_note(&file, 1, "Go\0", 3);
	assert_int_equal(examine(&file, sizeof(file)), CROW_ELF_DYNAMIC);
}

static void test_go_by_section(void **state)
{
	struct file file;

	(void)state;
	init_file(&file);
	add_sections(&file, ".go.buildinfo");
	assert_int_equal(examine(&file, sizeof(file)), CROW_ELF_GO);
	add_sections(&file, ".go.buildinfos");
	assert_int_equal(examine(&file, sizeof(file)), CROW_ELF_STATIC);
}

static void test_foreign(void **state)
{
	struct file file;

	(void)state;
	init_file(&file);
	file.header.e_ident[EI_CLASS] ^= ELFCLASS32 ^ ELFCLASS64;
	assert_int_equal(examine(&file, sizeof(file)), CROW_ELF_FOREIGN);
	init_file(&file);
	file.header.e_ident[EI_DATA] ^= ELFDATA2LSB ^ ELFDATA2MSB;
	assert_int_equal(examine(&file, sizeof(file)), CROW_ELF_FOREIGN);
	init_file(&file);
	file.header.e_machine++;
	assert_int_equal(examine(&file, sizeof(file)), CROW_ELF_FOREIGN);
}

static void test_damaged(void **state)
{
	struct file file;

	(void)state;
	assert_int_equal(examine("", 0), CROW_ELF_NONE);
	assert_int_equal(examine("#!/bin/sh\n", 10), CROW_ELF_NONE);
	init_file(&file);
	assert_int_equal(examine(&file, sizeof(file.header) - 1), CROW_ELF_NONE);
	assert_int_equal(examine(&file, sizeof(file.header)), CROW_ELF_NONE);
	file.header.e_phoff = UINT64_MAX - 7;
	assert_int_equal(examine(&file, sizeof(file)), CROW_ELF_NONE);
	file.header.e_phoff = INT64_MAX;
	assert_int_equal(examine(&file, sizeof(file)), CROW_ELF_NONE);
	init_file(&file);
	file.header.e_phnum = UINT16_MAX;
	assert_int_equal(examine(&file, sizeof(file)), CROW_ELF_NONE);
	init_file(&file);
	file.header.e_phentsize--;
	assert_int_equal(examine(&file, sizeof(file)), CROW_ELF_NONE);
}

/* All of them lie in the file; but the kernel takes no more than 64 KiB of them. */
static void test_more_segments_than_the_kernel_takes(void **state)
{
	int fd = memfd_create("program", MFD_CLOEXEC);
	struct file file;

	(void)state;
	init_file(&file);
	file.header.e_phnum = UINT16_MAX;
	assert_int_equal(write(fd, &file, sizeof(file)), sizeof(file));
	assert_int_equal(ftruncate(fd, UINT16_MAX * 64L), 0);
	assert_int_equal(crow_elf_examine(fd), CROW_ELF_NONE);
	close(fd);
}

/* Offsets out of the file in what is only looked at for Go: the rest still counts. */
static void test_offsets_outside(void **state)
{
	struct file file;

	(void)state;
	init_file(&file);
	add_segment(&file, PT_NOTE, UINT64_MAX - 3, UINT64_MAX);
	assert_int_equal(examine(&file, sizeof(file)), CROW_ELF_STATIC);
	init_file(&file);
	add_notes(&file);
	file.notes[0].header.n_namesz = file.notes[0].header.n_descsz = UINT32_MAX;
	assert_int_equal(examine(&file, sizeof(file)), CROW_ELF_STATIC);
	init_file(&file);
	add_sections(&file, ".go.buildinfo");
	file.sections[0].sh_name = UINT32_MAX;
	assert_int_equal(examine(&file, sizeof(file)), CROW_ELF_STATIC);
	file.sections[1].sh_offset = UINT64_MAX;
	assert_int_equal(examine(&file, sizeof(file)), CROW_ELF_STATIC);
	file.header.e_shstrndx = UINT16_MAX;
	assert_int_equal(examine(&file, sizeof(file)), CROW_ELF_STATIC);
	file.header.e_shoff = UINT64_MAX;
	assert_int_equal(examine(&file, sizeof(file)), CROW_ELF_STATIC);
}

static void test_interpreters(void **state)
{
	static const struct {
		const char *head, *interpreter;
	} cases[] = {
		{"#!/bin/sh\necho", "/bin/sh"},
		{"#! /bin/sh -e\n", "/bin/sh"},
		{"#!\t/bin/bash", "/bin/bash"},
		{"#!/usr/bin/env python3\n", "python3"},
		{"#!/usr/bin/env -S python3 -u\n", "python3"},
		{"#!/usr/bin/env -S A=b -i node\n", "node"},
		{"#!env perl\n", "perl"},
		{"#!/usr/bin/myenv perl\n", "/usr/bin/myenv"},
		{"#!/usr/bin/env\n", NULL},
		{"#!/usr/bin/env -S\npython3", NULL},
		{"#!\n", NULL},
		{"#!", NULL},
		{"#", NULL},
		{"", NULL},
		{"/bin/sh", NULL},
	};
	char out[CROW_SCRIPT_HEAD];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool found = crow_script_interpreter(cases[i].head, strlen(cases[i].head), out);

		assert_int_equal(found, cases[i].interpreter != NULL);
		if (found)
			assert_string_equal(out, cases[i].interpreter);
	}
}

static void test_interpreter_as_long_as_the_head(void **state)
{
	char head[CROW_SCRIPT_HEAD + 10], out[CROW_SCRIPT_HEAD];

	(void)state;
	memset(head, 'x', sizeof(head));
	memcpy(head, "#!", 2);
	assert_true(crow_script_interpreter(head, sizeof(head), out));
	assert_int_equal(strlen(out), CROW_SCRIPT_HEAD - 2);
}

/* ---- programs by their names ---- */

struct dir {
	char path[64];
};

static int make_dir(void **state)
{
	struct dir *dir = calloc(1, sizeof(*dir));

	strcpy(dir->path, "/tmp/crowfly-elf-XXXXXX");
	*state = dir;
	return mkdtemp(dir->path) ? 0 : -1;
}

static int remove_dir(void **state)
{
	struct dir *dir = *state;
	static const char *const names[] = {"a", "b", "own"};
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir->path, names[i]);
		unlink(path);
	}
	rmdir(dir->path);
	free(dir);
	return 0;
}

static void write_program(const struct dir *dir, const char *name, const void *bytes, size_t size,
			  char path[PATH_MAX])
{
	int fd;

	snprintf(path, PATH_MAX, "%s/%s", dir->path, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, size), size);
	close(fd);
}

static void test_find(void **state)
{
	char path[PATH_MAX], found[PATH_MAX], old[PATH_MAX];
	struct dir *dir = *state;

	write_program(dir, "a", "#!/bin/sh\n", 10, path);
	snprintf(old, sizeof(old), "%s", getenv("PATH"));
	setenv("PATH", "", 1);
	assert_false(crow_program_find("a", found));
	setenv("PATH", dir->path, 1);
	assert_true(crow_program_find("a", found));
	assert_string_equal(found, path);
	assert_false(crow_program_find("b", found));
	assert_false(crow_program_find("", found));
	assert_false(crow_program_find(dir->path, found)); /* a directory */
	chmod(path, 0644);
	assert_false(crow_program_find(path, found));
	setenv("PATH", old, 1);
}

static void test_scripts_are_followed(void **state)
{
	char own[PATH_MAX], script[PATH_MAX], head[PATH_MAX + 32];
	struct crow_program program;
	struct dir *dir = *state;
	struct file file;

	init_file(&file);
	write_program(dir, "own", &file, sizeof(file), own);
	snprintf(head, sizeof(head), "#!%s\n", own);
	write_program(dir, "a", head, strlen(head), script);
	snprintf(head, sizeof(head), "#!/usr/bin/env %s\n", script);
	write_program(dir, "b", head, strlen(head), script);
	assert_true(crow_program_examine(script, &program));
	assert_int_equal(program.reach, CROW_REACH_STATIC);
	assert_string_equal(program.path, own);
}

static void test_script_of_itself(void **state)
{
	char path[PATH_MAX], head[PATH_MAX + 32];
	struct crow_program program;
	struct dir *dir = *state;

	snprintf(head, sizeof(head), "#!%s/a\n", dir->path);
	write_program(dir, "a", head, strlen(head), path);
	assert_true(crow_program_examine(path, &program));
	assert_int_equal(program.reach, CROW_REACH_PRELOAD);
}

static void test_reach(void **state)
{
	struct crow_program program;

	(void)state;
	assert_true(crow_program_examine("/proc/self/exe", &program));
	assert_int_equal(program.reach, CROW_REACH_PRELOAD);
	assert_null(crow_reach_strreason(program.reach));
	assert_false(crow_program_examine("/no/such/program", &program));
}

/* By a user for whom the bit raises something: root is no such user for a program of root's. */
static void test_setuid(void **state)
{
	char path[PATH_MAX];
	struct crow_program program;
	struct dir *dir = *state;
	struct file file;

	init_file(&file);
	set_interpreter(&file, "/lib64/ld-linux-x86-64.so.2");
	write_program(dir, "own", &file, sizeof(file), path);
	chmod(path, 04755);
	assert_true(crow_program_examine(path, &program));
	assert_int_equal(program.reach, CROW_REACH_PRELOAD);
	if (geteuid() != 0) {
		print_message("skipped: only root can make a file somebody else's\n");
		skip();
	}
	assert_int_equal(chown(path, 65534, 0), 0);
	chmod(path, 04755);
	assert_true(crow_program_examine(path, &program));
	assert_int_equal(program.reach, CROW_REACH_SECURE);
	assert_non_null(crow_reach_strreason(program.reach));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dynamic_and_static),
		cmocka_unit_test(test_musl),
		cmocka_unit_test(test_go_by_note_even_when_dynamic),
		cmocka_unit_test(test_go_by_section),
		cmocka_unit_test(test_foreign),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_more_segments_than_the_kernel_takes),
		cmocka_unit_test(test_offsets_outside),
		cmocka_unit_test(test_interpreters),
		cmocka_unit_test(test_interpreter_as_long_as_the_head),
		cmocka_unit_test_setup_teardown(test_find, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_scripts_are_followed, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_script_of_itself, make_dir, remove_dir),
		cmocka_unit_test(test_reach),
		cmocka_unit_test_setup_teardown(test_setuid, make_dir, remove_dir),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
