/* first NAME COUNT [6]: looks NAME up COUNT times by getaddrinfo() and prints the first address of
 * each answer. Built with glibc, and with musl as a static program. */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
	struct addrinfo hints = {.ai_family = argc > 3 ? AF_INET6 : AF_INET,
				 .ai_socktype = SOCK_STREAM};
	struct addrinfo *found;
	char text[64];

	for (int i = atoi(argv[2]); i > 0; i--) {
		int error = getaddrinfo(argv[1], "80", &hints, &found);

		if (error) {
			fprintf(stderr, "%s\n", gai_strerror(error));
			return 1;
		}
		getnameinfo(found->ai_addr, found->ai_addrlen, text, sizeof(text), NULL, 0,
			    NI_NUMERICHOST);
		puts(text);
		freeaddrinfo(found);
	}
	return 0;
}
