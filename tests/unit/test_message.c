/* An upstream's reply, read and passed on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/dns/message.h"
#include "tests/unit/dns_script.h"

#define NAME "www.example"
#define BODY 29 /* 12 of the header, 13 of the name, 4 */

/* Reads from memory of the exact size, so that a sanitizer sees a read behind the end. What is read
 * must outlive this, so the copy is kept until the next call. */
static bool read_bytes(struct crow_message *message, const struct crow_query *asked,
		       const uint8_t *bytes, size_t size)
{
	static uint8_t *copy;

	free(copy);
	copy = malloc(size ? size : 1);
	assert_non_null(copy);
	memcpy(copy, bytes, size);
	return crow_message_read(message, asked, copy, size);
}

static bool read_script(struct crow_message *message, const struct crow_query *asked,
			const struct dns_script *s)
{
	assert_false(s->out.failed);
	return read_bytes(message, asked, s->bytes, s->out.at);
}

/* ---- whose reply it is ---- */

static void test_the_reply_to_a_question(void **state)
{
	struct crow_query query = dns_query(DNS_RD, NAME, DNS_A);
	struct crow_message message;
	struct dns_script s;

	(void)state;
	dns_begin(&s, DNS_QR | DNS_RA | DNS_AD, "wWw.eXample", DNS_A);
	dns_a(&s, DNS_OWNER, 60, 1);
	dns_counts(&s, 1, 0, 0);
	assert_true(read_script(&message, &query, &s));
	assert_int_equal(message.rcode, CROW_RCODE_NOERROR);
	assert_int_equal(message.answers, 1);
	assert_int_equal(message.authorities, 0);
	assert_int_equal(message.additionals, 0);
	assert_int_equal(message.body_size, 16);
	assert_int_equal(message.core_size, 16);
	assert_int_equal(message.ttl_count, 1);
	assert_int_equal(message.ttl_at[0], 6);
	assert_int_equal(message.ttl_s, 60);
	assert_int_equal(message.turn_count, 0);
	assert_true(message.authentic);
	assert_false(message.truncated || message.edns || message.negative);
}

static void test_replies_to_other_questions(void **state)
{
	struct crow_query query = dns_query(DNS_RD, NAME, DNS_A);
	struct crow_message message;
	struct dns_script s;

	(void)state;
	dns_begin(&s, DNS_QR, "wwx.example", DNS_A);
	assert_false(read_script(&message, &query, &s));
	dns_begin(&s, DNS_QR, "www.example.com", DNS_A);
	assert_false(read_script(&message, &query, &s));
	dns_begin(&s, DNS_QR, NAME, DNS_AAAA);
	assert_false(read_script(&message, &query, &s));
	dns_begin(&s, DNS_QR, NAME, DNS_A);
	s.bytes[BODY - 1] = 3; /* CHAOS */
	assert_false(read_script(&message, &query, &s));
	dns_begin(&s, DNS_RD, NAME, DNS_A); /* a query */
	assert_false(read_script(&message, &query, &s));
	dns_begin(&s, DNS_QR | 4 << 11, NAME, DNS_A); /* NOTIFY */
	assert_false(read_script(&message, &query, &s));
	dns_begin(&s, DNS_QR, NAME, DNS_A);
	crow_wire_patch_u16(&s.out, 4, 2); /* two questions */
	assert_false(read_script(&message, &query, &s));
	/* '@' and '`' differ by the bit of case and are no letters. */
	query = dns_query(DNS_RD, "a@b.example", DNS_A);
	dns_begin(&s, DNS_QR, "a`b.example", DNS_A);
	assert_false(read_script(&message, &query, &s));
}

static void test_every_cut_is_malformed(void **state)
{
	struct crow_query query = dns_query(DNS_RD, NAME, DNS_A);
	struct crow_message message;
	struct dns_script s;

	(void)state;
	dns_begin(&s, DNS_QR, NAME, DNS_A);
	dns_a(&s, DNS_OWNER, 60, 1);
	dns_soa(&s, DNS_OWNER, 60, 60);
	dns_opt(&s, 0);
	dns_counts(&s, 1, 1, 1);
	assert_true(read_script(&message, &query, &s));
	for (size_t cut = 0; cut < s.out.at; cut++)
		assert_false(read_bytes(&message, &query, s.bytes, cut));
}

static void test_a_failure_may_be_a_bare_header(void **state)
{
	struct crow_query query = dns_query(DNS_RD, NAME, DNS_A);
	uint8_t header[12] = {0x12, 0x34, 0x80, CROW_RCODE_FORMERR};
	struct crow_message message;

	(void)state;
	assert_true(read_bytes(&message, &query, header, sizeof(header)));
	assert_int_equal(message.rcode, CROW_RCODE_FORMERR);
	assert_int_equal(message.body_size, 0);
	header[3] = CROW_RCODE_NOERROR;
	assert_false(read_bytes(&message, &query, header, sizeof(header)));
	header[3] = CROW_RCODE_NXDOMAIN;
	assert_false(read_bytes(&message, &query, header, sizeof(header)));
}

static void test_counts_that_lie(void **state)
{
	struct crow_query query = dns_query(DNS_RD, NAME, DNS_A);
	struct crow_message message;
	struct dns_script s;

	(void)state;
	dns_begin(&s, DNS_QR, NAME, DNS_A);
	dns_a(&s, DNS_OWNER, 60, 1);
	dns_a(&s, DNS_OWNER, 60, 2);
	dns_counts(&s, 1, 0, 0);
	assert_false(read_script(&message, &query, &s));
	dns_counts(&s, 3, 0, 0);
	assert_false(read_script(&message, &query, &s));
	dns_counts(&s, 65535, 65535, 65535);
	assert_false(read_script(&message, &query, &s));
	dns_counts(&s, 1, 0, 1);
	assert_true(read_script(&message, &query, &s));
}

/* ---- names ---- */

/* An answer of one record with these bytes as its owner. */
static bool read_owner(const char *owner, size_t size)
{
	struct crow_query query = dns_query(DNS_RD, NAME, DNS_A);
	struct crow_message message;
	struct dns_script s;

	dns_begin(&s, DNS_QR, NAME, DNS_A);
	crow_wire_put_bytes(&s.out, owner, size);
	crow_wire_put_bytes(&s.out, "\0\x01\0\x01\0\0\0\x3c\0\x04\x0a\0\0\x01", 14);
	dns_counts(&s, 1, 0, 0);
	return read_script(&message, &query, &s);
}

static void test_names_that_end(void **state)
{
	(void)state;
	assert_true(read_owner("\xc0\x0c", 2));
	assert_true(read_owner("\xc0\x10", 2)); /* "example" of the question */
	assert_true(read_owner("\x01"
			       "a\xc0\x0c",
			       4));
	assert_true(read_owner("\0", 1));
	assert_true(read_owner("\xc0\x18", 2)); /* the question's root */
}

static void test_names_that_do_not(void **state)
{
	(void)state;
	assert_false(read_owner("\xc0\x1d", 2)); /* itself */
	assert_false(read_owner("\xc0\x1f", 2)); /* what follows */
	assert_false(read_owner("\x01"
				"a\xc0\x1d",
				4));             /* its own first label */
	assert_false(read_owner("\xc0\0", 2));   /* the header */
	assert_false(read_owner("\xc0\x0b", 2)); /* its last byte */
	assert_false(read_owner("\xff\xff", 2)); /* behind the end */
	assert_false(read_owner("\xc0\x0d", 2)); /* a letter is no length */
	assert_false(read_owner("\xc0\x1c", 2)); /* from the question's class into itself */
	assert_false(read_owner("\x40"
				"a\0",
				3)); /* the reserved types */
	assert_false(read_owner("\x80"
				"a\0",
				3));
}

static void test_labels_have_63_bytes_at_most(void **state)
{
	uint8_t label[1 + 191 + 1] = {0};

	(void)state;
	memset(label + 1, 'x', 191);
	for (size_t size = 1; size <= 191; size++) {
		label[0] = (uint8_t)size;
		label[1 + size] = 0;
		assert_int_equal(read_owner((const char *)label, size + 2), size <= 63);
		label[1 + size] = 'x';
	}
}

/* A chain of records, each owner a label of size bytes and a pointer to the owner before. */
static bool read_chain(size_t records, size_t label)
{
	struct crow_query query = dns_query(DNS_RD, NAME, DNS_A);
	struct crow_message message;
	size_t before = DNS_OWNER;
	struct dns_script s;

	dns_begin(&s, DNS_QR, NAME, DNS_A);
	for (size_t i = 0; i < records; i++) {
		size_t here = s.out.at;

		if (label > 0) {
			crow_wire_put_u8(&s.out, (uint8_t)label);
			for (size_t k = 0; k < label; k++)
				crow_wire_put_u8(&s.out, 'x');
		}
		dns_a(&s, before, 60, 1);
		before = here;
	}
	dns_counts(&s, (uint16_t)records, 0, 0);
	return read_script(&message, &query, &s);
}

static void test_the_longest_names(void **state)
{
	(void)state;
	/* 13 bytes of the question's, and 242 more; then one byte too many. */
	assert_true(read_chain(121, 1));
	assert_false(read_chain(122, 1));
	assert_true(read_chain(11, 21));
	assert_false(read_chain(12, 21));
}

static void test_pointers_to_pointers_are_bounded(void **state)
{
	(void)state;
	assert_true(read_chain(127, 0));
	assert_false(read_chain(128, 0));
}

/* A name that ran through a TTL would change from one reply to the next. */
static void test_a_name_in_the_fixed_part_of_a_record(void **state)
{
	struct crow_query query = dns_query(DNS_RD, NAME, DNS_A);
	struct crow_message message;

	(void)state;
	for (size_t at = BODY; at < BODY + 16; at++) {
		struct dns_script s;

		dns_begin(&s, DNS_QR, NAME, DNS_A);
		dns_record(&s, DNS_OWNER, DNS_A, 0);
		crow_wire_put_u32(&s.out, 0);
		dns_end(&s);
		dns_a(&s, at, 60, 2);
		dns_counts(&s, 2, 0, 0);
		/* The owner, and the data, which is four times the root. */
		assert_int_equal(read_script(&message, &query, &s), at == BODY || at >= BODY + 12);
	}
}

/* So would one that went on from there. */
static void test_a_pointer_in_the_fixed_part_of_a_record(void **state)
{
	struct crow_query query = dns_query(DNS_RD, NAME, DNS_A);
	struct crow_message message;
	struct dns_script s;

	(void)state;
	dns_begin(&s, DNS_QR, NAME, DNS_A);
	dns_a(&s, DNS_OWNER, 0xc00c0000, 1); /* this TTL is the question's name */
	dns_a(&s, BODY + 6, 60, 2);
	dns_counts(&s, 2, 0, 0);
	assert_false(read_script(&message, &query, &s));
	s.bytes[BODY + 17] = BODY; /* the owner before it */
	assert_true(read_script(&message, &query, &s));
}

/* ---- data ---- */

#define N "\1n\xc0\x0c" /* a name, in 4 bytes */

static const struct sample {
	uint16_t type;
	const char *data;
	size_t size;
} samples[] = {
	{1, "abcd", 4},
	{28, "abcdefghijklmnop", 16},
	{2, N, 4},
	{3, N, 4},
	{4, N, 4},
	{5, N, 4},
	{6, N N "aaaabbbbccccdddd\0\0\0\7", 28},
	{7, N, 4},
	{8, N, 4},
	{9, N, 4},
	{12, N, 4},
	{14, N N, 8},
	{15, "\0\1" N, 6},
	{17, N N, 8},
	{18, "\0\1" N, 6},
	{21, "\0\1" N, 6},
	{26, "\0\1" N N, 10},
	{33, "\0\1\0\2\0\3" N, 10},
	{35, "\0\1\0\2\1s\2ab\0" N, 14},
	{36, "\0\1" N, 6},
	{39, N, 4},
};

static bool read_data(uint16_t type, const char *data, size_t size)
{
	struct crow_query query = dns_query(DNS_RD, NAME, DNS_A);
	struct crow_message message;
	struct dns_script s;

	dns_begin(&s, DNS_QR, NAME, DNS_A);
	dns_record(&s, DNS_OWNER, type, 60);
	crow_wire_put_bytes(&s.out, data, size);
	dns_end(&s);
	dns_a(&s, DNS_OWNER, 60, 1); /* for data that reaches too far to reach into */
	dns_counts(&s, 1, 0, 1);
	return read_script(&message, &query, &s);
}

static void test_data_is_what_its_type_says(void **state)
{
	char longer[64] = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		const struct sample *sample = &samples[i];

		assert_true(read_data(sample->type, sample->data, sample->size));
		for (size_t cut = 0; cut < sample->size; cut++)
			assert_false(read_data(sample->type, sample->data, cut));
		memcpy(longer, sample->data, sample->size);
		longer[sample->size] = 0;
		assert_false(read_data(sample->type, longer, sample->size + 1));
	}
}

static void test_names_inside_data_are_followed(void **state)
{
	(void)state;
	assert_false(read_data(5, "\xc0\x29", 2));                    /* itself */
	assert_false(read_data(15, "\0\1\xff\xff", 4));               /* behind the end */
	assert_false(read_data(24, "abcdefghabcdefghab\x40x\0", 21)); /* SIG, a reserved type */
	assert_true(read_data(24, "abcdefghabcdefghab\1x\0signature", 30));
	assert_true(read_data(30, "\1x\0bits", 7)); /* NXT */
	assert_false(read_data(30, "\x80x\0bits", 7));
}

static void test_unknown_types_are_bytes(void **state)
{
	(void)state;
	assert_true(read_data(65000, "\xc0\x29\xff\xff", 4));
	assert_true(read_data(65000, "", 0));
	assert_true(read_data(16, "\xff", 1)); /* TXT: whoever asked must look himself */
}

/* ---- OPT ---- */

static void test_opt_and_what_follows_is_cut(void **state)
{
	struct crow_query query = dns_query(DNS_RD, NAME, DNS_A);
	struct crow_message message;
	struct dns_script s;

	(void)state;
	dns_begin(&s, DNS_QR | CROW_RCODE_REFUSED, NAME, DNS_A);
	dns_a(&s, DNS_OWNER, 60, 1);
	dns_a(&s, DNS_OWNER, 60, 2);
	dns_opt(&s, 0x12008000);
	dns_a(&s, DNS_OWNER, 60, 3);
	dns_counts(&s, 1, 0, 3);
	assert_true(read_script(&message, &query, &s));
	assert_true(message.edns);
	assert_int_equal(message.rcode, 0x125);
	assert_int_equal(message.answers, 1);
	assert_int_equal(message.additionals, 1);
	assert_int_equal(message.core_size, 16);
	assert_int_equal(message.body_size, 32);
	assert_int_equal(message.ttl_count, 2);
}

static void test_a_signature_of_the_transaction_is_cut(void **state)
{
	struct crow_query query = dns_query(DNS_RD, NAME, DNS_A);
	struct crow_message message;
	struct dns_script s;

	(void)state;
	dns_begin(&s, DNS_QR, NAME, DNS_A);
	dns_a(&s, DNS_OWNER, 60, 1);
	dns_record(&s, DNS_OWNER, 250, 0);
	s.bytes[s.out.at - 7] = 255; /* class ANY */
	dns_counts(&s, 1, 0, 1);
	assert_true(read_script(&message, &query, &s));
	assert_int_equal(message.additionals, 0);
	assert_int_equal(message.body_size, 16);
	assert_int_equal(message.ttl_s, 60);
}

static void test_opt_where_it_must_not_be(void **state)
{
	struct crow_query query = dns_query(DNS_RD, NAME, DNS_A);
	struct crow_message message;
	struct dns_script s;

	(void)state;
	dns_begin(&s, DNS_QR, NAME, DNS_A);
	dns_opt(&s, 0);
	dns_counts(&s, 1, 0, 0);
	assert_false(read_script(&message, &query, &s));
	dns_counts(&s, 0, 1, 0);
	assert_false(read_script(&message, &query, &s));
	dns_opt(&s, 0);
	dns_counts(&s, 0, 0, 2);
	assert_false(read_script(&message, &query, &s));
	dns_begin(&s, DNS_QR, NAME, DNS_A);
	dns_record(&s, DNS_OWNER, DNS_OPT, 0); /* not the root's */
	dns_counts(&s, 0, 0, 1);
	assert_false(read_script(&message, &query, &s));
}

static void test_other_classes_are_malformed(void **state)
{
	struct crow_query query = dns_query(DNS_RD, NAME, DNS_A);
	struct crow_message message;
	struct dns_script s;

	(void)state;
	dns_begin(&s, DNS_QR, NAME, DNS_A);
	dns_a(&s, DNS_OWNER, 60, 1);
	s.bytes[BODY + 5] = 3;
	dns_counts(&s, 1, 0, 0);
	assert_false(read_script(&message, &query, &s));
}

/* ---- how long it is kept ---- */

static uint32_t positive(uint32_t first_s, uint32_t second_s)
{
	struct crow_query query = dns_query(DNS_RD, NAME, DNS_A);
	struct crow_message message;
	struct dns_script s;

	dns_begin(&s, DNS_QR, NAME, DNS_A);
	dns_a(&s, DNS_OWNER, first_s, 1);
	dns_a(&s, DNS_OWNER, second_s, 2);
	dns_counts(&s, 1, 0, 1);
	assert_true(read_script(&message, &query, &s));
	assert_false(message.negative);
	return message.ttl_s;
}

static void test_the_least_ttl_counts(void **state)
{
	(void)state;
	assert_int_equal(positive(60, 50), 50);
	assert_int_equal(positive(50, 60), 50);
	assert_int_equal(positive(60, 0), 0);
	assert_int_equal(positive(7 * 86400, 7 * 86400), 86400);
	assert_int_equal(positive(60, 0x7fffffff), 60);
	assert_int_equal(positive(60, 0x80000000), 0); /* RFC 2181 8 */
}

/* NXDOMAIN or NODATA; soa_s < 0: without SOA. */
static uint32_t negative(uint16_t rcode, int64_t soa_s, uint32_t minimum_s)
{
	struct crow_query query = dns_query(DNS_RD, NAME, DNS_A);
	struct crow_message message;
	struct dns_script s;

	dns_begin(&s, DNS_QR | rcode, NAME, DNS_A);
	if (soa_s >= 0)
		dns_soa(&s, DNS_OWNER, (uint32_t)soa_s, minimum_s);
	dns_counts(&s, 0, soa_s >= 0, 0);
	assert_true(read_script(&message, &query, &s));
	assert_true(message.negative);
	return message.ttl_s;
}

static void test_negative_answers_are_kept_as_the_soa_says(void **state)
{
	(void)state;
	for (uint16_t rcode = 0; rcode <= 3; rcode += 3) { /* NOERROR, NXDOMAIN */
		assert_int_equal(negative(rcode, 60, 50), 50);
		assert_int_equal(negative(rcode, 50, 60), 50);
		assert_int_equal(negative(rcode, 86400, 86400), 3600);
		assert_int_equal(negative(rcode, 60, 0), 0);
		assert_int_equal(negative(rcode, 0, 60), 0);
		assert_int_equal(negative(rcode, 60, 0x80000000), 0);
		assert_int_equal(negative(rcode, -1, 0), 0);
	}
}

/* Neither an SOA nor an answer is one in another section. */
static void test_sections_count(void **state)
{
	struct crow_query query = dns_query(DNS_RD, NAME, DNS_A);
	struct crow_message message;
	struct dns_script s;

	(void)state;
	dns_begin(&s, DNS_QR, NAME, DNS_A);
	dns_soa(&s, DNS_OWNER, 60, 50);
	dns_counts(&s, 0, 0, 1);
	assert_true(read_script(&message, &query, &s));
	assert_int_equal(message.ttl_s, 0);
	dns_a(&s, DNS_OWNER, 60, 1);
	dns_counts(&s, 0, 1, 1);
	assert_true(read_script(&message, &query, &s));
	assert_true(message.negative);
	assert_int_equal(message.ttl_s, 50);
}

static void test_a_chain_that_ends_in_nothing_is_negative(void **state)
{
	struct crow_query query = dns_query(DNS_RD, NAME, DNS_A);
	struct crow_message message;
	struct dns_script s;

	(void)state;
	dns_begin(&s, DNS_QR, NAME, DNS_A);
	dns_record(&s, DNS_OWNER, DNS_CNAME, 40);
	crow_wire_put_name(&s.out, "other.example");
	dns_end(&s);
	dns_counts(&s, 1, 0, 0);
	assert_true(read_script(&message, &query, &s));
	assert_true(message.negative);
	assert_int_equal(message.ttl_s, 0);
	dns_soa(&s, DNS_OWNER + 4, 60, 50);
	dns_counts(&s, 1, 1, 0);
	assert_true(read_script(&message, &query, &s));
	assert_int_equal(message.ttl_s, 40);
	/* Who asked for the alias itself was answered. */
	query = dns_query(DNS_RD, NAME, DNS_CNAME);
	s.bytes[BODY - 3] = DNS_CNAME;
	assert_true(read_script(&message, &query, &s));
	assert_false(message.negative);
}

static void test_an_soa_in_the_answer_is_no_denial(void **state)
{
	struct crow_query query = dns_query(DNS_RD, NAME, DNS_SOA);
	struct crow_message message;
	struct dns_script s;

	(void)state;
	dns_begin(&s, DNS_QR, NAME, DNS_SOA);
	dns_soa(&s, DNS_OWNER, 600, 5);
	dns_counts(&s, 1, 0, 0);
	assert_true(read_script(&message, &query, &s));
	assert_false(message.negative);
	assert_int_equal(message.ttl_s, 600);
}

static void test_failures_are_kept_for_seconds(void **state)
{
	struct crow_query query = dns_query(DNS_RD, NAME, DNS_A);
	struct crow_message message;
	struct dns_script s;

	(void)state;
	for (uint16_t rcode = 1; rcode <= 10; rcode++) {
		dns_begin(&s, DNS_QR | rcode, NAME, DNS_A);
		assert_true(read_script(&message, &query, &s));
		if (rcode != CROW_RCODE_NXDOMAIN)
			assert_int_equal(message.ttl_s, 5);
	}
	crow_message_fail(&message, CROW_RCODE_SERVFAIL);
	assert_int_equal(message.ttl_s, 5);
}

static void test_what_has_too_many_records_is_not_kept(void **state)
{
	struct crow_query query = dns_query(DNS_RD, NAME, DNS_A);
	struct crow_message message;
	struct dns_script s;

	(void)state;
	dns_begin(&s, DNS_QR, NAME, DNS_A);
	for (unsigned i = 0; i < CROW_MESSAGE_TTLS_MAX; i++)
		dns_a(&s, DNS_OWNER, 60, (uint8_t)i);
	dns_counts(&s, CROW_MESSAGE_TTLS_MAX, 0, 0);
	assert_true(read_script(&message, &query, &s));
	assert_int_equal(message.ttl_s, 60);
	dns_a(&s, DNS_OWNER, 60, 0);
	dns_counts(&s, CROW_MESSAGE_TTLS_MAX + 1, 0, 0);
	assert_true(read_script(&message, &query, &s));
	assert_int_equal(message.ttl_s, 0);
	assert_int_equal(message.ttl_count, 0);
	assert_int_equal(message.turn_count, CROW_MESSAGE_TTLS_MAX + 1);
}

static void test_what_was_cut_has_no_body(void **state)
{
	struct crow_query query = dns_query(DNS_RD, NAME, DNS_A);
	struct crow_message message;
	struct dns_script s;

	(void)state;
	dns_begin(&s, DNS_QR | DNS_TC, NAME, DNS_A);
	dns_counts(&s, 7, 7, 7);
	crow_wire_put_u16(&s.out, 0xffff);
	assert_true(read_script(&message, &query, &s));
	assert_true(message.truncated);
	assert_int_equal(message.body_size, 0);
	assert_int_equal(message.answers, 0);
	assert_int_equal(message.ttl_s, 0);
}

/* ---- replies ---- */

struct told {
	uint8_t bytes[CROW_QUERY_TCP_MAX];
	struct crow_reply reply;
};

static void tell(struct told *told, const struct crow_message *message,
		 const struct crow_query *query, uint32_t age_s, uint32_t cap_s, uint64_t turn)
{
	told->reply = (struct crow_reply){.bytes = told->bytes, .capacity = sizeof(told->bytes)};
	memset(told->bytes, 0xee, sizeof(told->bytes));
	crow_message_reply(message, query, age_s, cap_s, turn, &told->reply);
}

static uint16_t flags_of(const struct told *told)
{
	return (uint16_t)(told->bytes[2] << 8 | told->bytes[3]);
}

static void test_a_reply_to_the_last_byte(void **state)
{
	static const uint8_t wanted[] = "\x12\x34"
					"\x81\x90" /* QR, RD; RA, CD */
					"\0\x01\0\x01\0\0\0\x01"
					"\x03WwW\x07"
					"eXaMPLE\0\0\x01\0\x01"
					"\xc0\x0c\0\x01\0\x01\0\0\0\x35\0\x04\x0a\0\0\x09"
					"\0\0\x29\x04\xd0\0\0\x80\0\0\0"; /* OPT: 1232, DO */
	struct crow_query query = dns_query(DNS_RD, NAME, DNS_A);
	struct crow_message message;
	struct dns_script s;
	struct told told;

	(void)state;
	dns_begin(&s, DNS_QR | DNS_AA | DNS_RA, NAME, DNS_A);
	dns_a(&s, DNS_OWNER, 60, 9);
	dns_opt(&s, 0);
	dns_counts(&s, 1, 0, 1);
	assert_true(read_script(&message, &query, &s));
	query = dns_query_edns(DNS_RD | DNS_CD, "WwW.eXaMPLE", DNS_A, DNS_DO);
	tell(&told, &message, &query, 7, 0, 0);
	assert_int_equal(told.reply.size, sizeof(wanted) - 1);
	assert_memory_equal(told.bytes, wanted, sizeof(wanted) - 1);
}

/* RFC 6840 5.7, 5.8: the upstream's word is for those who ask for it. */
static void test_ad_is_for_those_who_want_it(void **state)
{
	struct crow_query plain = dns_query(DNS_RD, NAME, DNS_A);
	struct crow_query ad = dns_query(DNS_RD | DNS_AD, NAME, DNS_A);
	struct crow_query dnssec = dns_query_edns(DNS_RD, NAME, DNS_A, DNS_DO);
	struct crow_message message;
	struct dns_script s;
	struct told told;

	(void)state;
	dns_begin(&s, DNS_QR | DNS_AD, NAME, DNS_A);
	dns_a(&s, DNS_OWNER, 60, 9);
	dns_counts(&s, 1, 0, 0);
	assert_true(read_script(&message, &plain, &s));
	tell(&told, &message, &plain, 0, 0, 0);
	assert_false(flags_of(&told) & DNS_AD);
	tell(&told, &message, &ad, 0, 0, 0);
	assert_true(flags_of(&told) & DNS_AD);
	tell(&told, &message, &dnssec, 0, 0, 0);
	assert_true(flags_of(&told) & DNS_AD);
	tell(&told, &message, &dnssec, 70, 30, 0); /* stale */
	assert_false(flags_of(&told) & DNS_AD);
	message.authentic = false;
	tell(&told, &message, &ad, 0, 0, 0);
	assert_false(flags_of(&told) & DNS_AD);
}

static uint32_t u32_at(const uint8_t *bytes)
{
	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
	       bytes[3];
}

static void test_ttls_count_down(void **state)
{
	struct crow_query query = dns_query(DNS_RD, NAME, DNS_A);
	static const struct {
		uint32_t age_s, cap_s, first_s, second_s;
	} table[] = {
		{0, 0, 60, 3600}, {59, 0, 1, 3541},   {61, 0, 0, 3539},
		{70, 30, 30, 30}, {70, 100, 60, 100}, /* stale: the own TTL, or the cap */
	};
	struct crow_message message;
	struct dns_script s;
	struct told told;

	(void)state;
	dns_begin(&s, DNS_QR, NAME, DNS_A);
	dns_a(&s, DNS_OWNER, 60, 1);
	dns_a(&s, DNS_OWNER, 3600, 2);
	dns_counts(&s, 1, 0, 1);
	assert_true(read_script(&message, &query, &s));
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		tell(&told, &message, &query, table[i].age_s, table[i].cap_s, 0);
		assert_int_equal(u32_at(told.bytes + BODY + 6), table[i].first_s);
		assert_int_equal(u32_at(told.bytes + BODY + 22), table[i].second_s);
	}
}

/* RFC 2308 5: a client that kept it for MINIMUM again would keep it for too long. */
static void test_the_ttl_of_a_denial_is_how_long_it_is_true(void **state)
{
	struct crow_query query = dns_query(DNS_RD, NAME, DNS_A);
	struct crow_message message;
	struct dns_script s;
	struct told told;

	(void)state;
	dns_begin(&s, DNS_QR | CROW_RCODE_NXDOMAIN, NAME, DNS_A);
	dns_soa(&s, DNS_OWNER, 86400, 300);
	dns_counts(&s, 0, 1, 0);
	assert_true(read_script(&message, &query, &s));
	tell(&told, &message, &query, 0, 0, 0);
	assert_int_equal(u32_at(told.bytes + BODY + 6), 300);
	tell(&told, &message, &query, 299, 0, 0);
	assert_int_equal(u32_at(told.bytes + BODY + 6), 1);
	assert_int_equal(flags_of(&told) & 15, CROW_RCODE_NXDOMAIN);
}

static void test_extended_rcodes(void **state)
{
	struct crow_query plain = dns_query(DNS_RD, NAME, DNS_A);
	struct crow_query edns = dns_query_edns(DNS_RD, NAME, DNS_A, 0);
	struct crow_message message;
	struct told told;

	(void)state;
	for (uint16_t rcode = 16; rcode <= 23; rcode++) {
		crow_message_fail(&message, rcode);
		tell(&told, &message, &edns, 0, 0, 0);
		assert_int_equal(told.reply.rcode, CROW_RCODE_SERVFAIL);
	}
	crow_message_fail(&message, 0xf45); /* for private use */
	tell(&told, &message, &plain, 0, 0, 0);
	assert_int_equal(flags_of(&told) & 15, CROW_RCODE_SERVFAIL);
	tell(&told, &message, &edns, 0, 0, 0);
	assert_int_equal(flags_of(&told) & 15, 5);
	assert_int_equal(told.bytes[BODY + 5], 0xf4);
}

/* ---- what fits ---- */

/* 20 addresses, an NS, and 20 more addresses. */
static void make_large(struct dns_script *s)
{
	dns_begin(s, DNS_QR, NAME, DNS_A);
	for (uint8_t i = 0; i < 20; i++)
		dns_a(s, DNS_OWNER, 60, i);
	dns_record(s, DNS_OWNER, DNS_NS, 60);
	crow_wire_put_pointer(&s->out, DNS_OWNER);
	dns_end(s);
	for (uint8_t i = 0; i < 20; i++)
		dns_a(s, DNS_OWNER, 60, i);
	dns_counts(s, 20, 1, 20);
}

static void test_additional_records_are_left_out_first(void **state)
{
	struct crow_query query = dns_query(DNS_RD, NAME, DNS_A);
	struct crow_message message;
	struct dns_script s;
	struct told told;

	(void)state;
	make_large(&s);
	assert_true(read_script(&message, &query, &s));
	query.limit = BODY + 41 * 16 - 2;
	tell(&told, &message, &query, 0, 0, 0);
	assert_int_equal(told.reply.size, query.limit);
	assert_int_equal(told.reply.additionals, 20);
	query.limit--;
	tell(&told, &message, &query, 0, 0, 0);
	assert_int_equal(told.reply.size, BODY + 21 * 16 - 2);
	assert_int_equal(told.reply.answers, 20);
	assert_int_equal(told.reply.authorities, 1);
	assert_int_equal(told.reply.additionals, 0);
	assert_false(flags_of(&told) & DNS_TC);
	query.limit = BODY + 21 * 16 - 2;
	tell(&told, &message, &query, 0, 0, 0);
	assert_false(flags_of(&told) & DNS_TC);
}

static void test_tc_where_the_answer_does_not_fit(void **state)
{
	struct crow_query query = dns_query(DNS_RD, NAME, DNS_A);
	struct crow_query edns = dns_query_edns(DNS_RD, NAME, DNS_A, 0);
	struct crow_message message;
	struct dns_script s;
	struct told told;

	(void)state;
	make_large(&s);
	assert_true(read_script(&message, &query, &s));
	query.limit = BODY + 21 * 16 - 2 - 1;
	tell(&told, &message, &query, 0, 0, 0);
	assert_true(flags_of(&told) & DNS_TC);
	assert_int_equal(told.reply.answers, 20); /* which fit */
	assert_int_equal(told.reply.authorities, 0);
	assert_int_equal(told.reply.size, BODY + 20 * 16);
	query.limit = BODY + 2 * 16 + 15;
	tell(&told, &message, &query, 0, 0, 19);
	assert_int_equal(told.reply.answers, 2);
	assert_int_equal(told.reply.size, BODY + 2 * 16);
	assert_int_equal(told.bytes[BODY + 15], 19); /* rotated all the same */
	assert_int_equal(told.bytes[BODY + 31], 0);
	edns.limit = BODY + 11 + 2 * 16;
	tell(&told, &message, &edns, 0, 0, 0);
	assert_int_equal(told.reply.size, edns.limit);
	assert_int_equal(told.reply.answers, 2);
	assert_int_equal(told.reply.additionals, 1); /* OPT */
}

/* ---- rotation ---- */

static void test_a_set_turns(void **state)
{
	struct crow_query query = dns_query(DNS_RD, NAME, DNS_A);
	struct crow_message message;
	struct dns_script s;
	struct told told;

	(void)state;
	dns_begin(&s, DNS_QR, NAME, DNS_A);
	dns_record(&s, DNS_OWNER, DNS_CNAME, 60);
	size_t owner = s.out.at;
	crow_wire_put_name(&s.out, "other.example");
	dns_end(&s);
	size_t set = s.out.at;
	for (uint8_t i = 0; i < 3; i++)
		dns_a(&s, owner, 60, i);
	dns_record(&s, owner, 46, 60); /* RRSIG */
	crow_wire_put_u32(&s.out, 0x01020304);
	dns_end(&s);
	dns_a(&s, owner, 60, 77); /* additional */
	dns_counts(&s, 5, 0, 1);
	assert_true(read_script(&message, &query, &s));
	assert_int_equal(message.turn_count, 3);
	assert_int_equal(message.turn_size, 16);
	assert_int_equal(message.turn_at, set - BODY);
	for (uint64_t turn = 0; turn < 7; turn++) {
		tell(&told, &message, &query, 0, 0, turn);
		assert_int_equal(told.reply.size, s.out.at);
		assert_memory_equal(told.bytes + BODY, s.bytes + BODY, set - BODY);
		for (uint64_t i = 0; i < 3; i++)
			assert_int_equal(told.bytes[set + i * 16 + 15], (turn + i) % 3);
		assert_memory_equal(told.bytes + set + 48, s.bytes + set + 48, s.out.at - set - 48);
	}
}

/* Two addresses whose owners, and one more record whose owner, are at these offsets; 0 for the
 * name in full. */
static unsigned turns(size_t first, size_t second, size_t third)
{
	struct crow_query query = dns_query(DNS_RD, NAME, DNS_A);
	struct crow_message message;
	struct dns_script s;

	dns_begin(&s, DNS_QR, NAME, DNS_A);
	if (first == 0) {
		crow_wire_put_bytes(&s.out, s.bytes + DNS_OWNER, 13);
		crow_wire_put_bytes(&s.out, "\0\x01\0\x01\0\0\0\x3c\0\x04\x0a\0\0\x01", 14);
	} else {
		dns_a(&s, first, 60, 0);
	}
	dns_a(&s, second, 60, 1);
	dns_record(&s, third, DNS_NS, 60);
	crow_wire_put_pointer(&s.out, DNS_OWNER);
	dns_end(&s);
	dns_counts(&s, 2, 1, 0);
	assert_true(read_script(&message, &query, &s));
	return message.turn_count;
}

static void test_sets_that_must_not_turn(void **state)
{
	(void)state;
	assert_int_equal(turns(DNS_OWNER, DNS_OWNER, DNS_OWNER), 2);
	assert_int_equal(turns(0, BODY, DNS_OWNER), 0);         /* the second points to the first */
	assert_int_equal(turns(DNS_OWNER, BODY, DNS_OWNER), 0); /* a pointer to a pointer */
	assert_int_equal(turns(DNS_OWNER, DNS_OWNER + 4, DNS_OWNER), 0); /* two owners */
	assert_int_equal(turns(DNS_OWNER, DNS_OWNER, BODY), 0);          /* a name points into it */
	assert_int_equal(turns(DNS_OWNER, DNS_OWNER, BODY + 15), 0); /* the root, in an address */
}

static void test_only_neighbours_turn(void **state)
{
	struct crow_query query = dns_query(DNS_RD, NAME, DNS_A);
	struct crow_message message;
	struct dns_script s;

	(void)state;
	dns_begin(&s, DNS_QR, NAME, DNS_A);
	dns_a(&s, DNS_OWNER, 60, 1);
	dns_record(&s, DNS_OWNER, 46, 60); /* RRSIG */
	crow_wire_put_u32(&s.out, 0x01020304);
	dns_end(&s);
	size_t set = s.out.at;
	dns_a(&s, DNS_OWNER, 60, 2);
	dns_counts(&s, 3, 0, 0);
	assert_true(read_script(&message, &query, &s));
	assert_int_equal(message.turn_count, 0);
	dns_a(&s, DNS_OWNER, 60, 3);
	dns_counts(&s, 4, 0, 0);
	assert_true(read_script(&message, &query, &s));
	assert_int_equal(message.turn_count, 2);
	assert_int_equal(message.turn_at, set - BODY);
}

static void test_only_what_was_asked_for_turns(void **state)
{
	struct crow_query query = dns_query(DNS_RD, NAME, CROW_TYPE_ANY);
	struct crow_message message;
	struct dns_script s;

	(void)state;
	dns_begin(&s, DNS_QR, NAME, CROW_TYPE_ANY);
	dns_a(&s, DNS_OWNER, 60, 1);
	dns_a(&s, DNS_OWNER, 60, 2);
	dns_counts(&s, 2, 0, 0);
	assert_true(read_script(&message, &query, &s));
	assert_false(message.negative);
	assert_int_equal(message.turn_count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_reply_to_a_question),
		cmocka_unit_test(test_replies_to_other_questions),
		cmocka_unit_test(test_every_cut_is_malformed),
		cmocka_unit_test(test_a_failure_may_be_a_bare_header),
		cmocka_unit_test(test_counts_that_lie),
		cmocka_unit_test(test_names_that_end),
		cmocka_unit_test(test_names_that_do_not),
		cmocka_unit_test(test_labels_have_63_bytes_at_most),
		cmocka_unit_test(test_the_longest_names),
		cmocka_unit_test(test_pointers_to_pointers_are_bounded),
		cmocka_unit_test(test_a_name_in_the_fixed_part_of_a_record),
		cmocka_unit_test(test_a_pointer_in_the_fixed_part_of_a_record),
		cmocka_unit_test(test_data_is_what_its_type_says),
		cmocka_unit_test(test_names_inside_data_are_followed),
		cmocka_unit_test(test_unknown_types_are_bytes),
		cmocka_unit_test(test_opt_and_what_follows_is_cut),
		cmocka_unit_test(test_a_signature_of_the_transaction_is_cut),
		cmocka_unit_test(test_opt_where_it_must_not_be),
		cmocka_unit_test(test_other_classes_are_malformed),
		cmocka_unit_test(test_the_least_ttl_counts),
		cmocka_unit_test(test_negative_answers_are_kept_as_the_soa_says),
		cmocka_unit_test(test_sections_count),
		cmocka_unit_test(test_a_chain_that_ends_in_nothing_is_negative),
		cmocka_unit_test(test_an_soa_in_the_answer_is_no_denial),
		cmocka_unit_test(test_failures_are_kept_for_seconds),
		cmocka_unit_test(test_what_has_too_many_records_is_not_kept),
		cmocka_unit_test(test_what_was_cut_has_no_body),
		cmocka_unit_test(test_a_reply_to_the_last_byte),
		cmocka_unit_test(test_ad_is_for_those_who_want_it),
		cmocka_unit_test(test_ttls_count_down),
		cmocka_unit_test(test_the_ttl_of_a_denial_is_how_long_it_is_true),
		cmocka_unit_test(test_extended_rcodes),
		cmocka_unit_test(test_additional_records_are_left_out_first),
		cmocka_unit_test(test_tc_where_the_answer_does_not_fit),
		cmocka_unit_test(test_a_set_turns),
		cmocka_unit_test(test_sets_that_must_not_turn),
		cmocka_unit_test(test_only_neighbours_turn),
		cmocka_unit_test(test_only_what_was_asked_for_turns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
