#include "cli/ask.h"

#include <arpa/nameser.h>
#include <errno.h>
#include <poll.h>
#include <resolv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* glibc gives a silent name server 5 s, twice; doctor need not wait for the second. */
#define LIBC_TIMEOUT_S 6u
#define DNS_TIMEOUT_MS 2000

static void add(struct crow_asked *out, const struct crow_addr *addr)
{
	for (size_t i = 0; i < out->count; i++)
		if (crow_addr_equal(&out->addrs[i], addr))
			return;
	if (out->count < CROW_ASK_MAX)
		out->addrs[out->count++] = *addr;
}

/* ---- libc ---- */

static void become_getent(int output, const char *library, const char *runtime_dir,
			  const char *name)
{
	if (dup2(output, STDOUT_FILENO) < 0)
		_exit(127);
	if (library) {
		setenv("LD_PRELOAD", library, 1);
		setenv("CROWFLY_RUNTIME_DIR", runtime_dir, 1);
	} else {
		unsetenv("LD_PRELOAD"); /* doctor itself may run below `crowfly run` */
	}
	alarm(LIBC_TIMEOUT_S); /* outlives execve() */
	execlp("getent", "getent", "ahosts", name, (char *)NULL);
	_exit(127);
}

/* Lines are "ADDRESS  STREAM NAME". */
static void read_getent(FILE *in, struct crow_asked *out)
{
	char *line = NULL;
	size_t size = 0;

	while (getline(&line, &size, in) > 0) {
		struct crow_addr addr;

		if (crow_addr_parse(line, strcspn(line, " \t\n"), &addr))
			add(out, &addr);
	}
	free(line);
}

void crow_ask_libc(const char *library, const char *runtime_dir, const char *name,
		   struct crow_asked *out)
{
	int pipes[2], status = 0;
	pid_t child;
	FILE *in;

	*out = (struct crow_asked){.answered = false};
	if (pipe(pipes) < 0)
		return;
	fflush(NULL);
	child = fork();
	if (child == 0)
		become_getent(pipes[1], library, runtime_dir, name);
	close(pipes[1]);
	in = fdopen(pipes[0], "r");
	if (in)
		read_getent(in, out);
	in ? fclose(in) : close(pipes[0]);
	while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	/* getent(1): 2 is "not found", an answer too. */
	out->answered = child > 0 && WIFEXITED(status) && WEXITSTATUS(status) <= 2;
}

/* ---- one question ---- */

static int open_towards(const struct crow_addr *server, uint16_t port)
{
	struct sockaddr_storage sa;
	sa_family_t family = crow_addr_is_v4(server) ? AF_INET : AF_INET6;
	socklen_t length = crow_addr_to_sockaddr(server, port, family, &sa);
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && connect(fd, (struct sockaddr *)&sa, length) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static void read_answer(const uint8_t *bytes, int size, struct crow_asked *out)
{
	ns_msg message;
	ns_rr record;

	if (ns_initparse(bytes, size, &message) < 0)
		return;
	out->answered = true;
	for (int i = 0; i < ns_msg_count(message, ns_s_an); i++) {
		struct crow_addr addr;

		if (ns_parserr(&message, ns_s_an, i, &record) < 0)
			return;
		if (ns_rr_type(record) == ns_t_a && ns_rr_rdlen(record) == 4)
			addr = crow_addr_v4(ns_rr_rdata(record));
		else if (ns_rr_type(record) == ns_t_aaaa && ns_rr_rdlen(record) == 16)
			addr = crow_addr_v6(ns_rr_rdata(record));
		else
			continue;
		add(out, &addr);
	}
}

static void ask_type(int fd, const char *name, int type, struct crow_asked *out)
{
	struct __res_state state = {0};
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	uint8_t query[NS_PACKETSZ], answer[NS_MAXMSG];
	int size;

	if (res_ninit(&state) < 0)
		return;
	size = res_nmkquery(&state, ns_o_query, name, ns_c_in, type, NULL, 0, NULL, query,
			    sizeof(query));
	res_nclose(&state);
	if (size < 0 || send(fd, query, (size_t)size, 0) != size ||
	    poll(&wait, 1, DNS_TIMEOUT_MS) <= 0)
		return;
	size = (int)recv(fd, answer, sizeof(answer), 0);
	if (size >= NS_HFIXEDSZ && memcmp(query, answer, 2) == 0) /* the id */
		read_answer(answer, size, out);
}

void crow_ask_dns(const struct crow_addr *server, uint16_t port, const char *name,
		  struct crow_asked *out)
{
	int fd = open_towards(server, port);

	*out = (struct crow_asked){.answered = false};
	if (fd < 0)
		return;
	ask_type(fd, name, ns_t_a, out);
	if (out->answered && out->count == 0)
		ask_type(fd, name, ns_t_aaaa, out);
	close(fd);
}
