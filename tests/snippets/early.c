/* IP PORT: a connect in a constructor, before main() and maybe before the constructors of others. */
#include "snippet.h"

static int early_result, early_errno;
static int early_fd;

static __attribute__((constructor(101))) void connect_early(int argc, char **argv)
{
	struct sockaddr_in addr;

	if (argc != 3)
		return;
	addr = address_of(argv[1], argv[2]);
	early_fd = stream_socket();
	early_result = connect_to(early_fd, &addr);
	early_errno = errno;
}

int main(void)
{
	errno = early_errno;
	printf("connect %s\n", outcome(early_result));
	print_peer(early_fd);
	return 0;
}
