#include "daemon/dns/txt.h"

#include <string.h>

/* RFC 1035 3.3: the length of a string is a byte. */
#define STRING_MAX 255

static void put_pair(struct crow_wire_writer *out, const char *key, const char *value)
{
	size_t key_size = strlen(key), size = strlen(value);

	if (size > STRING_MAX - 1 - key_size)
		size = STRING_MAX - 1 - key_size;
	crow_wire_put_u8(out, (uint8_t)(key_size + 1 + size));
	crow_wire_put_bytes(out, key, key_size);
	crow_wire_put_u8(out, '=');
	crow_wire_put_bytes(out, value, size);
}

static void put_number(struct crow_wire_writer *out, const char *key, uint64_t value)
{
	char digits[21] = "";
	size_t at = sizeof(digits) - 1;

	do
		digits[--at] = (char)('0' + value % 10);
	while ((value /= 10) > 0);
	put_pair(out, key, digits + at);
}

/* ---- time ---- */

static void format_decimal(char *out, int width, int64_t value)
{
	while (width-- > 0) {
		out[width] = (char)('0' + value % 10);
		value /= 10;
	}
}

/* The civil date of a day since 1970-01-01, by eras of 400 years that begin on 1 March, so that the
 * leap day is the last of a year (Howard Hinnant, "chrono-compatible low-level date algorithms"). */
static void format_date(int64_t days, char *out)
{
	int64_t shifted = days + 719468; /* since 0000-03-01 */
	int64_t era = shifted / 146097, day_of_era = shifted % 146097;
	int64_t year_of_era =
		(day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	int64_t day_of_year =
		day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int64_t month = (5 * day_of_year + 2) / 153; /* 0 is March */

	format_decimal(out, 4, era * 400 + year_of_era + (month >= 10));
	format_decimal(out + 5, 2, month < 10 ? month + 3 : month - 9);
	format_decimal(out + 8, 2, day_of_year - (153 * month + 2) / 5 + 1);
}

void crow_txt_format_time(int64_t wall_s, char out[CROW_TXT_TIME])
{
	const int64_t day_s = 86400, year_1 = -62135596800, year_10000 = 253402300800;
	int64_t since = wall_s - year_1;

	if (wall_s < year_1 || wall_s >= year_10000) {
		memcpy(out, "unknown", sizeof("unknown"));
		return;
	}
	memcpy(out, "0000-00-00T00:00:00Z", CROW_TXT_TIME);
	format_date(since / day_s + year_1 / day_s, out); /* 0001-01-01 is a whole day */
	format_decimal(out + 11, 2, since % day_s / 3600);
	format_decimal(out + 14, 2, since % 3600 / 60);
	format_decimal(out + 17, 2, since % 60);
}

/* ---- the record ---- */

/* A look at every instance: people ask for this, not programs. */
static void count_states(const struct crow_image *img, const struct crow_snap_service *service,
			 uint32_t counts[CROW_STATE_TOMBSTONE])
{
	memset(counts, 0, CROW_STATE_TOMBSTONE * sizeof(counts[0]));
	for (uint32_t i = 0; i < service->count; i++) {
		uint8_t state = img->instances[service->first + i].state;

		if (state < CROW_STATE_TOMBSTONE)
			counts[state]++;
	}
}

void crow_txt_put(struct crow_reply *reply, const struct crow_image *img, uint32_t index,
		  uint32_t ttl_s)
{
	const struct crow_snap_service *service = crow_image_service(img, index);
	struct crow_wire_writer *out = &reply->out;
	uint32_t counts[CROW_STATE_TOMBSTONE];
	char taken[CROW_TXT_TIME];
	size_t start = crow_reply_open(reply, CROW_WIRE_HEADER, CROW_TYPE_TXT, ttl_s);

	count_states(img, service, counts);
	crow_txt_format_time(service->taken_wall_s, taken);
	put_number(out, "instances", service->count);
	put_number(out, "up", counts[CROW_STATE_UP]);
	put_number(out, "ejected", counts[CROW_STATE_EJECTED]);
	put_number(out, "drained", counts[CROW_STATE_DRAINED]);
	put_number(out, "weight", service->total_weight);
	put_pair(out, "source", crow_image_string(img, service->source));
	put_pair(out, "taken", taken);
	put_pair(out, "stale", service->flags & CROW_SERVICE_STALE ? "yes" : "no");
	if (crow_reply_close(reply, start))
		reply->answers++;
	else
		reply->truncated = true;
}
