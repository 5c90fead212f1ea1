/* NAME FAMILY: the gethostbyname family: the buffer grows byte by byte until it is enough. */
#include "snippet.h"

static void print_entry(const char *function, const struct hostent *entry)
{
	char text[INET6_ADDRSTRLEN];

	if (entry == NULL) {
		printf("%s none h_errno=%d\n", function, h_errno);
		return;
	}
	printf("%s name=%s type=%d length=%d aliases=%s\n", function, entry->h_name,
	       entry->h_addrtype, entry->h_length, entry->h_aliases[0] != NULL ? "some" : "none");
	for (char **at = entry->h_addr_list; *at != NULL; at++)
		printf("address %s\n", inet_ntop(entry->h_addrtype, *at, text, sizeof(text)));
}

/* Whether all that the entry points to lies inside of the buffer. */
static int is_inside(const struct hostent *entry, const char *buf, size_t size)
{
	const char *end = buf + size;
	char **last = entry->h_addr_list;

	while (*last != NULL)
		last++;
	return entry->h_name >= buf && entry->h_name + strlen(entry->h_name) < end &&
	       (const char *)entry->h_aliases >= buf && (const char *)(last + 1) <= end &&
	       entry->h_addr_list[0] >= buf && last[-1] + entry->h_length <= end;
}

int main(int argc, char **argv)
{
	int family = atoi(argv[2]);
	struct hostent entry, *result = &entry;
	int code = NETDB_SUCCESS;
	int error = ERANGE;
	char *buf = NULL;
	size_t size = 0;

	MUST(argc == 3);
	/* A block of just that size each time: a checker of memory sees what goes beyond. */
	for (; error == ERANGE && size < 65536; size++) {
		free(buf);
		buf = malloc(size + 1);
		error = gethostbyname2_r(argv[1], family, &entry, buf + 1, size, &result, &code);
		if (error == ERANGE && (result != NULL || code != NETDB_INTERNAL))
			printf("too small: result %s, code %d\n", result ? "set" : "NULL", code);
	}
	printf("gethostbyname2_r %s code=%d\n", error == 0 ? "0" : strerrorname_np(error), code);
	if (result != NULL)
		printf("inside %s\n", is_inside(result, buf + 1, size) ? "yes" : "no");
	print_entry("gethostbyname2_r", result);
	print_entry("gethostbyname2", gethostbyname2(argv[1], family));
	print_entry("gethostbyname", gethostbyname(argv[1]));
	free(buf);
	return 0;
}
