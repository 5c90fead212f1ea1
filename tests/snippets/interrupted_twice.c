/* IP PORT: a blocking connect that a signal interrupts, and then a second connect() that waits for
 * the first one's outcome, as the manual says: it must not go anywhere else. */
#include <signal.h>

#include "snippet.h"

static void on_alarm(int signal)
{
	(void)signal;
}

int main(int argc, char **argv)
{
	struct sockaddr_in addr = address_of(argv[1], argv[2]);
	struct itimerval timer = {.it_value.tv_usec = 20000};
	struct sigaction action = {.sa_handler = on_alarm};
	int fd = stream_socket();

	(void)argc;
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	printf("connect %s\n", outcome(connect_to(fd, &addr)));
	setitimer(ITIMER_REAL, &timer, NULL);
	printf("again %s\n", outcome(connect_to(fd, &addr)));
	print_peer(fd);
	return 0;
}
