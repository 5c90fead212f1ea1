/*
 * What kind of program a file is, as far as LD_PRELOAD cares. Files are foreign bytes: every read
 * is a pread() that must be whole, and every table is walked to a bound.
 */
#ifndef CROW_ELF_H
#define CROW_ELF_H

#include <stdbool.h>
#include <stddef.h>

enum crow_elf_kind {
	CROW_ELF_NONE,    /* no ELF file, or a damaged one */
	CROW_ELF_DYNAMIC, /* the dynamic linker loads it, and with it LD_PRELOAD */
	CROW_ELF_STATIC,  /* nobody loads anything into it */
	CROW_ELF_GO,      /* makes system calls by itself, whether linked dynamically or not */
	CROW_ELF_MUSL,    /* of another C library, which the preload library is not built for */
	CROW_ELF_FOREIGN, /* of another architecture, word size or byte order than this program */
};

enum crow_elf_kind crow_elf_examine(int fd);

/* The kernel reads no more of a script than this (BINPRM_BUF_SIZE in linux/binfmts.h). */
#define CROW_SCRIPT_HEAD 256

/* If head starts with "#!": the interpreter, or where that is env(1) the command that env runs. */
bool crow_script_interpreter(const char *head, size_t size, char out[CROW_SCRIPT_HEAD]);

#endif
