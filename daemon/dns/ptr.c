#include "daemon/dns/ptr.h"

#include <string.h>

#include "resolver/name.h"

/* An address is one service's as a rule, and programs show the first name. */
#define NAMES_MAX 4

/* ---- names of addresses ---- */

static bool ends_in(const char *text, size_t *length, const char *suffix)
{
	size_t size = strlen(suffix);

	if (*length <= size || memcmp(text + *length - size, suffix, size) != 0)
		return false;
	*length -= size;
	return true;
}

/* A number without needless zeros at the end of the text, and the dot before it. */
static bool take_decimal(const char *text, size_t *length, uint8_t *out)
{
	unsigned value = 0, unit = 1;
	size_t at = *length;

	for (; at > 0 && text[at - 1] >= '0' && text[at - 1] <= '9' && unit <= 100; unit *= 10)
		value += unit * (unsigned)(text[--at] - '0');
	if (unit == 1 || value > 255 || (text[at] == '0' && unit > 10) ||
	    (at > 0 && text[at - 1] != '.'))
		return false;
	*out = (uint8_t)value;
	*length = at > 0 ? at - 1 : 0;
	return true;
}

static bool read_v4(const char *text, size_t length, struct crow_addr *out)
{
	uint8_t bytes[4];

	for (int i = 0; i < 4; i++)
		if (!take_decimal(text, &length, &bytes[i]) || (length == 0) != (i == 3))
			return false;
	*out = crow_addr_v4(bytes);
	return true;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* 32 digits with dots between, the last digit of the address first. */
static bool read_v6(const char *text, size_t length, struct crow_addr *out)
{
	uint8_t bytes[16] = {0};

	if (length != 63)
		return false;
	for (size_t i = 0; i < 32; i++) {
		int value = hex_value(text[2 * i]);

		if (value < 0 || (i < 31 && text[2 * i + 1] != '.'))
			return false;
		bytes[15 - i / 2] |= (uint8_t)(value << (i % 2 ? 4 : 0));
	}
	*out = crow_addr_v6(bytes);
	return !crow_addr_is_v4(out); /* those have a name of their own */
}

bool crow_ptr_parse(const char *text, size_t length, struct crow_addr *out)
{
	if (ends_in(text, &length, ".in-addr.arpa"))
		return read_v4(text, length, out);
	return ends_in(text, &length, ".ip6.arpa") && read_v6(text, length, out);
}

/* ---- names of services ---- */

/* `<service>.<zone>` with `_` as `-`, which every program takes; as it is, where another service has
 * that name. False: it has neither. */
static bool make_name(const struct crow_image *img, uint32_t index, char out[CROW_NAME_MAX + 1])
{
	const struct crow_snap_service *service = crow_image_service(img, index);
	const char *label = crow_image_string(img, service->name);
	const char *zone = crow_image_string(img, img->zones[service->zone].name);
	size_t label_size = strlen(label), size = label_size + 1 + strlen(zone);

	if (size > CROW_NAME_MAX)
		return false;
	for (int hyphens = 1; hyphens >= 0; hyphens--) {
		const struct crow_snap_name *name;

		crow_name_fold(label, label_size, out);
		for (size_t i = 0; hyphens && i < label_size; i++)
			if (out[i] == '_')
				out[i] = '-';
		out[label_size] = '.';
		memcpy(out + label_size + 1, zone, strlen(zone) + 1);
		name = crow_image_find_name(img, out, size);
		if (name && name->kind == CROW_NAME_SERVICE && name->service == index)
			return true;
	}
	return false;
}

void crow_ptr_put(struct crow_reply *reply, const struct crow_image *img,
		  const struct crow_addr *addr, uint32_t ttl_s)
{
	char name[CROW_NAME_MAX + 1];
	uint32_t probe = 0, service;
	int count = 0;

	while (count < NAMES_MAX && crow_image_next_holder(img, addr, &probe, &service)) {
		size_t start;

		if (!make_name(img, service, name))
			continue;
		start = crow_reply_open(reply, CROW_WIRE_HEADER, CROW_TYPE_PTR, ttl_s);
		crow_wire_put_name(&reply->out, name);
		if (!crow_reply_close(reply, start))
			return;
		reply->answers++;
		count++;
	}
}
