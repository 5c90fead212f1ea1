/* IP PORT restart|interrupt|once: a blocking connect while a timer's signal comes every 20 ms. With
 * SA_RESTART the program must not see EINTR, without it it must; also if the handler was set for one
 * signal alone ("once"), as signal() of System V does. */
#include <signal.h>

#include "snippet.h"

static volatile sig_atomic_t signals;

static void on_alarm(int signal)
{
	(void)signal;
	signals++;
}

int main(int argc, char **argv)
{
	struct sockaddr_in addr = address_of(argv[1], argv[2]);
	struct itimerval timer = {.it_interval.tv_usec = 20000, .it_value.tv_usec = 20000};
	struct sigaction action = {.sa_handler = on_alarm};
	struct pollfd ready = {.events = POLLOUT};
	int fd = stream_socket();
	int result;

	MUST(argc == 4);
	if (strcmp(argv[3], "restart") == 0)
		action.sa_flags = SA_RESTART;
	if (strcmp(argv[3], "once") == 0) {
		action.sa_flags = SA_RESETHAND;
		timer.it_interval.tv_usec = 0; /* a second one would end the program */
	}
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	result = connect_to(fd, &addr);
	printf("connect %s\n", outcome(result));
	printf("signals %s\n", signals > 0 ? "some" : "none");
	/* After EINTR the connection goes on by itself (connect(2)), or not. */
	ready.fd = fd;
	if (result < 0)
		printf("under way %s\n", poll(&ready, 1, 0) == 0 ? "yes" : "no");
	printf("SO_SNDTIMEO %d\n", (int)send_timeout_ms(fd));
	timer = (struct itimerval){0};
	setitimer(ITIMER_REAL, &timer, NULL);
	print_peer(fd);
	return 0;
}
