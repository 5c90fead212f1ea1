/* NAME IP PORT: resolves in a loop while a timer's handler connects: what is safe in a handler
 * (signal-safety(7) lists connect) must stay so. */
#include <signal.h>

#include "snippet.h"

#define CONNECTS 100

static struct sockaddr_in target;
static volatile sig_atomic_t connected, failed;

static void on_alarm(int signal)
{
	int saved = errno;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)signal;
	if (connect_to(fd, &target) == 0)
		connected++;
	else
		failed++;
	close(fd);
	errno = saved;
}

int main(int argc, char **argv)
{
	struct itimerval timer = {.it_interval.tv_usec = 1000, .it_value.tv_usec = 1000};
	struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
	int unresolved = 0;

	MUST(argc == 4);
	target = address_of(argv[2], argv[3]);
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	while (connected + failed < CONNECTS) {
		struct addrinfo *list;

		if (getaddrinfo(argv[1], "80", NULL, &list) != 0)
			unresolved++;
		else
			freeaddrinfo(list);
	}
	timer = (struct itimerval){0};
	setitimer(ITIMER_REAL, &timer, NULL);
	printf("failed %d\nunresolved %d\n", (int)failed, unresolved);
	return 0;
}
