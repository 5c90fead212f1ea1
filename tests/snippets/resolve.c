/* NODE SERVICE FAMILY SOCKTYPE PROTOCOL FLAGS ("-": NULL; flags "none": no hints): getaddrinfo,
 * with all that it answers. */
#include "snippet.h"

static const char *or_null(const char *text)
{
	return strcmp(text, "-") == 0 ? NULL : text;
}

static void print_node(const struct addrinfo *node)
{
	char host[NI_MAXHOST], port[NI_MAXSERV];

	MUST(getnameinfo(node->ai_addr, node->ai_addrlen, host, sizeof(host), port, sizeof(port),
			 NI_NUMERICHOST | NI_NUMERICSERV) == 0);
	printf("node %s %s family=%d type=%d protocol=%d flags=%#x len=%u name=%s\n", host, port,
	       node->ai_family, node->ai_socktype, node->ai_protocol, (unsigned)node->ai_flags,
	       node->ai_addrlen, node->ai_canonname != NULL ? node->ai_canonname : "-");
}

int main(int argc, char **argv)
{
	struct addrinfo hints = {0};
	struct addrinfo *list = NULL;
	int error;

	MUST(argc == 7);
	hints.ai_family = atoi(argv[3]);
	hints.ai_socktype = atoi(argv[4]);
	hints.ai_protocol = atoi(argv[5]);
	hints.ai_flags = (int)strtol(argv[6], NULL, 0);
	errno = EXDEV;
	error = getaddrinfo(or_null(argv[1]), or_null(argv[2]),
			    strcmp(argv[6], "none") == 0 ? NULL : &hints, &list);
	printf("result %d\n", error);
	for (const struct addrinfo *node = list; node != NULL; node = node->ai_next)
		print_node(node);
	if (error == 0) {
		printf("errno %s\n", strerrorname_np(errno));
		freeaddrinfo(list);
	}
	return 0;
}
