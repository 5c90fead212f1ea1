#include "cli/face.h"

#include <stdlib.h>
#include <string.h>

/* "127.0.0.55:53" or "[::1]:53". */
static bool read_face(const char *text, size_t length, struct crow_face *out)
{
	const char *colon = memrchr(text, ':', length);
	size_t host = colon ? (size_t)(colon - text) : 0;
	unsigned long port = colon ? strtoul(colon + 1, NULL, 10) : 0;

	if (host > 2 && text[0] == '[' && text[host - 1] == ']') {
		text++;
		host -= 2;
	}
	if (port == 0 || port > UINT16_MAX || !crow_addr_parse(text, host, &out->addr))
		return false;
	out->port = (uint16_t)port;
	return true;
}

static void reach_wildcard(struct crow_addr *addr)
{
	static const uint8_t any[16], local4[4] = {127, 0, 0, 1}, local6[16] = {[15] = 1};

	if (crow_addr_is_v4(addr) && memcmp(crow_addr_v4_bytes(addr), any, 4) == 0)
		*addr = crow_addr_v4(local4);
	else if (memcmp(addr->bytes, any, 16) == 0)
		*addr = crow_addr_v6(local6);
}

/* What stands behind "<kind>=", up to a blank. */
static const char *find_kind(const char *text, const char *kind)
{
	size_t length = strlen(kind);

	for (text += strspn(text, " "); *text;
	     text += strcspn(text, " "), text += strspn(text, " "))
		if (strncmp(text, kind, length) == 0 && text[length] == '=')
			return text + length + 1;
	return NULL;
}

size_t crow_face_get(const struct crow_image *img, const char *kind,
		     struct crow_face out[CROW_FACES_MAX])
{
	const char *text =
		img->header ? find_kind(crow_image_string(img, img->header->faces), kind) : NULL;
	size_t count = 0;

	while (text && *text && *text != ' ' && count < CROW_FACES_MAX) {
		size_t length = strcspn(text, ", ");

		if (read_face(text, length, &out[count]))
			reach_wildcard(&out[count++].addr);
		text += length;
		text += *text == ',';
	}
	return count;
}
