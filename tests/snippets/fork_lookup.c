/* NAME PORT CHILDREN: resolves and connects, then each child does, and each child's child. Prints
 * every child's first address: children that inherit their parent's sequence would all agree. */
#include <sys/wait.h>

#include "snippet.h"

static int look_up(const char *name, const char *port, struct sockaddr_in *out)
{
	struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
	struct addrinfo *list;

	if (getaddrinfo(name, port, &hints, &list) != 0)
		return -1;
	memcpy(out, list->ai_addr, sizeof(*out));
	freeaddrinfo(list);
	return 0;
}

static int work(const char *name, const char *port)
{
	struct sockaddr_in addr;
	char text[INET_ADDRSTRLEN];
	int fd;

	if (look_up(name, port, &addr) < 0)
		return 1;
	fd = stream_socket();
	if (connect_to(fd, &addr) < 0)
		return 2;
	close(fd);
	printf("%s\n", inet_ntop(AF_INET, &addr.sin_addr, text, sizeof(text)));
	fflush(stdout);
	return 0;
}

int main(int argc, char **argv)
{
	int status, failures = 0;

	MUST(argc == 4);
	failures += work(argv[1], argv[2]) != 0;
	for (int i = 0; i < atoi(argv[3]); i++) {
		pid_t pid = fork();

		if (pid == 0) {
			int result = work(argv[1], argv[2]);

			if (result == 0 && fork() == 0)
				_exit(work(argv[1], argv[2]));
			if (result == 0 && wait(&status) > 0)
				result = status;
			_exit(result != 0);
		}
		failures += waitpid(pid, &status, 0) != pid || status != 0;
	}
	printf("failures %d\n", failures);
	return 0;
}
