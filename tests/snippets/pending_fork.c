/* IP PORT: fork while a connect is under way: parent and child both wait for it. */
#include <sys/wait.h>

#include "waits.h"

int main(int argc, char **argv)
{
	struct sockaddr_in addr = address_of(argv[1], argv[2]);
	int fd = nonblocking_socket(), status;
	struct pollfd ready = {.fd = fd, .events = POLLOUT};
	pid_t child;

	(void)argc;
	begin_connect(fd, &addr);
	fflush(stdout);
	child = fork();
	MUST(child >= 0);
	if (child == 0) {
		/* A connect of its own, after its parent's. */
		int own = nonblocking_socket();
		struct pollfd mine = {.fd = own, .events = POLLOUT};

		MUST(connect_to(own, &addr) == -1 && errno == EINPROGRESS);
		MUST(poll(&mine, 1, 10000) == 1);
		_exit(int_option(own, SOL_SOCKET, SO_ERROR));
	}
	MUST(waitpid(child, &status, 0) == child);
	printf("child %s\n", strerrorname_np(WEXITSTATUS(status)));
	MUST(poll(&ready, 1, 10000) == 1);
	print_events("events", (uint32_t)ready.revents);
	print_end(fd);
	return 0;
}
