/* IP PORT: signals during waits for a connect that takes long. A handler ends each wait with EINTR,
 * SA_RESTART or not (signal(7)); a blocked signal does not, but where the call's own mask lets it
 * through. */
#include <signal.h>

#include "waits.h"

static void on_signal(int signal)
{
	(void)signal;
}

static void alarm_in_20_ms(void)
{
	const struct itimerval once = {.it_value.tv_usec = 20000};

	setitimer(ITIMER_REAL, &once, NULL);
}

static void check(const char *call, int result)
{
	printf("%s %s\n", call, outcome(result));
	alarm_in_20_ms();
}

int main(int argc, char **argv)
{
	struct sockaddr_in addr = address_of(argv[1], argv[2]);
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	int epfd = epoll_create1(EPOLL_CLOEXEC), fd = nonblocking_socket();
	struct pollfd ready = {.fd = fd, .events = POLLOUT};
	struct epoll_event event = {.events = EPOLLOUT};
	sigset_t none, alarm_set;
	fd_set set;

	(void)argc;
	sigaction(SIGALRM, &action, NULL);
	sigemptyset(&none);
	sigemptyset(&alarm_set);
	sigaddset(&alarm_set, SIGALRM);
	begin_connect(fd, &addr);
	MUST(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event) == 0);
	FD_ZERO(&set);
	FD_SET(fd, &set);
	alarm_in_20_ms();
	check("poll", poll(&ready, 1, -1));
	check("select", select(fd + 1, NULL, &set, NULL, NULL));
	check("epoll_wait", epoll_wait(epfd, &event, 1, -1));
	sigprocmask(SIG_BLOCK, &alarm_set, NULL);
	check("ppoll", ppoll(&ready, 1, NULL, &none));
	FD_SET(fd, &set);
	check("pselect", pselect(fd + 1, NULL, &set, NULL, NULL, &none));
	check("epoll_pwait", epoll_pwait(epfd, &event, 1, -1, &none));
	check("epoll_pwait2", epoll_pwait2(epfd, &event, 1, NULL, &none));
	check("blocked", poll(&ready, 1, 30) == 0 ? 0 : -1);
	return 0;
}
