#include "daemon/inherit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/log.h"
#include "daemon/value.h"

#define FIRST_FD 3 /* SD_LISTEN_FDS_START */

/* A unit file has a handful. */
#define SOCKETS_MAX 256

struct inherited {
	int fd;
	bool usable; /* a socket for datagrams, or one that listens; of a family that we serve */
	bool used;
	int type;
	struct crow_listen at;
};

struct crow_inherited {
	size_t count;
	struct inherited sockets[];
};

static bool get_option(int fd, int option, int *value)
{
	socklen_t size = sizeof(*value);

	return getsockopt(fd, SOL_SOCKET, option, value, &size) == 0;
}

static bool find_address(int fd, struct crow_listen *at)
{
	struct sockaddr_storage sa;
	socklen_t size = sizeof(sa);

	return getsockname(fd, (struct sockaddr *)&sa, &size) == 0 &&
	       crow_addr_from_sockaddr((struct sockaddr *)&sa, size, &at->addr, &at->port);
}

/* A connection (Accept=yes in the unit) is of type SOCK_STREAM as well, but does not listen. */
static struct inherited look_at(int fd)
{
	struct inherited socket = {.fd = fd};
	int listens;

	fcntl(fd, F_SETFD, FD_CLOEXEC);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	socket.usable = get_option(fd, SO_TYPE, &socket.type) && find_address(fd, &socket.at) &&
			get_option(fd, SO_ACCEPTCONN, &listens) &&
			(socket.type == SOCK_DGRAM || (socket.type == SOCK_STREAM && listens));
	return socket;
}

/* A number in the environment; 0: there is none. */
static uint32_t get_number(const char *name)
{
	const char *text = getenv(name);
	uint32_t value;

	return text && crow_value_number(text, &value) ? value : 0;
}

struct crow_inherited *crow_inherited_take(void)
{
	bool ours = get_number("LISTEN_PID") == (uint32_t)getpid();
	size_t count = ours ? get_number("LISTEN_FDS") : 0;
	struct crow_inherited *inherited;

	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	if (count > SOCKETS_MAX)
		count = SOCKETS_MAX;
	inherited =
		count > 0 ? calloc(1, sizeof(*inherited) + count * sizeof(struct inherited)) : NULL;
	if (!inherited)
		return NULL;
	for (int fd = FIRST_FD; inherited->count < count && fcntl(fd, F_GETFD) >= 0; fd++)
		inherited->sockets[inherited->count++] = look_at(fd);
	return inherited;
}

int crow_inherited_dup(struct crow_inherited *inherited, const struct crow_listen *at, int type)
{
	for (size_t i = 0; inherited && i < inherited->count; i++) {
		struct inherited *socket = &inherited->sockets[i];

		if (!socket->usable || socket->type != type || socket->at.port != at->port ||
		    !crow_addr_equal(&socket->at.addr, &at->addr))
			continue;
		socket->used = true;
		return fcntl(socket->fd, F_DUPFD_CLOEXEC, 0);
	}
	return -1;
}

static void warn_unused(const struct inherited *socket)
{
	char text[CROW_LISTEN_TEXT] = "neither UDP nor a TCP port that listens";
	const char *type = socket->type == SOCK_DGRAM ? " (UDP)" : " (TCP)";

	if (socket->usable)
		crow_value_format_listen(&socket->at, text);
	crow_log(CROW_LOG_WARNING,
		 "the service manager handed over a socket that is of no use and was closed: %s%s "
		 "(descriptor %d); name its address in listen= of [dns] or [http], or remove it "
		 "from the socket unit",
		 text, socket->usable ? type : "", socket->fd);
}

void crow_inherited_close(struct crow_inherited *inherited)
{
	for (size_t i = 0; inherited && i < inherited->count; i++) {
		if (!inherited->sockets[i].used)
			warn_unused(&inherited->sockets[i]);
		close(inherited->sockets[i].fd);
	}
	free(inherited);
}
