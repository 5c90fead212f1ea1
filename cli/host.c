#include "cli/host.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool read_nameserver(const char *line, struct crow_addr *out)
{
	static const char keyword[] = "nameserver";
	size_t length;

	if (strncmp(line, keyword, sizeof(keyword) - 1) != 0)
		return false;
	line += sizeof(keyword) - 1;
	if (*line != ' ' && *line != '\t')
		return false;
	line += strspn(line, " \t");
	length = strcspn(line, " \t\r\n%"); /* %eth0 of a link-local address says where, not whom */
	return crow_addr_parse(line, length, out);
}

size_t crow_host_nameservers(const char *path, struct crow_addr out[CROW_NAMESERVERS_MAX])
{
	FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t size = 0, count = 0;

	if (!file)
		return 0;
	while (count < CROW_NAMESERVERS_MAX && getline(&line, &size, file) > 0)
		count += read_nameserver(line, &out[count]);
	free(line);
	fclose(file);
	return count;
}

/* A whole word: mdns4_minimal does not ask DNS. */
static bool has_word(const char *line, const char *word)
{
	static const char blanks[] = " \t\r\n";
	size_t length;

	for (line += strspn(line, blanks); *line; line += length + strspn(line + length, blanks)) {
		length = strcspn(line, blanks);
		if (length == strlen(word) && memcmp(line, word, length) == 0)
			return true;
	}
	return false;
}

bool crow_host_asks_dns(void)
{
	FILE *file = fopen("/etc/nsswitch.conf", "re");
	char *line = NULL;
	size_t size = 0;
	bool asks = true; /* without the file or the line glibc takes "files dns" */

	if (!file)
		return true;
	while (getline(&line, &size, file) > 0) {
		char *services = line + strspn(line, " \t");

		if (strncmp(services, "hosts:", 6) == 0)
			asks = has_word(services + 6, "dns") || has_word(services + 6, "resolve");
	}
	free(line);
	fclose(file);
	return asks;
}

static const void *address_bytes(const struct sockaddr *sa)
{
	if (sa->sa_family == AF_INET)
		return &((const struct sockaddr_in *)(const void *)sa)->sin_addr;
	return &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr;
}

static bool covers(const struct ifaddrs *interface, const struct crow_addr *addr)
{
	bool v4 = crow_addr_is_v4(addr);
	const uint8_t *own, *mask, *bytes = v4 ? crow_addr_v4_bytes(addr) : addr->bytes;

	if (!interface->ifa_addr || !interface->ifa_netmask ||
	    interface->ifa_addr->sa_family != (v4 ? AF_INET : AF_INET6))
		return false;
	own = address_bytes(interface->ifa_addr);
	mask = address_bytes(interface->ifa_netmask);
	for (size_t i = 0; i < (v4 ? 4u : 16u); i++)
		if ((own[i] ^ bytes[i]) & mask[i])
			return false;
	return true;
}

bool crow_host_is_onlink(const struct crow_addr *addr)
{
	struct ifaddrs *interfaces, *interface;

	if (getifaddrs(&interfaces) < 0)
		return false;
	interface = interfaces;
	while (interface && !covers(interface, addr))
		interface = interface->ifa_next;
	freeifaddrs(interfaces);
	return interface != NULL;
}
