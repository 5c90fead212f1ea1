/* NAME PORT: a program that closes all descriptors but the standard ones, uses number 3 itself,
 * and has no free one at the end. */
#include <fcntl.h>
#include <sys/resource.h>

#include "snippet.h"

static void try_it(const char *when, const char *name, const char *port, int fd)
{
	struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
	struct addrinfo *list;
	int error = getaddrinfo(name, port, &hints, &list);

	printf("%s look-up %d\n", when, error);
	if (error == 0)
		printf("%s connect %s\n", when,
		       outcome(connect(fd, list->ai_addr, list->ai_addrlen)));
}

int main(int argc, char **argv)
{
	char text[6] = "";
	int file, fd;

	MUST(argc == 3);
	closefrom(3);
	file = open("/proc/self/comm", O_RDONLY);
	MUST(file == 3);
	try_it("closed", argv[1], argv[2], stream_socket());
	MUST(pread(file, text, 5, 0) == 5); /* still the file that was opened there */
	printf("read %s\n", text);
	fd = stream_socket();
	MUST(setrlimit(RLIMIT_NOFILE, &(struct rlimit){(rlim_t)fd + 1, (rlim_t)fd + 1}) == 0);
	try_it("none free", argv[1], argv[2], fd);
	return 0;
}
