/* IP PORT SERVICE COUNT: so many non-blocking connects at a time, each with one request that the
 * servers count. */
#include <fcntl.h>

#include "waits.h"

#define CONNECTS_MAX 64

static void exchange(int fd, const char *service)
{
	char text[256];
	ssize_t got;
	int length = snprintf(text, sizeof(text),
			      "POST /api/predict/%s HTTP/1.1\r\nHost: x\r\n"
			      "Connection: close\r\nContent-Length: 4\r\n\r\nbody",
			      service);

	MUST(send(fd, text, (size_t)length, MSG_NOSIGNAL) == length);
	MUST(fcntl(fd, F_SETFL, 0) == 0);
	while ((got = recv(fd, text, sizeof(text), 0)) > 0)
		;
	MUST(got == 0);
}

int main(int argc, char **argv)
{
	struct sockaddr_in addr = address_of(argv[1], argv[2]);
	int count = atoi(argv[4]), left = count;
	struct pollfd fds[CONNECTS_MAX];

	(void)argc;
	MUST(count <= CONNECTS_MAX);
	for (int i = 0; i < count; i++) {
		fds[i] = (struct pollfd){.fd = nonblocking_socket(), .events = POLLOUT};
		MUST(connect_to(fds[i].fd, &addr) == -1 && errno == EINPROGRESS);
	}
	while (left > 0) {
		MUST(poll(fds, (nfds_t)count, 10000) > 0);
		for (int i = 0; i < count; i++) {
			if (fds[i].fd < 0 || fds[i].revents == 0)
				continue;
			MUST(int_option(fds[i].fd, SOL_SOCKET, SO_ERROR) == 0);
			exchange(fds[i].fd, argv[3]);
			close(fds[i].fd);
			fds[i].fd = -1;
			left--;
		}
	}
	printf("done %d\n", count);
	return 0;
}
