/* HOW IP PORT: loops that wait by nothing that a library can see. HOW is raw (ppoll as a system
 * call, then SO_ERROR) or again (connect() until it says something else than "in progress"). */
#include <sys/syscall.h>

#include "waits.h"

static void wait_raw(int fd)
{
	struct pollfd ready = {.fd = fd, .events = POLLOUT};

	MUST(syscall(SYS_ppoll, &ready, 1, NULL, NULL, 8) == 1);
}

static void connect_again(int fd, const struct sockaddr_in *addr)
{
	struct pollfd nothing = {.fd = -1};
	int result;

	do
		poll(&nothing, 1, 1);
	while ((result = connect_to(fd, addr)) < 0 && errno == EALREADY);
	printf("again %s\n", outcome(result));
	printf("and again %s\n", outcome(connect_to(fd, addr)));
}

int main(int argc, char **argv)
{
	struct sockaddr_in addr = address_of(argv[2], argv[3]);
	int fd = nonblocking_socket();

	(void)argc;
	begin_connect(fd, &addr);
	if (strcmp(argv[1], "raw") == 0)
		wait_raw(fd);
	else
		connect_again(fd, &addr);
	print_end(fd);
	return 0;
}
