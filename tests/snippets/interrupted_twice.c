/* IP PORT [HOW]: a blocking connect that a signal interrupts, and then a second connect() that waits for
 * the first one's outcome, as the manual says: it must not go anywhere else. It is interrupted, too,
 * after a while, unless HOW has the word once: then a third one follows. With the word beside there is
 * another thread. */
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
	const char *how = argc > 3 ? argv[3] : "";
	int fd = stream_socket();

	if (strstr(how, "beside") != NULL)
		start_idle_thread();
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	printf("connect %s\n", outcome(connect_to(fd, &addr)));
	timer.it_value.tv_usec = 400000;
	if (strstr(how, "once") == NULL)
		setitimer(ITIMER_REAL, &timer, NULL);
	printf("again %s\n", outcome(connect_to(fd, &addr)));
	print_peer(fd);
	if (strstr(how, "once") != NULL)
		printf("then %s\n", outcome(connect_to(fd, &addr)));
	return 0;
}
