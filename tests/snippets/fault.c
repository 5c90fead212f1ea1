/* An address that lies where nothing may be read. */
#include <sys/mman.h>

#include "snippet.h"

int main(int argc, char **argv)
{
	void *nothing = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)argc;
	(void)argv;
	MUST(nothing != MAP_FAILED);
	printf("connect %s\n", outcome(connect(stream_socket(), nothing, 16)));
	return 0;
}
