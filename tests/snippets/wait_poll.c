/* CALL IP PORT: a non-blocking connect that is waited for by one of the calls that keep no state:
 * poll, ppoll, poll_chk, ppoll_chk, select, pselect, or select_high, on a descriptor above
 * FD_SETSIZE. */
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

#include "waits.h"

int __poll_chk(struct pollfd *fds, nfds_t count, int timeout_ms, size_t size);
int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
		const sigset_t *mask, size_t size);

#define HIGH 2000

static int wait_by_poll(const char *call, int fd)
{
	struct pollfd ready = {.fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP};
	const struct timespec timeout = {.tv_sec = 10};
	sigset_t none;
	int count;

	sigemptyset(&none);
	if (strcmp(call, "poll") == 0)
		count = poll(&ready, 1, 10000);
	else if (strcmp(call, "ppoll") == 0)
		count = ppoll(&ready, 1, &timeout, &none);
	else if (strcmp(call, "poll_chk") == 0)
		count = __poll_chk(&ready, 1, -1, sizeof(ready));
	else
		count = __ppoll_chk(&ready, 1, NULL, NULL, sizeof(ready));
	print_events("events", (uint32_t)ready.revents);
	return count;
}

static int wait_by_select(const char *call, int fd)
{
	unsigned long sets[3][(HIGH + 64) / 64] = {0};
	struct timeval timeout = {.tv_sec = 10};
	const struct timespec same = {.tv_sec = 10};
	unsigned long bit = 1ul << fd % 64;
	int count;

	for (int i = 0; i < 3; i++)
		sets[i][fd / 64] |= bit;
	if (strcmp(call, "pselect") == 0)
		count = pselect(fd + 1, (fd_set *)sets[0], (fd_set *)sets[1], (fd_set *)sets[2],
				&same, NULL);
	else
		count = select(fd + 1, (fd_set *)sets[0], (fd_set *)sets[1], (fd_set *)sets[2],
			       &timeout);
	printf("sets %d %d %d\n", (sets[0][fd / 64] & bit) != 0, (sets[1][fd / 64] & bit) != 0,
	       (sets[2][fd / 64] & bit) != 0);
	printf("time left %s\n",
	       timeout.tv_sec < 10 || strcmp(call, "pselect") == 0 ? "told" : "as before");
	return count;
}

int main(int argc, char **argv)
{
	struct rlimit many = {HIGH + 64, HIGH + 64};
	struct sockaddr_in addr = address_of(argv[2], argv[3]);
	int fd = nonblocking_socket();

	(void)argc;
	if (strcmp(argv[1], "select_high") == 0) {
		MUST(setrlimit(RLIMIT_NOFILE, &many) == 0);
		fd = fcntl(fd, F_DUPFD, HIGH);
		MUST(fd == HIGH);
	}
	begin_connect(fd, &addr);
	if (strstr(argv[1], "select") != NULL)
		printf("ready %d\n", wait_by_select(argv[1], fd));
	else
		printf("ready %d\n", wait_by_poll(argv[1], fd));
	print_end(fd);
	return 0;
}
