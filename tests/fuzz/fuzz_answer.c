/*
 * DNS queries, by UDP or TCP as the first byte says. Whatever they are, a reply is a message that
 * keeps to its limit and whose counts are true.
 */
#include "daemon/dns/answer.h"
#include "tests/unit/fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct crow_published *make_image(void)
{
	static const struct fixture_item items[] = {
		{"10.0.0.1", 8001, 100}, {"10.0.0.2", 8002, 50}, {"2001:db8::1", 80, 1000000}};
	struct crow_published *image;
	struct fixture f;

	fixture_init(&f, "[source s]\nendpoint=http://127.0.0.1:1\nservices=one,two_b,none\n"
			 "[source d]\nendpoint=http://127.0.0.1:1\nservices=*\nzone=d.internal\n"
			 "[service one]\nalias=model.example.com\n");
	fixture_take(&f, "one", items, 3);
	fixture_take(&f, "two_b", items, 1);
	image = fixture_build(&f);
	fixture_fini(&f);
	return image;
}

static void check_reply(const struct crow_reply *reply, const struct crow_query *query)
{
	struct crow_wire_reader in = {.bytes = reply->bytes, .size = reply->size};
	unsigned questions, records;

	FIXTURE_MUST(reply->size <= query->limit);
	FIXTURE_MUST(crow_wire_get_u16(&in) == query->id);
	FIXTURE_MUST(crow_wire_get_u16(&in) & 0x8000);
	questions = crow_wire_get_u16(&in);
	records = crow_wire_get_u16(&in);
	records += crow_wire_get_u16(&in);
	records += crow_wire_get_u16(&in);
	FIXTURE_MUST(questions <= 1);
	if (questions == 1) {
		crow_wire_skip_name(&in);
		crow_wire_get_u32(&in);
	}
	for (; records > 0; records--) {
		crow_wire_skip_name(&in);
		crow_wire_get_bytes(&in, 8);
		crow_wire_get_bytes(&in, crow_wire_get_u16(&in));
	}
	FIXTURE_MUST(!in.failed && in.at == reply->size);
}

/* The reply to one who is over the rate: no larger than what it answers. */
static void check_truncated(struct crow_reply *reply, const uint8_t *data, size_t size)
{
	struct crow_query query;

	if (!crow_query_read(&query, data, size, false))
		return;
	crow_reply_truncate(reply, &query);
	check_reply(reply, &query);
	FIXTURE_MUST(reply->size <= size && reply->bytes[2] & 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct crow_published *image;
	static uint8_t bytes[CROW_QUERY_TCP_MAX];
	static uint64_t sequences[CROW_SEQUENCES];
	struct crow_answer_settings settings = {
		.ttl_s = 1, .answers = 32, .https = true, .sequences = sequences};
	struct crow_reply reply = {.bytes = bytes, .capacity = CROW_QUERY_UDP_MAX};
	struct crow_wanted wanted;
	struct crow_query query;
	bool stream;

	if (size == 0)
		return 0;
	if (!image)
		image = make_image();
	settings.given = image->given;
	stream = data[0] & 1;
	if (stream)
		reply.capacity = sizeof(bytes);
	switch (crow_answer(data + 1, size - 1, stream, &image->image, &settings, &query, &reply,
			    &wanted)) {
	case CROW_EXIT_ELSEWHERE:
		FIXTURE_MUST(query.rcode == CROW_RCODE_NOERROR && query.name_size > 0);
		crow_reply_refuse(&reply, &query, CROW_RCODE_REFUSED);
		check_reply(&reply, &query);
		break;
	case CROW_EXIT_WAIT:
		FIXTURE_MUST(strlen(wanted.name) <= query.text_size && wanted.timeout_ms > 0);
		crow_reply_refuse(&reply, &query, CROW_RCODE_SERVFAIL);
		check_reply(&reply, &query);
		break;
	case CROW_EXIT_REPLY:
		check_reply(&reply, &query);
		break;
	case CROW_EXIT_DROP:
		break;
	}
	check_truncated(&reply, data + 1, size - 1);
	return 0;
}
