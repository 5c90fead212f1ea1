#include "preload/names.h"

#include <string.h>

/* Written by the constructor, before there are threads. */
static const char *aliases;

static struct crow_recent recent;

void crow_names_open(const char *map)
{
	aliases = map;
}

/* Moves *text past the blanks before it; the length without those at its end. People write ", ". */
static size_t trim(const char **text, const char *end)
{
	while (*text < end && **text == ' ')
		(*text)++;
	while (end > *text && end[-1] == ' ')
		end--;
	return (size_t)(end - *text);
}

static size_t fold_trimmed(const char *text, const char *end, char out[CROW_NAME_MAX + 1])
{
	size_t len = trim(&text, end);

	return crow_name_fold(text, len, out);
}

/* The service of "host=service,..." whose folded host is name; its length, 0 if there is none. */
static size_t find_alias(const char *name, size_t len, const char **service)
{
	for (const char *entry = aliases; entry != NULL && *entry != '\0';) {
		size_t entry_len = strcspn(entry, ",");
		const char *equals = memchr(entry, '=', entry_len);
		char host[CROW_NAME_MAX + 1];

		if (equals != NULL && fold_trimmed(entry, equals, host) == len &&
		    memcmp(host, name, len) == 0) {
			*service = equals + 1;
			return trim(service, entry + entry_len);
		}
		entry += entry_len;
		entry += *entry == ',';
	}
	return 0;
}

/* Finds out->name in the image; false if the image says nothing about it. */
static bool find_entry(const struct crow_image *img, struct crow_host *out)
{
	const struct crow_snap_name *entry = crow_image_find_name(img, out->name, out->length);

	if (entry == NULL)
		return false;
	if (entry->kind == CROW_NAME_SERVICE) {
		out->kind = CROW_HOST_SERVICE;
		out->service = entry->service;
	}
	return true;
}

static void want_from(const struct crow_image *img, const struct crow_snap_zone *zone,
		      struct crow_host *out)
{
	/* The zone itself is no service. */
	if (zone->timeout_ms == 0 || strlen(crow_image_string(img, zone->name)) >= out->length)
		return;
	out->kind = CROW_HOST_WANTED;
	out->timeout_ms = zone->timeout_ms;
}

static bool set_name(struct crow_host *out, const char *service, size_t len, const char *zone)
{
	size_t zone_len = strlen(zone);

	len = crow_name_fold(service, len, out->name);
	if (len == 0 || len + 1 + zone_len > CROW_NAME_MAX)
		return false;
	out->name[len] = '.';
	memcpy(out->name + len + 1, zone, zone_len + 1);
	out->length = len + 1 + zone_len;
	return true;
}

/* An alias's target: a name as it stands, or in one of the zones; else to be asked for in the
 * first zone where that is possible. */
static void find_target(const struct crow_image *img, const char *service, size_t len,
			struct crow_host *out)
{
	uint32_t zones = img->header != NULL ? img->header->zones.count : 0;

	out->length = crow_name_fold(service, len, out->name);
	if (out->length == 0 || find_entry(img, out))
		return;
	for (uint32_t i = 0; i < zones; i++)
		if (set_name(out, service, len, crow_image_string(img, img->zones[i].name)) &&
		    find_entry(img, out))
			return;
	for (uint32_t i = 0; i < zones && out->kind == CROW_HOST_FOREIGN; i++)
		if (set_name(out, service, len, crow_image_string(img, img->zones[i].name)))
			want_from(img, &img->zones[i], out);
}

void crow_names_find(const struct crow_image *img, const char *host, struct crow_host *out)
{
	const struct crow_snap_zone *zone;
	const char *service;
	size_t len;

	out->kind = CROW_HOST_FOREIGN;
	out->length = crow_name_fold(host, strnlen(host, CROW_NAME_MAX + 2), out->name);
	if (out->length == 0)
		return;
	len = find_alias(out->name, out->length, &service);
	if (len > 0) {
		find_target(img, service, len, out);
		return;
	}
	if (find_entry(img, out))
		return;
	zone = crow_image_find_zone(img, out->name, out->length);
	if (zone != NULL)
		want_from(img, zone, out);
}

struct crow_recent *crow_names_recent(void)
{
	return &recent;
}
