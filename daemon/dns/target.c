#include "daemon/dns/target.h"

#include <string.h>

static size_t put_decimal(char *out, uint8_t value)
{
	size_t n = 0;

	if (value >= 100)
		out[n++] = (char)('0' + value / 100);
	if (value >= 10)
		out[n++] = (char)('0' + value / 10 % 10);
	out[n++] = (char)('0' + value % 10);
	return n;
}

static size_t format_v4(const uint8_t *bytes, char *out)
{
	size_t n = 2;

	memcpy(out, "ip", 2);
	for (int i = 0; i < 4; i++) {
		out[n++] = '-';
		n += put_decimal(out + n, bytes[i]);
	}
	return n;
}

static size_t format_v6(const uint8_t *bytes, char *out)
{
	static const char digits[] = "0123456789abcdef";
	size_t n = 4;

	memcpy(out, "ip6-", 4);
	for (int i = 0; i < 16; i++) {
		out[n++] = digits[bytes[i] >> 4];
		out[n++] = digits[bytes[i] & 15];
	}
	return n;
}

size_t crow_target_format(const struct crow_addr *addr, char out[CROW_TARGET_MAX])
{
	size_t n = crow_addr_is_v4(addr) ? format_v4(crow_addr_v4_bytes(addr), out)
					 : format_v6(addr->bytes, out);

	out[n] = '\0';
	return n;
}

void crow_target_put(struct crow_wire_writer *out, const struct crow_addr *addr, const char *zone)
{
	char label[CROW_TARGET_MAX];
	size_t length = crow_target_format(addr, label);

	crow_wire_put_u8(out, (uint8_t)length);
	crow_wire_put_bytes(out, label, length);
	crow_wire_put_name(out, zone);
}

const char *crow_target_zone(const struct crow_image *img, uint32_t service)
{
	return crow_image_string(img, img->zones[crow_image_service(img, service)->zone].name);
}

static bool read_v4(const char *text, const char *end, uint8_t bytes[4])
{
	for (int i = 0; i < 4; i++) {
		unsigned value = 0;

		if (text == end || *text++ != '-')
			return false;
		for (; text < end && *text >= '0' && *text <= '9' && value <= 255; text++)
			value = value * 10 + (unsigned)(*text - '0');
		if (value > 255)
			return false;
		bytes[i] = (uint8_t)value;
	}
	return text == end;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_v6(const char *text, uint8_t bytes[16])
{
	for (int i = 0; i < 16; i++) {
		int high = hex_value(text[2 * i]), low = hex_value(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		bytes[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

bool crow_target_parse(const char *label, size_t length, struct crow_addr *out)
{
	char canonical[CROW_TARGET_MAX];
	uint8_t bytes[16];

	if (length == 36 && memcmp(label, "ip6-", 4) == 0 && read_v6(label + 4, bytes))
		*out = crow_addr_v6(bytes);
	else if (length > 2 && memcmp(label, "ip", 2) == 0 &&
		 read_v4(label + 2, label + length, bytes))
		*out = crow_addr_v4(bytes);
	else
		return false;
	/* One name for each address: no leading zeros, no empty number, no v4-mapped IPv6. */
	return crow_target_format(out, canonical) == length &&
	       memcmp(label, canonical, length) == 0;
}
