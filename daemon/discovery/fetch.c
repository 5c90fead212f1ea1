#include "daemon/discovery/fetch.h"

#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/log.h"
#include "resolver/name.h"

/* Connections kept open between polls, of all sources together. */
#define IDLE_CONNECTIONS 32L

/* What is read of the body of an error before the connection is given up rather than reused. */
#define ERROR_BODY_MAX (64u << 10)

/* A body from here on is given back to the system at once; malloc would keep it. */
#define LARGE_BODY (1u << 20)

struct crow_fetcher {
	struct crow_loop *loop;
	struct crow_hosts *hosts;
	CURLM *multi;
	struct crow_timer timer; /* the one that libcurl asks for */
	int64_t warned_ns;
};

/* A socket that libcurl wants watched, by a descriptor of our own. libcurl (7.88) closes a socket
 * that is still connecting before it says that it need not be watched any more, and without
 * CURLOPT_CLOSESOCKETFUNCTION: its number may be another thread's by then, and must not be touched.
 * A duplicate is ours until we close it. */
struct connection {
	struct crow_watch watch; /* of the duplicate */
	struct crow_fetcher *fetcher;
	curl_socket_t fd; /* what libcurl calls it */
};

struct crow_fetch {
	struct crow_fetcher *fetcher;
	struct crow_host_wait *wait; /* for the addresses of its host; NULL: not any more */
	struct crow_timer lookup_timer;
	struct curl_slist *resolved; /* host:port:addresses, for libcurl */
	char *host;                  /* NULL: the URL has an address */
	char *port;
	int64_t begun_ns;
	CURL *easy;
	crow_fetch_hook *done;
	void *context;
	uint32_t timeout_ms;
	char *body;
	size_t size, capacity, body_max;
	size_t ignored;   /* bytes of the body of an error */
	int socket_errno; /* of a socket that could not be opened, or not watched */
	bool encoded;     /* a Content-Encoding was seen */
	bool encoded_twice;
	bool oversize;
	bool no_memory;
	char error[CURL_ERROR_SIZE];
};

/* ---- the ends of transfers ---- */

static void fetch_free(struct crow_fetch *fetch)
{
	bool large = fetch->capacity >= LARGE_BODY;

	crow_timer_clear(fetch->fetcher->loop, &fetch->lookup_timer);
	if (fetch->wait)
		crow_hosts_cancel(fetch->wait);
	curl_easy_cleanup(fetch->easy);
	curl_slist_free_all(fetch->resolved);
	curl_free(fetch->host);
	curl_free(fetch->port);
	free(fetch->body);
	free(fetch);
	if (large)
		malloc_trim(0);
}

static long status_of(const struct crow_fetch *fetch)
{
	long status = 0;

	curl_easy_getinfo(fetch->easy, CURLINFO_RESPONSE_CODE, &status);
	return status;
}

static enum crow_fetch_end end_of(const struct crow_fetch *fetch, CURLcode code)
{
	switch (code) {
	case CURLE_OK:
		return CROW_FETCH_ANSWERED;
	case CURLE_OPERATION_TIMEDOUT:
		return CROW_FETCH_TIMEOUT;
	case CURLE_WRITE_ERROR: /* we ended it, or its encoding is broken */
		if (fetch->oversize)
			return CROW_FETCH_OVERSIZE;
		if (fetch->no_memory)
			return CROW_FETCH_NO_MEMORY;
		return fetch->ignored > 0 ? CROW_FETCH_ANSWERED : CROW_FETCH_GARBLED;
	case CURLE_OUT_OF_MEMORY:
		return CROW_FETCH_NO_MEMORY;
	case CURLE_BAD_CONTENT_ENCODING:
	case CURLE_UNSUPPORTED_PROTOCOL: /* HTTP/0.9, which is any bytes at all */
	case CURLE_WEIRD_SERVER_REPLY:
		return CROW_FETCH_GARBLED;
	default:
		return CROW_FETCH_CONNECT;
	}
}

/* "Connection refused" -> "connection refused": it stands within a sentence. */
static void name_errno(char *out, size_t size, int error)
{
	snprintf(out, size, "%s", strerror(error));
	out[0] = (char)tolower((unsigned char)out[0]);
}

static void name_timeout(const struct crow_fetch *fetch, char *out, size_t size)
{
	long sent = 0;
	const char *what = "no answer";

	if (fetch->socket_errno != 0) {
		name_errno(out, size, fetch->socket_errno);
		return;
	}
	curl_easy_getinfo(fetch->easy, CURLINFO_REQUEST_SIZE, &sent);
	if (sent == 0)
		what = "no connection";
	else if (status_of(fetch) != 0)
		what = "no whole answer";
	if (fetch->timeout_ms % 1000 == 0)
		snprintf(out, size, "%s within %u s", what, fetch->timeout_ms / 1000);
	else
		snprintf(out, size, "%s within %u ms", what, fetch->timeout_ms);
}

static void name_loss(const struct crow_fetch *fetch, CURLcode code, char *out, size_t size)
{
	long os_errno = 0;

	curl_easy_getinfo(fetch->easy, CURLINFO_OS_ERRNO, &os_errno);
	if (fetch->socket_errno != 0)
		name_errno(out, size, fetch->socket_errno);
	else if (code == CURLE_COULDNT_CONNECT && os_errno != 0)
		name_errno(out, size, (int)os_errno);
	else
		snprintf(out, size, "%s",
			 fetch->error[0] ? fetch->error : curl_easy_strerror(code));
}

static void name_status(const struct crow_fetch *fetch, char *out, size_t size)
{
	long status = status_of(fetch);
	const char *location = NULL;

	curl_easy_getinfo(fetch->easy, CURLINFO_REDIRECT_URL, &location);
	if (location)
		snprintf(out, size, "answered %ld; redirects are not followed, Location: %s",
			 status, location);
	else
		snprintf(out, size, "answered %ld", status);
}

static void name_cause(const struct crow_fetch *fetch, CURLcode code,
		       struct crow_fetch_answer *answer)
{
	char *out = answer->cause;
	size_t size = sizeof(answer->cause);

	switch (answer->end) {
	case CROW_FETCH_ANSWERED:
		if (answer->status != 200)
			name_status(fetch, out, size);
		break;
	case CROW_FETCH_TIMEOUT:
		name_timeout(fetch, out, size);
		break;
	case CROW_FETCH_CONNECT:
		name_loss(fetch, code, out, size);
		break;
	case CROW_FETCH_GARBLED:
		if (fetch->encoded_twice)
			snprintf(out, size, "the body is encoded more than once");
		else
			name_loss(fetch, code, out, size);
		break;
	case CROW_FETCH_OVERSIZE:
		snprintf(out, size, "the body is larger than %zu MiB", fetch->body_max >> 20);
		break;
	case CROW_FETCH_NO_MEMORY:
		snprintf(out, size, "not enough memory for the answer");
		break;
	}
}

/* Bytes of a stranger's header may be in it, and it goes to the log. */
static void make_printable(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 127)
			*text = '?';
}

static void finish(struct crow_fetch *fetch, CURLcode code)
{
	struct crow_fetch_answer answer = {.end = end_of(fetch, code), .body = ""};
	curl_off_t retry_after_s = 0;

	answer.status = (int)status_of(fetch);
	curl_easy_getinfo(fetch->easy, CURLINFO_RETRY_AFTER, &retry_after_s);
	if (retry_after_s > 0)
		answer.retry_after_s =
			retry_after_s < UINT32_MAX ? (uint32_t)retry_after_s : UINT32_MAX;
	if (answer.end == CROW_FETCH_ANSWERED && answer.status == 200 && fetch->size > 0) {
		answer.body = fetch->body;
		answer.size = fetch->size;
	}
	name_cause(fetch, code, &answer);
	make_printable(answer.cause);
	curl_multi_remove_handle(fetch->fetcher->multi, fetch->easy);
	fetch->done(fetch->context, &answer);
	fetch_free(fetch);
}

/* done() may start and cancel transfers: each message is fetched anew, and libcurl drops those of
 * a handle that is removed. */
static void finish_ended(struct crow_fetcher *fetcher)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(fetcher->multi, &left))) {
		CURLcode code = message->data.result;
		char *fetch = NULL;

		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &fetch);
		finish((struct crow_fetch *)(void *)fetch, code);
	}
}

/* ---- libcurl on the loop ---- */

/* libcurl announces a time-out when it changes. Ours may go off before libcurl's clock says so:
 * that one rounds to milliseconds and stands still during a suspend. Then it must be set again. */
static void keep_timer(struct crow_fetcher *fetcher)
{
	long timeout_ms = -1;

	if (fetcher->timer.armed)
		return;
	curl_multi_timeout(fetcher->multi, &timeout_ms);
	if (timeout_ms < 0)
		return;
	crow_timer_set(fetcher->loop, &fetcher->timer,
		       crow_now_ns() + (timeout_ms + 1) * INT64_C(1000000));
}

static void act(struct crow_fetcher *fetcher, curl_socket_t fd, int what)
{
	int running;

	curl_multi_socket_action(fetcher->multi, fd, what, &running);
	finish_ended(fetcher);
	keep_timer(fetcher);
}

static void on_due(struct crow_timer *timer, int64_t now_ns)
{
	(void)now_ns;
	act(crow_container(timer, struct crow_fetcher, timer), CURL_SOCKET_TIMEOUT, 0);
}

static void on_ready(struct crow_watch *watch, uint32_t events)
{
	struct connection *connection = crow_container(watch, struct connection, watch);
	int what = 0;

	if (events & EPOLLIN)
		what |= CURL_CSELECT_IN;
	if (events & EPOLLOUT)
		what |= CURL_CSELECT_OUT;
	if (events & (EPOLLERR | EPOLLHUP))
		what |= CURL_CSELECT_ERR;
	act(connection->fetcher, connection->fd, what); /* connection may be gone after it */
}

/* CURLMOPT_TIMERFUNCTION: libcurl must not be called from here. */
static int on_timeout_change(CURLM *multi, long timeout_ms, void *context)
{
	struct crow_fetcher *fetcher = context;

	(void)multi;
	if (timeout_ms < 0)
		crow_timer_clear(fetcher->loop, &fetcher->timer);
	else
		crow_timer_set(fetcher->loop, &fetcher->timer,
			       crow_now_ns() + timeout_ms * INT64_C(1000000));
	return 0;
}

static uint32_t events_for(int what)
{
	return (what & CURL_POLL_IN ? (uint32_t)EPOLLIN : 0) |
	       (what & CURL_POLL_OUT ? (uint32_t)EPOLLOUT : 0);
}

static struct connection *connection_new(struct crow_fetcher *fetcher, curl_socket_t fd,
					 uint32_t events)
{
	struct connection *connection = calloc(1, sizeof(*connection));

	if (!connection)
		return NULL;
	connection->fetcher = fetcher;
	connection->fd = fd;
	connection->watch.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	connection->watch.on_ready = on_ready;
	if (connection->watch.fd >= 0 &&
	    crow_loop_add(fetcher->loop, &connection->watch, events) == 0)
		return connection;
	if (connection->watch.fd >= 0)
		close(connection->watch.fd);
	free(connection);
	return NULL;
}

static void connection_free(struct connection *connection)
{
	if (!connection)
		return;
	crow_loop_remove(connection->fetcher->loop, &connection->watch);
	close(connection->watch.fd);
	free(connection);
}

/* What its time-out is to be explained by; 0: by the network. libcurl (8.10) has handles of its own,
 * that shut connections down, and those are no fetch. */
static void set_socket_errno(CURL *easy, int error)
{
	char *fetch = NULL;

	curl_easy_getinfo(easy, CURLINFO_PRIVATE, &fetch);
	if (fetch)
		((struct crow_fetch *)(void *)fetch)->socket_errno = error;
}

static void say_unwatched(struct crow_fetcher *fetcher, int error)
{
	if (crow_log_hourly(&fetcher->warned_ns, crow_now_ns()))
		crow_log(CROW_LOG_WARNING, "cannot watch a connection to discovery: %s",
			 strerror(error));
}

/* CURLMOPT_SOCKETFUNCTION. A descriptor that cannot be watched is no error here, which would end
 * all transfers: the one that it belongs to runs into its time-out. */
static int on_socket_change(CURL *easy, curl_socket_t fd, int what, void *context, void *assigned)
{
	struct crow_fetcher *fetcher = context;
	struct connection *connection = assigned;
	int error;

	if (what == CURL_POLL_REMOVE) {
		connection_free(connection);
		return 0;
	}
	if (connection) {
		crow_loop_modify(fetcher->loop, &connection->watch, events_for(what));
		return 0;
	}
	connection = connection_new(fetcher, fd, events_for(what));
	error = connection ? 0 : errno;
	set_socket_errno(easy, error);
	if (connection)
		curl_multi_assign(fetcher->multi, fd, connection);
	else
		say_unwatched(fetcher, error);
	return 0;
}

/* ---- one transfer ---- */

/* libcurl's own socket() leaves no errno behind, and descriptors that run out must be named. */
static curl_socket_t open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct crow_fetch *fetch = context;
	int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);

	(void)purpose;
	fetch->socket_errno = fd < 0 ? errno : 0;
	return fd < 0 ? CURL_SOCKET_BAD : fd;
}

static bool make_room(struct crow_fetch *fetch, size_t more)
{
	size_t wanted = fetch->capacity ? fetch->capacity : 4096;
	char *body;

	while (wanted < fetch->size + more)
		wanted *= 2;
	if (wanted == fetch->capacity)
		return true;
	body = realloc(fetch->body, wanted);
	if (!body) {
		fetch->no_memory = true;
		return false;
	}
	fetch->body = body;
	fetch->capacity = wanted;
	return true;
}

/* Decoded bytes. A return other than their number ends the transfer. */
static size_t on_body(char *bytes, size_t one, size_t size, void *context)
{
	struct crow_fetch *fetch = context;

	(void)one; /* is 1 */
	if (status_of(fetch) != 200) {
		fetch->ignored += size;
		return fetch->ignored <= ERROR_BODY_MAX ? size : 0;
	}
	if (size > fetch->body_max - fetch->size) {
		fetch->oversize = true;
		return 0;
	}
	if (!make_room(fetch, size))
		return 0;
	memcpy(fetch->body + fetch->size, bytes, size);
	fetch->size += size;
	return size;
}

/* libcurl undoes up to five encodings, one within the other, and shows the last one's bytes alone:
 * gigabytes could pass unseen in the middle. One is what is asked for. */
static size_t on_header(char *line, size_t one, size_t size, void *context)
{
	static const char field[] = "content-encoding:";
	struct crow_fetch *fetch = context;

	(void)one;
	if (size < sizeof(field) || strncasecmp(line, field, sizeof(field) - 1) != 0)
		return size;
	if (fetch->encoded || memchr(line, ',', size)) {
		fetch->encoded_twice = true;
		return 0;
	}
	fetch->encoded = true;
	return size;
}

static bool set_policy(CURL *easy, const char *url, uint32_t timeout_ms)
{
	const char *protocol = strncasecmp(url, "https:", 6) == 0 ? "https" : "http";

	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_HTTP09_ALLOWED, 0L);
	curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	/* These copy what they are given, or may be refused. */
	return curl_easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, protocol) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_NOPROXY, "*") == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "gzip") == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_USERAGENT, "crowfly/" CROW_VERSION) == CURLE_OK;
}

static void set_callbacks(CURL *easy, struct crow_fetch *fetch)
{
	curl_easy_setopt(easy, CURLOPT_PRIVATE, fetch);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, fetch->error);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, fetch);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, fetch);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, fetch);
}

/* ---- the host ---- */

/* Ends a transfer that never was libcurl's. */
static void give_up(struct crow_fetch *fetch, enum crow_fetch_end end, const char *cause)
{
	struct crow_fetch_answer answer = {.end = end, .body = ""};

	snprintf(answer.cause, sizeof(answer.cause), "%s", cause);
	make_printable(answer.cause);
	fetch->done(fetch->context, &answer);
	fetch_free(fetch);
}

/* "host:port:address,address", which libcurl takes for the answer of a resolver, in place of the one
 * that it may have from before; it tries the addresses in this order. */
static bool set_addresses(struct crow_fetch *fetch, const struct crow_host_answer *hosts)
{
	char line[CROW_NAME_MAX + CROW_HOST_ADDRESSES_MAX * CROW_ENDPOINT_TEXT];
	char address[CROW_ENDPOINT_TEXT];
	size_t used = (size_t)snprintf(line, sizeof(line), "%s:%s:", fetch->host, fetch->port);

	for (size_t i = 0; i < hosts->count && used < sizeof(line); i++) {
		bool v4 = crow_addr_is_v4(&hosts->addrs[i]);

		crow_addr_format(&hosts->addrs[i], 0, address);
		used += (size_t)snprintf(line + used, sizeof(line) - used, v4 ? "%s%s" : "%s[%s]",
					 i ? "," : "", address);
	}
	fetch->resolved = curl_slist_append(NULL, line);
	return fetch->resolved &&
	       curl_easy_setopt(fetch->easy, CURLOPT_RESOLVE, fetch->resolved) == CURLE_OK;
}

/* At least 1 ms: 0 would be no time-out at all. */
static long time_left_ms(const struct crow_fetch *fetch)
{
	int64_t left_ms = fetch->timeout_ms - (crow_now_ns() - fetch->begun_ns) / 1000000;

	return left_ms > 0 ? (long)left_ms : 1;
}

static void on_host(void *context, const struct crow_host_answer *answer)
{
	struct crow_fetch *fetch = context;

	fetch->wait = NULL;
	crow_timer_clear(fetch->fetcher->loop, &fetch->lookup_timer);
	if (answer->count == 0) {
		give_up(fetch, CROW_FETCH_CONNECT, answer->cause);
		return;
	}
	curl_easy_setopt(fetch->easy, CURLOPT_TIMEOUT_MS, time_left_ms(fetch));
	if (!set_addresses(fetch, answer) ||
	    curl_multi_add_handle(fetch->fetcher->multi, fetch->easy) != CURLM_OK)
		give_up(fetch, CROW_FETCH_NO_MEMORY, "not enough memory to begin");
}

static void on_lookup_late(struct crow_timer *timer, int64_t now_ns)
{
	struct crow_fetch *fetch = crow_container(timer, struct crow_fetch, lookup_timer);
	char cause[CROW_HOST_CAUSE];

	(void)now_ns;
	crow_hosts_describe(fetch->wait, cause);
	give_up(fetch, CROW_FETCH_TIMEOUT, cause);
}

static bool is_address(const char *host)
{
	struct crow_addr addr;
	size_t size = strlen(host);

	if (host[0] == '[') {
		host++;
		size -= 2;
	}
	return crow_addr_parse(host, size, &addr);
}

/* Takes the host's name and port out of the URL, if it has a name that must be looked up. What is no
 * URL, or not of HTTP, is libcurl's to refuse. False: no memory. */
static bool take_host(struct crow_fetch *fetch, const char *url)
{
	CURLU *parts = curl_url();
	CURLUcode code = parts ? curl_url_set(parts, CURLUPART_URL, url, 0) : CURLUE_OUT_OF_MEMORY;

	if (code == CURLUE_OK)
		code = curl_url_get(parts, CURLUPART_PORT, &fetch->port, CURLU_DEFAULT_PORT);
	if (code == CURLUE_OK)
		code = curl_url_get(parts, CURLUPART_HOST, &fetch->host, 0);
	curl_url_cleanup(parts);
	if (fetch->host && is_address(fetch->host)) {
		curl_free(fetch->host);
		fetch->host = NULL;
	}
	return code != CURLUE_OUT_OF_MEMORY;
}

/* What is left to do is libcurl's, at once or once the host's addresses are known. */
static bool begin(struct crow_fetch *fetch, const char *url)
{
	struct crow_fetcher *fetcher = fetch->fetcher;

	if (!take_host(fetch, url))
		return false;
	if (!fetch->host)
		return curl_multi_add_handle(fetcher->multi, fetch->easy) == CURLM_OK;
	fetch->begun_ns = crow_now_ns();
	fetch->wait = crow_hosts_ask(fetcher->hosts, fetch->host, on_host, fetch);
	fetch->lookup_timer.on_due = on_lookup_late;
	crow_timer_set(fetcher->loop, &fetch->lookup_timer,
		       fetch->begun_ns + fetch->timeout_ms * INT64_C(1000000));
	return fetch->wait != NULL;
}

struct crow_fetch *crow_fetch_start(struct crow_fetcher *fetcher, const char *url,
				    uint32_t timeout_ms, size_t body_max, crow_fetch_hook *done,
				    void *context)
{
	struct crow_fetch *fetch = calloc(1, sizeof(*fetch));

	if (!fetch)
		return NULL;
	fetch->fetcher = fetcher;
	fetch->timeout_ms = timeout_ms;
	fetch->body_max = body_max;
	fetch->done = done;
	fetch->context = context;
	fetch->easy = curl_easy_init();
	if (fetch->easy) {
		set_callbacks(fetch->easy, fetch);
		if (set_policy(fetch->easy, url, timeout_ms) && begin(fetch, url))
			return fetch;
	}
	fetch_free(fetch);
	return NULL;
}

void crow_fetch_cancel(struct crow_fetch *fetch)
{
	curl_multi_remove_handle(fetch->fetcher->multi, fetch->easy);
	fetch_free(fetch);
}

/* ---- the fetcher ---- */

struct crow_fetcher *crow_fetcher_new(struct crow_loop *loop, struct crow_hosts *hosts)
{
	struct crow_fetcher *fetcher = calloc(1, sizeof(*fetcher));

	if (!fetcher)
		return NULL;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		free(fetcher);
		return NULL;
	}
	fetcher->loop = loop;
	fetcher->hosts = hosts;
	fetcher->timer.on_due = on_due;
	fetcher->multi = curl_multi_init();
	if (!fetcher->multi) {
		crow_fetcher_free(fetcher);
		return NULL;
	}
	curl_multi_setopt(fetcher->multi, CURLMOPT_SOCKETFUNCTION, on_socket_change);
	curl_multi_setopt(fetcher->multi, CURLMOPT_SOCKETDATA, fetcher);
	curl_multi_setopt(fetcher->multi, CURLMOPT_TIMERFUNCTION, on_timeout_change);
	curl_multi_setopt(fetcher->multi, CURLMOPT_TIMERDATA, fetcher);
	curl_multi_setopt(fetcher->multi, CURLMOPT_MAXCONNECTS, IDLE_CONNECTIONS);
	curl_multi_setopt(fetcher->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
	return fetcher;
}

void crow_fetcher_free(struct crow_fetcher *fetcher)
{
	if (!fetcher)
		return;
	curl_multi_cleanup(fetcher->multi); /* still calls both callbacks */
	crow_timer_clear(fetcher->loop, &fetcher->timer);
	free(fetcher);
	curl_global_cleanup();
}
