/* NAME FAMILY: the gethostbyname family: the buffer grows byte by byte until it is enough. */
#include "snippet.h"

/* glibc lays the lists of a numeric address out unaligned. */
static const char *item_at(char **list, size_t i)
{
	const char *item;

	memcpy(&item, (const char *)list + i * sizeof(item), sizeof(item));
	return item;
}

static void print_entry(const char *function, const struct hostent *entry)
{
	char text[INET6_ADDRSTRLEN];

	if (entry == NULL) {
		printf("%s none h_errno=%d\n", function, h_errno);
		return;
	}
	printf("%s name=%s type=%d length=%d aliases=%s\n", function, entry->h_name,
	       entry->h_addrtype, entry->h_length,
	       item_at(entry->h_aliases, 0) != NULL ? "some" : "none");
	for (size_t i = 0; item_at(entry->h_addr_list, i) != NULL; i++)
		printf("address %s\n", inet_ntop(entry->h_addrtype, item_at(entry->h_addr_list, i),
						 text, sizeof(text)));
}

/* Whether all that the entry points to lies inside of the buffer. */
static int is_inside(const struct hostent *entry, const char *buf, size_t size)
{
	const char *end = buf + size;
	size_t count = 0;

	while (item_at(entry->h_addr_list, count) != NULL)
		count++;
	return entry->h_name >= buf && entry->h_name + strlen(entry->h_name) < end &&
	       (const char *)entry->h_aliases >= buf &&
	       (const char *)(entry->h_addr_list + count + 1) <= end &&
	       item_at(entry->h_addr_list, 0) >= buf &&
	       item_at(entry->h_addr_list, count - 1) + entry->h_length <= end;
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
