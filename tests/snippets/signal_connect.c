/* NAME IP PORT [pending [both]]: resolves in a loop while a timer's handler connects, on a non-blocking
 * socket if it is to be pending: what is safe in a handler (signal-safety(7) lists connect, poll and
 * getsockopt) must stay so. With both, the loop itself connects like that, too, and is interrupted
 * anywhere in it. */
#include <signal.h>

#include "snippet.h"

#define CONNECTS 100

static struct sockaddr_in target;
static volatile sig_atomic_t connected, failed;

static int flags;

static int wait_for(int fd)
{
	struct pollfd ready = {.fd = fd, .events = POLLOUT};
	int count;

	do
		count = poll(&ready, 1, 10000);
	while (count < 0 && errno == EINTR);
	return count == 1 && int_option(fd, SOL_SOCKET, SO_ERROR) == 0 ? 0 : -1;
}

static int connect_once(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | flags, 0);
	int result = connect_to(fd, &target);

	if (result < 0 && errno == EINPROGRESS)
		result = wait_for(fd);
	close(fd);
	return result;
}

static void on_alarm(int signal)
{
	int saved = errno;

	(void)signal;
	if (connect_once() == 0)
		connected++;
	else
		failed++;
	errno = saved;
}

int main(int argc, char **argv)
{
	struct itimerval timer = {.it_interval.tv_usec = 1000, .it_value.tv_usec = 1000};
	struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
	int unresolved = 0, own_failed = 0;

	MUST(argc >= 4);
	flags = argc > 4 ? SOCK_NONBLOCK : 0;
	target = address_of(argv[2], argv[3]);
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	while (connected + failed < CONNECTS) {
		struct addrinfo *list;

		if (getaddrinfo(argv[1], "80", NULL, &list) != 0)
			unresolved++;
		else
			freeaddrinfo(list);
		if (argc > 5)
			own_failed += connect_once() != 0;
	}
	timer = (struct itimerval){0};
	setitimer(ITIMER_REAL, &timer, NULL);
	/* How many there were depends on who was quicker. */
	printf("failed %s\nunresolved %d\n", failed + own_failed > 0 ? "some" : "none", unresolved);
	return 0;
}
