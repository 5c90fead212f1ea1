#include "daemon/upstream/resolv_conf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PORT 53

/* Bytes. A usual file has 200; what systemd-resolved writes has 1000, most of it comments. */
#define FILE_MAX 16384

#define NDOTS_MAX 15 /* RES_MAXNDOTS of glibc */

/* The next word of a line, NULL at its end. */
static char *next_word(char **rest)
{
	char *word;

	do
		word = strsep(rest, " \t\r");
	while (word && *word == '\0');
	return word;
}

static void add_server(struct crow_resolv_conf *conf, const char *word)
{
	struct crow_listen *server = &conf->servers[conf->server_count];

	if (!word || conf->server_count == CROW_UPSTREAMS_MAX ||
	    !crow_addr_parse(word, strlen(word), &server->addr))
		return;
	server->port = PORT;
	conf->server_count++;
}

/* The last one of several lines counts. */
static void set_search(struct crow_resolv_conf *conf, char *rest)
{
	char *word;

	conf->search_count = 0;
	while ((word = next_word(&rest)) && conf->search_count < CROW_SEARCH_MAX)
		if (strlen(word) <= CROW_NAME_MAX)
			strcpy(conf->search[conf->search_count++], word);
}

static void set_options(struct crow_resolv_conf *conf, char *rest)
{
	char *word;

	while ((word = next_word(&rest)))
		if (strncmp(word, "ndots:", 6) == 0)
			conf->ndots = (uint32_t)strtoul(word + 6, NULL, 10);
	if (conf->ndots > NDOTS_MAX)
		conf->ndots = NDOTS_MAX;
}

static void read_line(struct crow_resolv_conf *conf, char *line)
{
	char *word;

	line[strcspn(line, "#;")] = '\0';
	word = next_word(&line);
	if (!word)
		return;
	if (strcmp(word, "nameserver") == 0)
		add_server(conf, next_word(&line));
	else if (strcmp(word, "search") == 0 || strcmp(word, "domain") == 0)
		set_search(conf, line);
	else if (strcmp(word, "options") == 0)
		set_options(conf, line);
}

void crow_resolv_conf_read(const char *text, size_t size, struct crow_resolv_conf *out)
{
	char copy[FILE_MAX + 1], *rest = copy, *line;

	memset(out, 0, sizeof(*out));
	out->ndots = 1;
	if (size > FILE_MAX)
		size = FILE_MAX;
	memcpy(copy, text, size);
	copy[size] = '\0';
	while ((line = strsep(&rest, "\n")))
		read_line(out, line);
}

bool crow_resolv_conf_load(const char *path, struct crow_resolv_conf *out)
{
	char text[FILE_MAX];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), error;
	ssize_t size;

	if (fd < 0)
		return false;
	size = read(fd, text, sizeof(text));
	error = errno;
	close(fd);
	errno = error;
	if (size < 0)
		return false;
	crow_resolv_conf_read(text, (size_t)size, out);
	return true;
}
