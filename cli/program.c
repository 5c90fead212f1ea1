#include "cli/program.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "cli/elf.h"

/* The kernel follows a chain of interpreters this far (exec_binprm in fs/exec.c). */
#define INTERPRETERS_MAX 5

static bool is_runnable(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

bool crow_program_find(const char *command, char path[PATH_MAX])
{
	const char *dir = getenv("PATH");

	if (strchr(command, '/')) {
		int length = snprintf(path, PATH_MAX, "%s", command);
		return length < PATH_MAX && is_runnable(path);
	}
	if (!dir)
		dir = "/bin:/usr/bin"; /* what execvp(3) takes then */
	for (const char *end; *command && dir; dir = *end ? end + 1 : NULL) {
		end = strchrnul(dir, ':');
		int length = snprintf(path, PATH_MAX, "%.*s%s%s", (int)(end - dir), dir,
				      end > dir ? "/" : "", command);
		if (length < PATH_MAX && is_runnable(path))
			return true;
	}
	return false;
}

/* Whether execve() would raise privileges, and the dynamic linker so drop LD_PRELOAD (AT_SECURE in
 * getauxval(3)). Root gains nothing by a root-owned file or by capabilities. */
static bool is_secure(int fd, const struct stat *st)
{
	if ((st->st_mode & S_ISUID) && st->st_uid != geteuid())
		return true;
	/* Without S_IXGRP the bit meant mandatory locking. */
	if ((st->st_mode & S_ISGID) && (st->st_mode & S_IXGRP) && st->st_gid != getegid())
		return true;
	return getuid() != 0 && fgetxattr(fd, "security.capability", NULL, 0) > 0;
}

static enum crow_reach reach_of_elf(enum crow_elf_kind kind)
{
	switch (kind) {
	case CROW_ELF_STATIC:
		return CROW_REACH_STATIC;
	case CROW_ELF_GO:
		return CROW_REACH_GO;
	case CROW_ELF_MUSL:
		return CROW_REACH_MUSL;
	case CROW_ELF_FOREIGN:
		return CROW_REACH_FOREIGN;
	case CROW_ELF_NONE:
	case CROW_ELF_DYNAMIC:
		break;
	}
	return CROW_REACH_PRELOAD;
}

/* What runs a file that is no ELF file: its interpreter, or the shell, as execvp(3) has it. */
static void read_interpreter(int fd, char interpreter[CROW_SCRIPT_HEAD])
{
	char head[CROW_SCRIPT_HEAD];
	ssize_t size = pread(fd, head, sizeof(head), 0);

	if (size < 0 || !crow_script_interpreter(head, (size_t)size, interpreter))
		strcpy(interpreter, "/bin/sh");
}

/* True if the file is a script; its own setuid bit means nothing then. */
static bool examine_file(struct crow_program *program, char interpreter[CROW_SCRIPT_HEAD])
{
	enum crow_elf_kind kind;
	struct stat st;
	int fd = open(program->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0) {
		/* Executable but unreadable: its bits can still be seen, its bytes not. */
		bool known = stat(program->path, &st) == 0;
		program->reach =
			known && is_secure(-1, &st) ? CROW_REACH_SECURE : CROW_REACH_PRELOAD;
		return false;
	}
	kind = crow_elf_examine(fd);
	program->reach = reach_of_elf(kind);
	if (kind == CROW_ELF_NONE)
		read_interpreter(fd, interpreter);
	else if (fstat(fd, &st) == 0 && is_secure(fd, &st))
		program->reach = CROW_REACH_SECURE;
	close(fd);
	return kind == CROW_ELF_NONE;
}

bool crow_program_examine(const char *command, struct crow_program *out)
{
	char interpreter[CROW_SCRIPT_HEAD];

	for (int i = 0; i <= INTERPRETERS_MAX; i++) {
		if (!crow_program_find(command, out->path))
			return i > 0; /* a missing interpreter is for execve() to report */
		if (!examine_file(out, interpreter))
			return true;
		command = interpreter;
	}
	return true;
}

const char *crow_reach_strreason(enum crow_reach reach)
{
	switch (reach) {
	case CROW_REACH_STATIC:
		return "is statically linked";
	case CROW_REACH_GO:
		return "is a Go program, which makes system calls by itself";
	case CROW_REACH_MUSL:
		return "is linked with musl, and the preload library is built for glibc";
	case CROW_REACH_FOREIGN:
		return "is built for another architecture";
	case CROW_REACH_SECURE:
		return "runs with raised privileges (setuid, setgid or file capabilities)";
	case CROW_REACH_PRELOAD:
		break;
	}
	return NULL;
}
