#include "daemon/value.h"

#include <stdio.h>
#include <string.h>

#include "resolver/name.h"

/* RFC 1035 2.3.4. */
#define LABEL_MAX 63

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS  "0123456789"

bool crow_value_is_word(const char *text)
{
	return *text != '\0' && text[strspn(text, LETTERS DIGITS "._-")] == '\0';
}

static bool is_label(const char *text, size_t len)
{
	return len >= 1 && len <= LABEL_MAX && text[0] != '-' && text[len - 1] != '-';
}

/* text is a word; labels with dots between, none empty. */
static bool are_labels(const char *text, size_t len)
{
	for (;;) {
		const char *dot = memchr(text, '.', len);
		size_t label = dot ? (size_t)(dot - text) : len;

		if (!is_label(text, label))
			return false;
		if (!dot)
			return true;
		text += label + 1;
		len -= label + 1;
	}
}

const char *crow_value_excess(const char *text)
{
	if (strlen(text) > CROW_NAME_MAX)
		return "it is longer than the 253 bytes that DNS allows; choose a shorter name";
	while (*text) {
		size_t label = strcspn(text, ".");

		if (label > LABEL_MAX)
			return "between dots it is longer than the 63 bytes that DNS allows; "
			       "choose a shorter name";
		text += label + (text[label] == '.');
	}
	return NULL;
}

bool crow_value_is_service(const char *text)
{
	size_t len = strlen(text);

	return len <= CROW_NAME_MAX && crow_value_is_word(text) && are_labels(text, len);
}

bool crow_value_is_name(const char *text)
{
	char folded[CROW_NAME_MAX + 1];
	struct crow_addr addr;

	size_t len = crow_name_fold(text, strlen(text), folded);
	return crow_value_is_service(folded) && !crow_addr_parse(folded, len, &addr);
}

static bool is_port(const char *text)
{
	uint32_t port;

	return crow_value_number(text, &port) && port >= 1 && port <= UINT16_MAX;
}

/* host[:port], host a name, an IPv4 address or an IPv6 address in brackets. */
static bool is_authority(const char *text)
{
	const char *after;
	struct crow_addr addr;
	char host[CROW_NAME_MAX + 1];

	if (text[0] == '[') {
		after = strchr(text, ']');
		if (!after || !crow_addr_parse(text + 1, (size_t)(after - text) - 1, &addr))
			return false;
		after++;
	} else {
		size_t len = strcspn(text, ":");

		if (len >= sizeof(host))
			return false;
		memcpy(host, text, len);
		host[len] = '\0';
		if (!crow_value_is_service(host))
			return false;
		after = text + len;
	}
	return after[0] == '\0' || (after[0] == ':' && is_port(after + 1));
}

bool crow_value_is_url(const char *text)
{
	char authority[CROW_NAME_MAX + sizeof(":65535")];

	if (strncmp(text, "http://", 7) == 0)
		text += 7;
	else if (strncmp(text, "https://", 8) == 0)
		text += 8;
	else
		return false;
	size_t len = strcspn(text, "/");
	if (len >= sizeof(authority) || strpbrk(text, " \t?#@\"\\<>") != NULL)
		return false;
	memcpy(authority, text, len);
	authority[len] = '\0';
	return is_authority(authority);
}

/* Reads digits at text and returns what follows them; NULL: none, or too large. */
static const char *read_digits(const char *text, uint32_t *out)
{
	const char *end = text + strspn(text, DIGITS);
	uint64_t value = 0;

	if (end == text)
		return NULL;
	for (; text < end; text++) {
		value = value * 10 + (uint64_t)(*text - '0');
		if (value > UINT32_MAX)
			return NULL;
	}
	*out = (uint32_t)value;
	return end;
}

bool crow_value_number(const char *text, uint32_t *out)
{
	uint32_t value;
	const char *end = read_digits(text, &value);

	if (!end || *end != '\0')
		return false;
	*out = value;
	return true;
}

/* From the largest, so that the first that divides a duration is how it is printed. */
static const struct unit {
	const char *name;
	uint32_t ms;
} units[] = {{"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};

#define UNIT_COUNT (sizeof(units) / sizeof(units[0]))

bool crow_value_duration_ms(const char *text, uint32_t *out_ms)
{
	uint32_t value;
	const char *unit = read_digits(text, &value);

	for (size_t i = 0; unit && i < UNIT_COUNT; i++) {
		uint64_t ms = (uint64_t)value * units[i].ms;

		if (strcmp(unit, units[i].name) != 0 || ms > UINT32_MAX)
			continue;
		*out_ms = (uint32_t)ms;
		return true;
	}
	return false;
}

void crow_value_format_duration(uint32_t ms, char out[CROW_DURATION_TEXT])
{
	const struct unit *unit = units;

	while (ms == 0 ? unit->ms != 1000 : ms % unit->ms != 0)
		unit++;
	snprintf(out, CROW_DURATION_TEXT, "%u%s", ms / unit->ms, unit->name);
}

/* Where an address ends and ":port" begins; NULL: there is no port. Two colons without brackets
 * are an IPv6 address alone. */
static const char *find_port(const char *text)
{
	const char *colon = strrchr(text, ':');

	if (text[0] == '[')
		return colon && colon > text && colon[-1] == ']' ? colon : NULL;
	return colon && strchr(text, ':') == colon ? colon : NULL;
}

bool crow_value_listen(const char *text, uint16_t default_port, struct crow_listen *out)
{
	const char *colon = find_port(text);
	size_t len = colon ? (size_t)(colon - text) : strlen(text);
	uint32_t port = default_port;
	struct crow_addr addr;

	if (colon && (!crow_value_number(colon + 1, &port) || port > UINT16_MAX))
		return false;
	if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
		text++;
		len -= 2;
		if (!memchr(text, ':', len)) /* brackets are for IPv6 (RFC 3986 3.2.2) */
			return false;
	}
	if (!crow_addr_parse(text, len, &addr))
		return false;
	out->addr = addr;
	out->port = (uint16_t)port;
	return true;
}

/* Not crow_addr_format() with the port: that leaves out port 0. */
void crow_value_format_listen(const struct crow_listen *listen, char out[CROW_LISTEN_TEXT])
{
	bool v4 = crow_addr_is_v4(&listen->addr);
	char addr[CROW_ENDPOINT_TEXT];

	crow_addr_format(&listen->addr, 0, addr);
	snprintf(out, CROW_LISTEN_TEXT, v4 ? "%s:%u" : "[%s]:%u", addr, listen->port);
}
