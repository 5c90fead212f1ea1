/* HOW NAME: resolves and connects, locks itself in, and does both again, twice. HOW is a directory
 * to chroot() to, or "seccomp": a filter that refuses whatever opens files or looks at them. */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "snippet.h"

#define REFUSE(call)                                                                               \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_##call, 0, 1),                                    \
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM)

static void filter(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		REFUSE(openat),
		REFUSE(newfstatat),
		REFUSE(statx),
#ifdef __NR_open
		REFUSE(open),
		REFUSE(stat),
#endif
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};

	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

static void visit(const char *name)
{
	struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *list;
	int result = getaddrinfo(name, "80", &hints, &list);
	int fd;

	printf("lookup %d\n", result);
	if (result != 0)
		return;
	fd = stream_socket();
	printf("connect %s\n", outcome(connect(fd, list->ai_addr, list->ai_addrlen)));
	print_peer(fd);
	freeaddrinfo(list);
	close(fd);
}

int main(int argc, char **argv)
{
	MUST(argc == 3);
	visit(argv[2]);
	if (strcmp(argv[1], "seccomp") == 0)
		filter();
	else
		MUST(chroot(argv[1]) == 0);
	visit(argv[2]);
	visit(argv[2]);
	return 0;
}
