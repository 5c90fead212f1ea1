/* NAME PORT: for each number that comes as a line of input, so many times a look-up of NAME and a
 * blocking connect to its first address; then a line "CONNECTED FAILED". */
#include "snippet.h"

static int connect_once(const char *name, const char *port)
{
	const struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
	struct addrinfo *found;
	int fd, result;

	if (getaddrinfo(name, port, &hints, &found) != 0)
		return -1;
	fd = stream_socket();
	result = connect(fd, found->ai_addr, found->ai_addrlen);
	close(fd);
	freeaddrinfo(found);
	return result;
}

int main(int argc, char **argv)
{
	char line[32];

	MUST(argc == 3);
	while (fgets(line, sizeof(line), stdin) != NULL) {
		int connected = 0, failed = 0;

		for (int left = atoi(line); left > 0; left--) {
			if (connect_once(argv[1], argv[2]) == 0)
				connected++;
			else
				failed++;
		}
		printf("%d %d\n", connected, failed);
		fflush(stdout);
	}
	return 0;
}
