#include "daemon/dns/https.h"

#include "daemon/dns/choice.h"
#include "daemon/dns/target.h"

/* RFC 9460 14.3.2 */
enum { KEY_PORT = 3, KEY_IPV4HINT = 4, KEY_IPV6HINT = 6 };

/* Whether it fitted. */
static bool put_record(struct crow_reply *reply, const struct crow_snap_instance *instance,
		       const char *zone, uint16_t priority, uint32_t ttl_s)
{
	bool v4 = crow_addr_is_v4(&instance->addr);
	uint16_t size = v4 ? 4 : 16;
	struct crow_wire_writer *out = &reply->out;
	size_t start = crow_reply_open(reply, CROW_WIRE_HEADER, CROW_TYPE_HTTPS, ttl_s);

	crow_wire_put_u16(out, priority);
	crow_target_put(out, &instance->addr, zone);
	/* RFC 9460 2.2: keys rise. */
	crow_wire_put_u16(out, KEY_PORT);
	crow_wire_put_u16(out, 2);
	crow_wire_put_u16(out, instance->port);
	crow_wire_put_u16(out, v4 ? KEY_IPV4HINT : KEY_IPV6HINT);
	crow_wire_put_u16(out, size);
	crow_wire_put_bytes(out, v4 ? crow_addr_v4_bytes(&instance->addr) : instance->addr.bytes,
			    size);
	return crow_reply_close(reply, start);
}

/* Any few of them are a whole answer, as with addresses: what does not fit is left out. */
void crow_https_put(struct crow_reply *reply, const struct crow_image *img, uint32_t service,
		    const struct crow_answer_settings *settings)
{
	uint32_t picks[CROW_PICK_SEVERAL_MAX];
	uint64_t seq = crow_settings_next_seq(settings, service, CROW_ANY);
	size_t count = crow_choice_instances(img, service, CROW_ANY, seq, settings->answers, picks);
	const char *zone = crow_target_zone(img, service);

	for (size_t i = 0; i < count; i++) {
		if (!put_record(reply, &img->instances[picks[i]], zone, (uint16_t)(i + 1),
				settings->ttl_s))
			return;
		crow_given_mark(settings->given, picks[i], i == 0);
		reply->answers++;
	}
}
