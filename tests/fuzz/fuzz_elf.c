/*
 * Programs that `crowfly run` looks at: ELF headers and the first line of scripts.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli/elf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char interpreter[CROW_SCRIPT_HEAD];
	int fd = memfd_create("program", MFD_CLOEXEC);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	crow_elf_examine(fd);
	close(fd);
	crow_script_interpreter((const char *)data, size, interpreter);
	return 0;
}
