/*
 * Answers, byte by byte: each test is a query made here, answered from an image made by the
 * publisher, and taken apart by a decoder of this file's own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/dns/answer.h"
#include "daemon/dns/choice.h"
#include "daemon/dns/txt.h"
#include "tests/unit/fixture.h"

/* ---- allocations are counted; a sanitizer has an allocator of its own ---- */

/* volatile: to the compiler, malloc() is known to change no variable of ours. */
static volatile unsigned long allocations;

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define COUNTS_ALLOCATIONS 1
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);

void *malloc(size_t size)
{
	allocations++;
	return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	allocations++;
	return __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
	allocations++;
	return __libc_realloc(old, size);
}
#else
#define COUNTS_ALLOCATIONS 0
#endif

/* ---- the world ---- */

static struct crow_published *published;
static uint64_t sequences[CROW_SEQUENCES];
static struct crow_answer_settings settings;

static double even(unsigned i)
{
	(void)i;
	return 10;
}

static void fill(struct fixture *f)
{
	static const struct fixture_item svc_a[] = {
		{"10.0.0.1", 8001, 100}, {"10.0.0.2", 8002, 100}, {"10.0.0.3", 8003, 50},
		{"10.0.0.4", 8004, 10},  {"10.0.0.5", 8005, 0},
	};
	static const struct fixture_item six[] = {{"2001:db8::1", 80, 1}, {"2001:db8::2", 80, 1}};
	static const struct fixture_item both[] = {{"10.4.0.1", 1, 1}, {"2001:db8:4::1", 1, 1}};
	static const struct fixture_item shared[] = {
		{"10.1.0.1", 1, 1}, {"10.1.0.1", 2, 1}, {"10.1.0.1", 3, 1}, {"10.1.0.2", 1, 1}};
	static const struct fixture_item heavy[] = {
		{"10.2.0.1", 1, 1000000}, {"10.2.0.2", 2, 500000}, {"10.2.0.3", 3, 1}};
	static const struct fixture_item item[] = {{"10.3.0.1", 1, 1}};

	fixture_take(f, "svc_a", svc_a, 5);
	fixture_take(f, "six", six, 2);
	fixture_take(f, "both", both, 2);
	fixture_take(f, "shared", shared, 4);
	fixture_take(f, "heavy", heavy, 3);
	fixture_take(f, "group.item", item, 1);
	fixture_take_many(f, "many", 300, even);
	fixture_take_many(f, "huge", 5000, even);
	crow_table_deny(&f->table, "denied.demand.internal", CROW_NAME_UNKNOWN, INT64_MAX);
	crow_table_deny(&f->table, "between.demand.internal", CROW_NAME_UNKNOWN, INT64_MAX);
	crow_table_deny(&f->table, "failed.demand.internal", CROW_NAME_FAILED, INT64_MAX);
}

static int set_up(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f, "[source s]\nendpoint=http://127.0.0.1:1\n"
			 "services=svc_a,six,shared,heavy,group.item,many,huge,empty,both\n"
			 "[source d]\nendpoint=http://127.0.0.1:1\nservices=*\ntimeout=1500ms\n"
			 "zone=demand.internal\n"
			 "[source z]\nendpoint=http://127.0.0.1:1\nservices=below\n"
			 "zone=a.unit.eas.internal\n"
			 "[service below]\nalias=x.item.demand.internal,x.between.demand.internal,"
			 "x.failed.demand.internal\n"
			 "[service svc_a]\nalias=model.example.com,a.b.c.eas.internal,"
			 "svc_a.eas.internal.a-domain-of-mine.example\n");
	fill(&f);
	published = fixture_build(&f);
	fixture_fini(&f);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	free(published);
	return 0;
}

/* ---- queries ---- */

struct message {
	uint8_t bytes[2048];
	size_t size;
};

static void add(struct message *m, const void *bytes, size_t size)
{
	memcpy(m->bytes + m->size, bytes, size);
	m->size += size;
}

static void add_u16(struct message *m, unsigned value)
{
	uint8_t bytes[2] = {(uint8_t)(value >> 8), (uint8_t)value};

	add(m, bytes, 2);
}

static void add_name(struct message *m, const char *dotted)
{
	while (*dotted) {
		size_t length = strcspn(dotted, ".");
		uint8_t byte = (uint8_t)length;

		add(m, &byte, 1);
		add(m, dotted, length);
		dotted += length + (dotted[length] == '.');
	}
	add(m, "", 1);
}

#define ID 0xbeef
#define RD 0x0100

static struct message header(unsigned flags, unsigned qd, unsigned an, unsigned ns, unsigned ar)
{
	struct message m = {.size = 0};

	add_u16(&m, ID);
	add_u16(&m, flags);
	add_u16(&m, qd);
	add_u16(&m, an);
	add_u16(&m, ns);
	add_u16(&m, ar);
	return m;
}

static struct message question(const char *name, unsigned type)
{
	struct message m = header(RD, 1, 0, 0, 0);

	add_name(&m, name);
	add_u16(&m, type);
	add_u16(&m, 1);
	return m;
}

/* An OPT record; flags are the DO bit and the reserved ones, data its options. */
static void add_opt(struct message *m, unsigned size, unsigned version, unsigned flags,
		    const void *data, size_t data_size)
{
	m->bytes[11]++;
	add(m, "", 1);
	add_u16(m, 41);
	add_u16(m, size);
	add_u16(m, version);
	add_u16(m, flags);
	add_u16(m, (unsigned)data_size);
	add(m, data, data_size);
}

/* ---- replies, taken apart ---- */

struct record {
	char owner[256];
	unsigned type, class, ttl, size;
	const uint8_t *data;
	bool pointed; /* the owner was a pointer */
};

struct decoded {
	enum crow_exit exit;
	size_t size;
	unsigned flags, rcode, qd, an, ns, ar;
	struct record records[2048];
	struct crow_wanted wanted;
	struct crow_query query;
	uint8_t bytes[CROW_QUERY_TCP_MAX];
};

static struct decoded reply; /* large */

static unsigned u16(const uint8_t *at)
{
	return (unsigned)(at[0] << 8 | at[1]);
}

/* Expands a name; returns where it ended. Compression must point backwards. */
static const uint8_t *expand(const uint8_t *at, char *out)
{
	const uint8_t *end = NULL;
	char *start = out;

	for (;;) {
		assert_true(at < reply.bytes + reply.size);
		if (*at >= 0xc0) {
			const uint8_t *target = reply.bytes + (u16(at) & 0x3fff);

			assert_true(target < at && target >= reply.bytes + 12);
			end = end ? end : at + 2;
			at = target;
			continue;
		}
		if (*at == 0)
			break;
		if (out > start)
			*out++ = '.';
		memcpy(out, at + 1, *at);
		out += *at;
		at += 1 + *at;
	}
	*out = '\0';
	return end ? end : at + 1;
}

static const uint8_t *decode_record(const uint8_t *at, struct record *record)
{
	record->pointed = *at >= 0xc0;
	at = expand(at, record->owner);
	record->type = u16(at);
	record->class = u16(at + 2);
	record->ttl = u16(at + 4) << 16 | u16(at + 6);
	record->size = u16(at + 8);
	record->data = at + 10;
	return record->data + record->size;
}

static void decode(void)
{
	const uint8_t *at = reply.bytes + 12;
	char name[256];

	assert_in_range(reply.size, 12, reply.query.limit);
	assert_int_equal(u16(reply.bytes), ID);
	reply.flags = u16(reply.bytes + 2);
	reply.rcode = reply.flags & 15;
	reply.qd = u16(reply.bytes + 4);
	reply.an = u16(reply.bytes + 6);
	reply.ns = u16(reply.bytes + 8);
	reply.ar = u16(reply.bytes + 10);
	assert_true(reply.qd <= 1);
	if (reply.qd == 1)
		at = expand(at, name) + 4;
	for (unsigned i = 0; i < reply.an + reply.ns + reply.ar; i++)
		at = decode_record(at, &reply.records[i]);
	assert_ptr_equal(at, reply.bytes + reply.size);
	assert_true(reply.flags & 0x8000);  /* QR */
	assert_true(reply.flags & 0x0080);  /* RA */
	assert_false(reply.flags & 0x0060); /* Z, AD */
}

static void ask_bytes(const struct message *m, bool stream)
{
	/* A copy of the exact size, so that a sanitizer sees a read past it. */
	uint8_t *bytes = malloc(m->size ? m->size : 1);
	struct crow_reply out = {.bytes = reply.bytes,
				 .capacity = stream ? CROW_QUERY_TCP_MAX : CROW_QUERY_UDP_MAX};

	memcpy(bytes, m->bytes, m->size);
	reply.exit = crow_answer(bytes, m->size, stream, &published->image, &settings, &reply.query,
				 &out, &reply.wanted);
	free(bytes);
	reply.size = out.size;
	if (reply.exit == CROW_EXIT_REPLY)
		decode();
}

static void ask_raw(const struct message *m)
{
	settings = (struct crow_answer_settings){
		.ttl_s = 7, .answers = 3, .sequences = sequences, .given = published->given};
	ask_bytes(m, false);
}

static void ask(const char *name, unsigned type)
{
	struct message m = question(name, type);

	ask_raw(&m);
}

static void ask_edns(const char *name, unsigned type, unsigned size)
{
	struct message m = question(name, type);

	add_opt(&m, size, 0, 0, "", 0);
	ask_raw(&m);
}

static void ask_stream(const char *name, unsigned type)
{
	struct message m = question(name, type);

	settings = (struct crow_answer_settings){
		.ttl_s = 7, .answers = 3, .sequences = sequences, .given = published->given};
	ask_bytes(&m, true);
}

#define AA 0x0400
#define TC 0x0200
enum {
	A = 1,
	NS = 2,
	SOA = 6,
	PTR = 12,
	MX = 15,
	TXT = 16,
	AAAA = 28,
	SRV = 33,
	HTTPS = 65,
	ANY = 255
};
enum { NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED };

static void assert_negative(unsigned rcode, const char *apex)
{
	struct record *soa = &reply.records[0];
	const uint8_t *at;
	char name[256];

	assert_int_equal(reply.exit, CROW_EXIT_REPLY);
	assert_int_equal(reply.rcode, rcode);
	assert_true(reply.flags & AA);
	assert_int_equal(reply.an, 0);
	assert_int_equal(reply.ns, 1);
	assert_int_equal(soa->type, SOA);
	assert_string_equal(soa->owner, apex);
	assert_true(soa->ttl <= 5);
	at = expand(expand(soa->data, name), name);
	assert_int_equal(at + 20 - soa->data, soa->size);
	assert_true((u16(at + 16) << 16 | u16(at + 18)) <= 5); /* MINIMUM */
}

static void assert_error(unsigned rcode)
{
	assert_int_equal(reply.exit, CROW_EXIT_REPLY);
	assert_int_equal(reply.rcode, rcode);
	assert_false(reply.flags & AA);
	assert_int_equal(reply.an + reply.ns, 0);
}

/* Whoever forwards has the rest of the say. */
static void assert_elsewhere(void)
{
	assert_int_equal(reply.exit, CROW_EXIT_ELSEWHERE);
	assert_int_equal(reply.query.rcode, NOERROR);
	assert_true(reply.query.name_size > 0);
}

/* ---- own names ---- */

static void test_addresses(void **state)
{
	(void)state;
	ask("svc_a.eas.internal", A);
	assert_int_equal(reply.rcode, NOERROR);
	assert_true(reply.flags & AA);
	assert_true(reply.flags & RD);
	assert_false(reply.flags & TC);
	assert_int_equal(reply.qd, 1);
	assert_int_equal(reply.an, 3);
	assert_int_equal(reply.ns + reply.ar, 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(reply.records[i].pointed);
		assert_int_equal(reply.records[i].type, A);
		assert_int_equal(reply.records[i].class, 1);
		assert_int_equal(reply.records[i].ttl, 7);
		assert_int_equal(reply.records[i].size, 4);
		assert_in_range(reply.records[i].data[3], 1, 4); /* 5 is drained */
	}
}

static void test_case_is_echoed(void **state)
{
	struct message m = question("sVc-A.EAS.internaL", A);

	(void)state;
	ask_raw(&m);
	assert_int_equal(reply.an, 3);
	assert_memory_equal(reply.bytes + 12, m.bytes + 12, m.size - 12);
	assert_string_equal(reply.records[0].owner, "sVc-A.EAS.internaL");
}

static void test_first_addresses_follow_the_weights(void **state)
{
	unsigned counts[5] = {0};

	(void)state;
	for (unsigned i = 0; i < 2600; i++) {
		ask("svc_a.eas.internal", A);
		counts[reply.records[0].data[3]]++;
	}
	assert_in_range(counts[1], 994, 1006);
	assert_in_range(counts[2], 994, 1006);
	assert_in_range(counts[3], 494, 506);
	assert_in_range(counts[4], 94, 106);
}

/* As monitoring asks for all services of a host, again and again: with one counter for all of them,
 * each of 34 services would name the same of four instances 19 times in a row. */
static void test_services_that_are_asked_in_turn(void **state)
{
	static const struct fixture_item items[] = {
		{"10.0.0.1", 1, 1}, {"10.0.0.2", 1, 1}, {"10.0.0.3", 1, 1}, {"10.0.0.4", 1, 1}};
	enum { SERVICES = 34, ROUNDS = 100 };
	char config[1024] = "[source s]\nendpoint=http://127.0.0.1:1\nservices=s0", name[8];
	uint32_t last[SERVICES], counts[SERVICES][4] = {{0}};
	struct crow_published *many;
	struct crow_choice choice;
	struct fixture f;

	(void)state;
	for (unsigned s = 1; s < SERVICES; s++)
		snprintf(config + strlen(config), sizeof(config) - strlen(config), ",s%u", s);
	fixture_init(&f, config);
	for (unsigned s = 0; s < SERVICES; s++) {
		snprintf(name, sizeof(name), "s%u", s);
		fixture_take(&f, name, items, 4);
	}
	many = fixture_build(&f);
	settings = (struct crow_answer_settings){.sequences = sequences, .given = many->given};
	for (unsigned i = 0; i < ROUNDS * SERVICES; i++) {
		unsigned s = i % SERVICES;

		crow_choice_addresses(&many->image, s, CROW_V4, &settings, 1, &choice);
		assert_int_equal(choice.count, 1);
		if (i >= SERVICES)
			assert_int_not_equal(choice.instances[0], last[s]);
		last[s] = choice.instances[0];
		counts[s][last[s] - many->image.services[s].first]++;
	}
	for (unsigned s = 0; s < SERVICES; s++)
		for (unsigned i = 0; i < 4; i++)
			assert_in_range(counts[s][i], ROUNDS / 4 - 2, ROUNDS / 4 + 2);
	free(many);
	fixture_fini(&f);
}

static void test_an_address_is_said_once(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		ask("shared.eas.internal", A);
		assert_int_equal(reply.an, 2);
		assert_memory_not_equal(reply.records[0].data, reply.records[1].data, 4);
	}
}

static void test_ipv6(void **state)
{
	(void)state;
	ask("six.eas.internal", AAAA);
	assert_int_equal(reply.an, 2);
	assert_int_equal(reply.records[0].type, AAAA);
	assert_int_equal(reply.records[0].size, 16);
	ask("six.eas.internal", A);
	assert_negative(NOERROR, "eas.internal");
}

static void test_other_types_are_nodata(void **state)
{
	static const unsigned types[] = {AAAA, PTR, MX,  NS,  SOA, 0,    HTTPS,
					 64,   43,  249, 250, 41,  65280};

	(void)state;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		ask("svc_a.eas.internal", types[i]);
		assert_negative(NOERROR, "eas.internal");
	}
}

static void test_unknown_names(void **state)
{
	static const char *const names[] = {
		"nope.eas.internal",
		"a.svc_a.eas.internal",
		"_tcp.eas.internal",
		"_http._tcp.eas.internal",
		"_https._tcp.svc_a.eas.internal",
		"x._tcp.svc_a.eas.internal",
		"x._http._tcp.svc_a.eas.internal",
		"_tcp.nope.eas.internal",
		"ip-10-9-9-9.eas.internal",
		"svc_a2.eas.internal",
		"ip-10-0-0-01.eas.internal",
		"x.ip-10-0-0-1.eas.internal",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		ask(names[i], A);
		assert_negative(NXDOMAIN, "eas.internal");
		ask(names[i], SRV);
		assert_negative(NXDOMAIN, "eas.internal");
	}
}

static void test_elsewhere(void **state)
{
	static const char *const names[] = {
		"",      "example.com",      "internal",           "xeas.internal",
		"svc_a", "eas.internal.com", "x.model.example.com"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		ask(names[i], A);
		assert_elsewhere();
	}
	ask("example.com", 252); /* no transfer of any zone */
	assert_error(REFUSED);
}

/* RFC 2308 3: the SOA's owner is the zone that the denial comes from. */
static void test_search_suffixes(void **state)
{
	(void)state;
	ask("svc_a.eas.internal.corp.example.com", A);
	assert_negative(NXDOMAIN, "eas.internal.corp.example.com");
	ask("x.y.Demand.internal.cluster.local", AAAA);
	assert_negative(NXDOMAIN, "Demand.internal.cluster.local");
	ask("svc_a.xeas.internal.example.com", A);
	assert_elsewhere();
	ask("eas.internal.example.com", A); /* nothing before it */
	assert_elsewhere();
	ask("svc_a.eas.internals.example.com", A);
	assert_elsewhere();
	ask("svc_a.eas.internal.a-domain-of-mine.example", A); /* an alias comes first */
	assert_int_equal(reply.an, 3);
}

static void test_apex(void **state)
{
	char name[256];

	(void)state;
	ask("EAS.internal", SOA);
	assert_int_equal(reply.an, 1);
	assert_string_equal(reply.records[0].owner, "EAS.internal");
	ask("eas.internal", NS);
	assert_int_equal(reply.an, 1);
	expand(reply.records[0].data, name);
	assert_string_equal(name, "eas.internal");
	ask("eas.internal", ANY);
	assert_int_equal(reply.an, 1);
	ask("eas.internal", A);
	assert_negative(NOERROR, "eas.internal");
}

static void test_alias(void **state)
{
	(void)state;
	ask("Model.example.com", A);
	assert_int_equal(reply.an, 3);
	ask("model.example.com", MX);
	assert_negative(NOERROR, "model.example.com"); /* in no zone: its own apex */
	ask("model.example.com", SOA);
	assert_int_equal(reply.an, 1);
	ask("_http._tcp.model.example.com", SRV);
	assert_int_equal(reply.an, 4);
	ask("_http._tcp.model.example.com", A);
	assert_negative(NOERROR, "model.example.com");
}

static void test_names_between_are_empty(void **state)
{
	(void)state;
	ask("group.item.eas.internal", A);
	assert_int_equal(reply.an, 1);
	ask("item.eas.internal", A);
	assert_negative(NOERROR, "eas.internal");
	ask("_tcp.svc_a.eas.internal", SRV);
	assert_negative(NOERROR, "eas.internal");
	ask("_http._tcp.svc_a.eas.internal", A);
	assert_negative(NOERROR, "eas.internal");
	ask("tem.eas.internal", A);
	assert_negative(NXDOMAIN, "eas.internal");
	ask("b.c.eas.internal", A); /* above an alias */
	assert_negative(NOERROR, "eas.internal");
	ask("c.eas.internal", A);
	assert_negative(NOERROR, "eas.internal");
	ask("x.c.eas.internal", A);
	assert_negative(NXDOMAIN, "eas.internal");
	ask("unit.eas.internal", A); /* above a zone */
	assert_negative(NOERROR, "eas.internal");
	ask("item.demand.internal", A); /* may be a service, whatever is below it */
	assert_int_equal(reply.exit, CROW_EXIT_WAIT);
	ask("between.demand.internal", A); /* denied, and yet there */
	assert_negative(NOERROR, "demand.internal");
	ask("failed.demand.internal", A);
	assert_error(SERVFAIL);
}

static void test_a_service_without_a_list_is_servfail(void **state)
{
	(void)state;
	ask("empty.eas.internal", A);
	assert_error(SERVFAIL);
	ask("_http._tcp.empty.eas.internal", SRV);
	assert_error(SERVFAIL);
}

static void test_before_the_first_image(void **state)
{
	struct crow_image none = {0};
	struct message m = question("svc_a.eas.internal", A);
	struct crow_reply out = {.bytes = reply.bytes, .capacity = CROW_QUERY_UDP_MAX};

	(void)state;
	reply.exit = crow_answer(m.bytes, m.size, false, &none, &settings, &reply.query, &out,
				 &reply.wanted);
	reply.size = out.size;
	decode();
	assert_error(SERVFAIL);
}

static void test_bytes_that_text_cannot_hold(void **state)
{
	static const char *const labels[] = {"\x05svc_a\x05"
					     "as.in", /* a dot for the separator */
					     "\x06svc_a\0\x03"
					     "eas",           /* a NUL at the end */
					     "\x09svc_a.eas", /* one label for two */
					     "\x01\xff\x03"
					     "eas"};
	static const size_t sizes[] = {12, 11, 10, 6};

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct message m = header(RD, 1, 0, 0, 0);

		add(&m, labels[i], sizes[i]);
		add(&m, "\x08internal\0\0\x01\0\x01", 14);
		ask_raw(&m);
		if (i == 0 || i == 2)
			assert_elsewhere(); /* not even below the zone */
		else
			assert_negative(NXDOMAIN, "eas.internal");
	}
}

static void test_any_is_one_set(void **state)
{
	(void)state;
	settings.answers = 3;
	ask_edns("svc_a.eas.internal", ANY, 4096);
	assert_int_equal(reply.an, 3);
	assert_int_equal(reply.records[0].type, A);
	ask("six.eas.internal", ANY);
	assert_int_equal(reply.an, 2);
	assert_int_equal(reply.records[0].type, AAAA);
	ask_edns("_http._tcp.many.eas.internal", ANY, 4096);
	assert_true(reply.size <= 512);
}

static void test_other_classes(void **state)
{
	static const unsigned classes[] = {0, 2, 3, 4, 254, 255};

	(void)state;
	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
		struct message m = question("svc_a.eas.internal", A);

		m.bytes[m.size - 1] = (uint8_t)classes[i];
		ask_raw(&m);
		assert_error(REFUSED);
	}
}

static void test_transfers(void **state)
{
	(void)state;
	ask("eas.internal", 252);
	assert_error(REFUSED);
	ask_stream("eas.internal", 251);
	assert_error(REFUSED);
}

/* ---- SRV ---- */

static const struct record *find_srv(unsigned port)
{
	for (unsigned i = 0; i < reply.an; i++)
		if (u16(reply.records[i].data + 4) == port)
			return &reply.records[i];
	return NULL;
}

static void test_srv(void **state)
{
	static const char target[] = "\x0bip-10-0-0-4\x03"
				     "eas\x08internal";
	const struct record *srv;

	(void)state;
	ask_edns("svc_a.eas.internal", SRV, 1232);
	assert_int_equal(reply.an, 4);
	srv = find_srv(8004);
	assert_non_null(srv);
	assert_int_equal(srv->size, 6 + sizeof(target));
	assert_memory_equal(srv->data, "\0\0\0\x0a\x1f\x44", 6);
	assert_memory_equal(srv->data + 6, target, sizeof(target)); /* uncompressed, with its end */
	assert_int_equal(reply.ar, 5);                              /* four addresses and OPT */
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(reply.records[4 + i].type, A);
		assert_true(reply.records[4 + i].pointed);
		assert_memory_equal(reply.records[4 + i].owner, "ip-10-0-0-", 10);
		assert_int_equal(reply.records[4 + i].owner[10] - '0',
				 reply.records[4 + i].data[3]);
	}
}

static void test_srv_begins_with_the_pick(void **state)
{
	unsigned first[8005 - 8000] = {0};

	(void)state;
	for (unsigned i = 0; i < 260; i++) {
		ask("_http._tcp.svc_a.eas.internal", SRV);
		first[u16(reply.records[0].data + 4) - 8000]++;
	}
	assert_in_range(first[1], 94, 106);
	assert_in_range(first[4], 4, 16);
}

static void test_srv_weights_keep_their_ratio(void **state)
{
	(void)state;
	ask("heavy.eas.internal", SRV);
	assert_int_equal(u16(find_srv(1)->data + 2), 65535);
	assert_int_equal(u16(find_srv(2)->data + 2), 32767);
	assert_int_equal(u16(find_srv(3)->data + 2), 1); /* never 0 */
}

static void test_srv_addresses_where_they_fit(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++) { /* each ask is the next pick */
		ask("shared.eas.internal", SRV);
		assert_int_equal(reply.an, 4);
		assert_int_equal(reply.ar, 2); /* once each, wherever it begins */
	}
}

static void test_srv_targets_resolve(void **state)
{
	(void)state;
	ask("ip-10-0-0-4.eas.internal", A);
	assert_int_equal(reply.an, 1);
	assert_memory_equal(reply.records[0].data, "\x0a\0\0\x04", 4);
	ask("IP-10-0-0-4.eas.internal", ANY);
	assert_int_equal(reply.an, 1);
	ask("ip-10-0-0-4.eas.internal", AAAA);
	assert_negative(NOERROR, "eas.internal");
	ask("ip6-20010db8000000000000000000000002.eas.internal", AAAA);
	assert_int_equal(reply.an, 1);
	ask("ip6-20010db8000000000000000000000002.eas.internal", A);
	assert_negative(NOERROR, "eas.internal");
}

/* ---- HTTPS, TXT, PTR ---- */

static void ask_https(const char *name)
{
	struct message m = question(name, HTTPS);

	settings = (struct crow_answer_settings){
		.ttl_s = 7, .answers = 3, .https = true, .sequences = sequences};
	ask_bytes(&m, false);
}

static void test_https(void **state)
{
	static const char target[] = "\0\1\x0bip-10-0-0-4\x03"
				     "eas\x08internal\0"
				     "\0\3\0\2\x1f\x44\0\4\0\4\x0a\0\0\x04"; /* port, ipv4hint */
	unsigned first[5] = {0};

	(void)state;
	for (unsigned i = 0; i < 260; i++) {
		ask_https("svc_a.eas.internal");
		assert_int_equal(reply.an, 3);
		for (unsigned k = 0; k < 3; k++) { /* rising: clients shuffle equal ones */
			assert_int_equal(reply.records[k].type, HTTPS);
			assert_int_equal(reply.records[k].ttl, 7);
			assert_int_equal(u16(reply.records[k].data), k + 1);
			assert_int_equal(reply.records[k].size, sizeof(target) - 1);
		}
		if (reply.records[0].data[13] == '4')
			assert_memory_equal(reply.records[0].data, target, sizeof(target) - 1);
		first[reply.records[0].data[13] - '0']++;
	}
	assert_in_range(first[1], 94, 106);
	assert_in_range(first[4], 4, 16);
}

static void test_https_ipv6(void **state)
{
	(void)state;
	ask_https("six.eas.internal");
	assert_int_equal(reply.an, 2);
	assert_int_equal(reply.records[0].data[2], 36);
	assert_memory_equal(reply.records[0].data + 3, "ip6-20010db8", 12);
	assert_memory_equal(reply.records[0].data + 53, "\0\3\0\2\0\x50\0\6\0\x10\x20\1", 12);
}

static void test_https_is_chosen_to_fit(void **state)
{
	struct message m = question("many.eas.internal", HTTPS);

	(void)state;
	settings.answers = 32;
	settings.https = true;
	ask_bytes(&m, false);
	assert_false(reply.flags & TC);
	assert_in_range(reply.an, 6, 9);
}

static struct crow_snap_service *service_named(const char *name)
{
	for (uint32_t i = 0; i < crow_image_service_count(&published->image); i++) {
		const struct crow_snap_service *service = crow_image_service(&published->image, i);

		if (strcmp(crow_image_string(&published->image, service->name), name) == 0)
			return (struct crow_snap_service *)(uintptr_t)service;
	}
	fail();
	return NULL;
}

/* Whether the record has that string. */
static bool has_string(const struct record *record, const char *text)
{
	for (unsigned at = 0; at < record->size; at += 1 + record->data[at])
		if (record->data[at] == strlen(text) &&
		    memcmp(record->data + at + 1, text, strlen(text)) == 0)
			return true;
	return false;
}

static void test_txt(void **state)
{
	static const char *const strings[] = {"instances=5",
					      "up=4",
					      "ejected=0",
					      "drained=1",
					      "weight=260",
					      "source=s",
					      "taken=1970-01-01T00:16:40Z",
					      "stale=no"};

	(void)state;
	service_named("svc_a")->taken_wall_s = 1000;
	ask("svc_a.eas.internal", TXT);
	assert_int_equal(reply.an, 1);
	assert_int_equal(reply.records[0].type, TXT);
	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++)
		assert_true(has_string(&reply.records[0], strings[i]));
	service_named("svc_a")->flags = CROW_SERVICE_STALE;
	ask("model.example.com", TXT);
	assert_true(has_string(&reply.records[0], "stale=yes"));
	service_named("svc_a")->flags = 0;
}

static void test_times(void **state)
{
	static const struct {
		int64_t wall_s;
		const char *text;
	} cases[] = {
		{0, "1970-01-01T00:00:00Z"},
		{1795334400, "2026-11-22T08:00:00Z"},
		{951782399, "2000-02-28T23:59:59Z"},
		{951782400, "2000-02-29T00:00:00Z"},
		{951868800, "2000-03-01T00:00:00Z"},
		{4107542399, "2100-02-28T23:59:59Z"},
		{4107542400, "2100-03-01T00:00:00Z"},
		{-1, "1969-12-31T23:59:59Z"},
		{-62135596800, "0001-01-01T00:00:00Z"},
		{253402300799, "9999-12-31T23:59:59Z"},
		{-62135596801, "unknown"},
		{253402300800, "unknown"},
		{INT64_MIN, "unknown"},
		{INT64_MAX, "unknown"},
	};
	char text[CROW_TXT_TIME];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		crow_txt_format_time(cases[i].wall_s, text);
		assert_string_equal(text, cases[i].text);
	}
}

static bool points_to(const char *name)
{
	char target[256];

	for (unsigned i = 0; i < reply.an; i++) {
		assert_int_equal(reply.records[i].type, PTR);
		expand(reply.records[i].data, target);
		if (strcmp(target, name) == 0)
			return true;
	}
	return false;
}

static void test_ptr(void **state)
{
	(void)state;
	ask("4.0.0.10.In-Addr.ARPA", PTR);
	assert_true(reply.flags & AA);
	assert_true(reply.an >= 1 && reply.an <= 4);
	assert_true(points_to("svc-a.eas.internal"));
	ask("2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa", PTR);
	assert_int_equal(reply.an, 1);
	assert_true(points_to("six.eas.internal"));
	ask("1.0.3.10.in-addr.arpa", ANY);
	assert_int_equal(reply.an, 1);
	assert_true(points_to("group.item.eas.internal"));
	ask("1.0.3.10.in-addr.arpa", A);
	assert_negative(NOERROR, "1.0.3.10.in-addr.arpa");
}

/* Zones that are not ours: what we know nothing of is somebody else's to answer. */
static void test_ptr_elsewhere(void **state)
{
	static const char *const names[] = {
		"1.9.9.10.in-addr.arpa", /* nobody's */
		"0.3.10.in-addr.arpa",   /* not an address */
		"x.1.0.3.10.in-addr.arpa",
		"1.1.0.3.10.in-addr.arpa",
		"01.0.3.10.in-addr.arpa",
		"1.0.3.266.in-addr.arpa",
		"0001.0.3.10.in-addr.arpa",
		"in-addr.arpa",
		"ip6.arpa",
		"1.0.3.10.xin-addr.arpa",
		"9.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
		"g.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
		"1.0.0.0.3.0.a.0.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		ask(names[i], PTR);
		assert_elsewhere();
	}
}

/* ---- states of instances: whatever the image has ---- */

static void set_state(const struct crow_snap_service *service, uint32_t i, uint8_t state)
{
	const struct crow_snap_instance *all = published->image.instances;

	((struct crow_snap_instance *)(uintptr_t)&all[service->first + i])->state = state;
}

static void test_all_ejected(void **state)
{
	struct crow_snap_service *service = service_named("svc_a"), was = *service;
	unsigned first[6] = {0};

	(void)state;
	service->up4 = 0;
	for (uint32_t i = 0; i < 4; i++)
		set_state(service, i, CROW_STATE_EJECTED);
	for (unsigned i = 0; i < 500; i++) {
		ask("svc_a.eas.internal", A);
		assert_int_equal(reply.an, 3);
		for (unsigned k = 0; k < 3; k++)
			assert_in_range(reply.records[k].data[3], 1, 4); /* 5 stays drained */
		first[reply.records[0].data[3]]++;
	}
	for (unsigned i = 1; i <= 4; i++) /* the drained one's turns go to its neighbour */
		assert_in_range(first[i], 90, 210);
	ask("svc_a.eas.internal", AAAA);
	assert_negative(NOERROR, "eas.internal");
	ask("svc_a.eas.internal", SRV);
	assert_int_equal(reply.an, 4);
	assert_int_equal(reply.ar, 4);
	assert_null(find_srv(8005));
	ask_https("svc_a.eas.internal");
	assert_int_equal(reply.an, 3);
	ask("svc_a.eas.internal", TXT);
	assert_true(has_string(&reply.records[0], "ejected=4"));
	assert_true(has_string(&reply.records[0], "up=0"));
	ask("svc_a.eas.internal", ANY);
	assert_int_equal(reply.records[0].type, A);
	for (uint32_t i = 0; i < 4; i++)
		set_state(service, i, CROW_STATE_UP);
	*service = was;
}

/* Nobody publishes an image of nothing else (test_table.c), and no weight but 0 means "not this one". */
static void test_drained_are_never_named(void **state)
{
	static const unsigned types[] = {A, AAAA, SRV, HTTPS};
	struct crow_snap_service *service = service_named("svc_a"), was = *service;

	(void)state;
	service->up4 = 0;
	for (uint32_t i = 0; i < 4; i++)
		set_state(service, i, CROW_STATE_DRAINED);
	for (size_t i = 0; i < 4; i++) {
		ask("svc_a.eas.internal", types[i]);
		assert_negative(NOERROR, "eas.internal");
	}
	set_state(service, 0, CROW_STATE_EJECTED);
	ask("svc_a.eas.internal", SRV);
	assert_int_equal(reply.an, 1);
	ask("svc_a.eas.internal", A);
	assert_int_equal(reply.an, 1);
	assert_int_equal(reply.records[0].data[3], 1);
	for (uint32_t i = 0; i < 4; i++)
		set_state(service, i, CROW_STATE_UP);
	*service = was;
}

/* One family is out: who can use nothing else gets it all the same; who drained it does not. */
static void test_one_family_may_not_be_picked(void **state)
{
	struct crow_snap_service *service = service_named("both"), was = *service;

	(void)state;
	ask("both.eas.internal", AAAA);
	assert_int_equal(reply.an, 1);
	service->up6 = 0;
	set_state(service, 1, CROW_STATE_EJECTED);
	ask("both.eas.internal", AAAA);
	assert_int_equal(reply.an, 1);
	ask("both.eas.internal", A);
	assert_int_equal(reply.an, 1);
	set_state(service, 1, CROW_STATE_DRAINED);
	ask("both.eas.internal", AAAA);
	assert_negative(NOERROR, "eas.internal");
	set_state(service, 1, CROW_STATE_UP);
	*service = was;
}

static void test_a_list_without_instances_is_nodata(void **state)
{
	static const unsigned types[] = {A, AAAA, SRV, HTTPS};
	struct crow_snap_service *service = service_named("svc_a"), was = *service;

	(void)state;
	service->up4 = service->count = 0;
	for (size_t i = 0; i < 4; i++) {
		ask("svc_a.eas.internal", types[i]);
		assert_negative(NOERROR, "eas.internal");
	}
	*service = was;
}

/* ---- sizes ---- */

static void test_addresses_are_chosen_to_fit(void **state)
{
	struct message m = question("many.eas.internal", A);

	(void)state;
	settings.answers = 32;
	ask_bytes(&m, false);
	assert_int_equal(reply.rcode, NOERROR);
	assert_false(reply.flags & TC);
	assert_int_equal(reply.an, (512 - m.size) / 16);
	add_opt(&m, 4096, 0, 0, "", 0);
	ask_bytes(&m, false);
	assert_int_equal(reply.an, 32);
}

static void test_udp_limit(void **state)
{
	static const struct {
		unsigned asked, limit;
	} cases[] = {{0, 512}, {511, 512}, {512, 512}, {700, 700}, {1232, 1232}, {65535, 1232}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ask_edns("svc_a.eas.internal", A, cases[i].asked);
		assert_int_equal(reply.query.limit, cases[i].limit);
	}
}

static void test_srv_is_whole_or_truncated(void **state)
{
	(void)state;
	ask_edns("many.eas.internal", SRV, 1232);
	assert_int_equal(reply.rcode, NOERROR);
	assert_true(reply.flags & TC);
	assert_int_equal(reply.an, 0);
	assert_int_equal(reply.ar, 1); /* OPT all the same */
	ask_stream("many.eas.internal", SRV);
	assert_false(reply.flags & TC);
	assert_int_equal(reply.an, 300);
	ask_stream("huge.eas.internal", SRV);
	assert_false(reply.flags & TC);
	assert_in_range(reply.an, 1000, 2000);
	assert_in_range(reply.size, 65535 - 80, 65535);
}

/* Whatever of the set and its addresses fits, the limit holds and the counts are right. */
static void test_srv_at_every_limit(void **state)
{
	(void)state;
	for (unsigned size = 512; size <= 1232; size++) {
		ask_edns("svc_a.eas.internal", SRV, size);
		assert_int_equal(reply.an, 4);
		ask_edns("six.eas.internal", SRV, size);
		assert_int_equal(reply.an, 2);
	}
}

/* ---- header ---- */

static void test_no_reply(void **state)
{
	struct message m = question("svc_a.eas.internal", A);

	(void)state;
	m.bytes[2] |= 0x80; /* QR */
	ask_raw(&m);
	assert_int_equal(reply.exit, CROW_EXIT_DROP);
	for (m.size = 0; m.size < 12; m.size++) {
		ask_raw(&m);
		assert_int_equal(reply.exit, CROW_EXIT_DROP);
	}
}

static void test_other_opcodes(void **state)
{
	(void)state;
	for (unsigned opcode = 1; opcode < 16; opcode++) {
		struct message m = question("svc_a.eas.internal", A);

		m.bytes[2] = (uint8_t)(opcode << 3);
		ask_raw(&m);
		assert_error(NOTIMP);
		assert_int_equal(reply.flags >> 11 & 15, opcode);
	}
}

static void test_question_counts(void **state)
{
	static const unsigned counts[] = {0, 2, 3, 65535};

	(void)state;
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		struct message m = question("svc_a.eas.internal", A);

		m.bytes[4] = (uint8_t)(counts[i] >> 8);
		m.bytes[5] = (uint8_t)counts[i];
		add(&m, m.bytes + 12, m.size - 12);
		ask_raw(&m);
		assert_error(FORMERR);
		assert_int_equal(reply.qd, 0);
	}
}

static void test_header_bits(void **state)
{
	struct message m = question("svc_a.eas.internal", A);

	(void)state;
	m.bytes[2] = 0x06; /* AA, TC */
	m.bytes[3] = 0xff; /* RA, Z, AD, CD, and an RCODE */
	ask_raw(&m);
	assert_int_equal(reply.flags, 0x8000 | AA | 0x0080 | 0x0010);
	assert_int_equal(reply.an, 3);
}

static void test_counts_that_lie(void **state)
{
	(void)state;
	for (size_t at = 6; at < 12; at++) {
		struct message m = question("svc_a.eas.internal", A);

		m.bytes[at] = 0xff;
		ask_raw(&m);
		assert_error(FORMERR);
		assert_int_equal(reply.qd, 1);
	}
	struct message m = question("svc_a.eas.internal", A);

	add(&m, "x", 1); /* too low is a lie as well */
	ask_raw(&m);
	assert_error(FORMERR);
}

static void test_every_cut_is_formerr_or_dropped(void **state)
{
	struct message m = question("svc_a.eas.internal", A);

	(void)state;
	add_opt(&m, 1232, 0, 0, "\0\x0a\0\x02xx", 6);
	for (size_t whole = m.size--; m.size > 0; m.size--) {
		ask_raw(&m);
		assert_true(m.size < whole);
		if (m.size < 12)
			assert_int_equal(reply.exit, CROW_EXIT_DROP);
		else
			assert_error(FORMERR);
	}
}

/* ---- names ---- */

static void test_names_that_are_none(void **state)
{
	static const struct {
		const char *bytes;
		size_t size;
	} bad[] = {{"\xc0\x0c", 2},
		   {"\xc0\x00", 2},
		   {"\xc0\x20", 2},
		   {"\x03"
		    "abc\xc0\x0c",
		    6},
		   {"\x41"
		    "a\0",
		    3},
		   {"\x80"
		    "a\0",
		    3},
		   {"\xbf"
		    "a\0",
		    3}};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct message m = header(RD, 1, 0, 0, 0);

		add(&m, bad[i].bytes, bad[i].size);
		add(&m, "\0\x01\0\x01", 4);
		ask_raw(&m);
		assert_error(FORMERR);
		assert_int_equal(reply.qd, 0);
	}
}

/* A name of `size` bytes below the zone: labels of one byte, the first of two if need be. */
static struct message long_question(size_t size)
{
	struct message m = header(RD, 1, 0, 0, 0);
	size_t left = size - 14;

	if (left % 2) {
		add(&m, "\x02xx", 3);
		left -= 3;
	}
	for (; left > 0; left -= 2)
		add(&m, "\x01x", 2);
	add(&m,
	    "\x03"
	    "eas\x08internal\0\0\x01\0\x01",
	    18);
	return m;
}

static void test_long_names(void **state)
{
	struct message m = long_question(255);

	(void)state;
	ask_raw(&m);
	assert_negative(NXDOMAIN, "eas.internal");
	m = long_question(256);
	ask_raw(&m);
	assert_error(FORMERR);
	m = long_question(257);
	ask_raw(&m);
	assert_error(FORMERR);
}

/* ---- EDNS ---- */

static const struct record *opt(void)
{
	const struct record *last = &reply.records[reply.an + reply.ns + reply.ar - 1];

	assert_true(reply.ar > 0);
	assert_int_equal(last->type, 41);
	assert_string_equal(last->owner, "");
	assert_int_equal(last->class, 1232);
	assert_int_equal(last->size, 0);
	return last;
}

static void test_opt_is_answered(void **state)
{
	(void)state;
	ask_edns("svc_a.eas.internal", A, 4096);
	assert_int_equal(reply.ar, 1);
	assert_int_equal(opt()->ttl, 0);
	ask("svc_a.eas.internal", A);
	assert_int_equal(reply.ar, 0);
	ask_edns("nope.eas.internal", A, 4096);
	opt();
	ask_edns("example.com", A, 4096);
	opt();
}

static void test_badvers(void **state)
{
	struct message m = question("svc_a.eas.internal", A);

	(void)state;
	add_opt(&m, 1232, 1, 0, "", 0);
	ask_raw(&m);
	assert_error(NOERROR);
	assert_int_equal(opt()->ttl, 0x01000000); /* 16, and version 0 */
}

static void test_options_and_flags(void **state)
{
	struct message m = question("svc_a.eas.internal", A);

	(void)state;
	add_opt(&m, 1232, 0, 0xffff,
		"\0\x0a\0\x08"
		"12345678\xff\xf0\0\0",
		16);
	ask_raw(&m);
	assert_int_equal(reply.an, 3);
	assert_int_equal(opt()->ttl, 0x8000); /* DO alone */
}

static void test_opt_that_is_wrong(void **state)
{
	struct message two = question("svc_a.eas.internal", A);
	struct message lengths = two, owner = two, place = two;

	(void)state;
	add_opt(&two, 1232, 0, 0, "", 0);
	add_opt(&two, 1232, 0, 0, "", 0);
	ask_raw(&two);
	assert_error(FORMERR);
	assert_int_equal(reply.ar, 1);
	add_opt(&lengths, 1232, 0, 0,
		"\0\x0a\0\x09"
		"12345678",
		12);
	ask_raw(&lengths);
	assert_error(FORMERR);
	owner.bytes[11] = 1;
	add(&owner, "\x01x\0\0\x29\x04\xd0\0\0\0\0\0\0", 13);
	ask_raw(&owner);
	assert_error(FORMERR);
	add_opt(&place, 1232, 0, 0, "", 0);
	place.bytes[9] = 1; /* in the authority section */
	place.bytes[11] = 0;
	ask_raw(&place);
	assert_error(FORMERR);
}

/* ---- on demand ---- */

static void assert_waits(const char *name, unsigned type, const char *wanted)
{
	ask(name, type);
	assert_int_equal(reply.exit, CROW_EXIT_WAIT);
	assert_string_equal(reply.wanted.name, wanted);
	assert_int_equal(reply.wanted.timeout_ms, 1500);
}

static void test_names_on_demand(void **state)
{
	struct crow_reply out = {.bytes = reply.bytes, .capacity = CROW_QUERY_UDP_MAX};

	(void)state;
	assert_waits("New_svc.demand.internal", A, "new_svc.demand.internal");
	assert_waits("group.x.demand.internal", TXT, "group.x.demand.internal");
	assert_waits("_http._tcp.new.demand.internal", SRV, "new.demand.internal");
	crow_reply_refuse(&out, &reply.query, CROW_RCODE_SERVFAIL); /* its time is up */
	reply.exit = CROW_EXIT_REPLY;
	reply.size = out.size;
	decode();
	assert_error(SERVFAIL);
	assert_int_equal(reply.qd, 1);
}

static void test_names_that_are_not_demanded(void **state)
{
	static const char *const names[] = {"_ldap._tcp.demand.internal",
					    "_tcp.demand.internal",
					    "ip-10-9-9-9.demand.internal",
					    "a b.demand.internal",
					    "a\xff.demand.internal",
					    "denied.demand.internal",
					    "_http._tcp.denied.demand.internal"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		ask(names[i], A);
		assert_negative(NXDOMAIN, "demand.internal");
	}
	ask("failed.demand.internal", A);
	assert_error(SERVFAIL);
	ask("demand.internal", A);
	assert_negative(NOERROR, "demand.internal");
}

/* ---- cost ---- */

static void clear_marks(void)
{
	for (uint32_t i = 0; i < published->image.header->instances.count; i++)
		published->given[i].named = 0;
}

/* What an answer names is marked, and nothing else: the pick counts, the others were given too. */
static void test_what_is_given_is_marked(void **state)
{
	static const struct {
		const char *name;
		unsigned type;
	} cases[] = {{"svc_a.eas.internal", A}, {"svc_a.eas.internal", SRV}};
	const struct crow_snap_service *service = service_named("svc_a");

	(void)state;
	clear_marks(); /* of the tests before */
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct message m = question(cases[i].name, cases[i].type);
		unsigned picks = 0, named = 0;

		settings = (struct crow_answer_settings){.ttl_s = 7,
							 .answers = 3,
							 .sequences = sequences,
							 .given = published->given};
		ask_bytes(&m, false);
		for (uint32_t k = 0; k < published->image.header->instances.count; k++) {
			uint32_t mark = published->given[k].named;

			named += mark & 1;
			picks += mark / 2;
			if (mark != 0)
				assert_in_range(k, service->first,
						service->first + service->count - 1);
		}
		clear_marks();
		assert_int_equal(picks, 1);
		assert_int_equal(named, reply.an);
	}
}

static void test_nothing_is_allocated(void **state)
{
	static const char *const names[] = {
		"svc_a.eas.internal", "many.eas.internal", "_http._tcp.svc_a.eas.internal",
		"nope.eas.internal",  "eas.internal",      "example.com",
		"new.demand.internal"};
	static const unsigned types[] = {A, AAAA, SRV, TXT, ANY};
	struct crow_reply out = {.bytes = reply.bytes, .capacity = CROW_QUERY_UDP_MAX};
	unsigned long before = allocations;

	(void)state;
	if (!COUNTS_ALLOCATIONS) {
		print_message("skipped: the sanitizer has a malloc() of its own\n");
		skip();
	}
	void *volatile seen = malloc(1); /* volatile: or the compiler leaves both calls out */

	free(seen);
	assert_int_equal(allocations, before + 1); /* the counter works */
	before = allocations;
	for (size_t i = 0; i < 7; i++)
		for (size_t t = 0; t < 5; t++) {
			struct message m = question(names[i], types[t]);

			crow_answer(m.bytes, m.size, false, &published->image, &settings,
				    &reply.query, &out, &reply.wanted);
		}
	assert_int_equal(allocations, before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_case_is_echoed),
		cmocka_unit_test(test_first_addresses_follow_the_weights),
		cmocka_unit_test(test_services_that_are_asked_in_turn),
		cmocka_unit_test(test_an_address_is_said_once),
		cmocka_unit_test(test_ipv6),
		cmocka_unit_test(test_other_types_are_nodata),
		cmocka_unit_test(test_unknown_names),
		cmocka_unit_test(test_elsewhere),
		cmocka_unit_test(test_search_suffixes),
		cmocka_unit_test(test_apex),
		cmocka_unit_test(test_alias),
		cmocka_unit_test(test_names_between_are_empty),
		cmocka_unit_test(test_a_service_without_a_list_is_servfail),
		cmocka_unit_test(test_before_the_first_image),
		cmocka_unit_test(test_bytes_that_text_cannot_hold),
		cmocka_unit_test(test_any_is_one_set),
		cmocka_unit_test(test_other_classes),
		cmocka_unit_test(test_transfers),
		cmocka_unit_test(test_srv),
		cmocka_unit_test(test_srv_begins_with_the_pick),
		cmocka_unit_test(test_srv_weights_keep_their_ratio),
		cmocka_unit_test(test_srv_addresses_where_they_fit),
		cmocka_unit_test(test_srv_targets_resolve),
		cmocka_unit_test(test_https),
		cmocka_unit_test(test_https_ipv6),
		cmocka_unit_test(test_https_is_chosen_to_fit),
		cmocka_unit_test(test_txt),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_ptr),
		cmocka_unit_test(test_ptr_elsewhere),
		cmocka_unit_test(test_all_ejected),
		cmocka_unit_test(test_drained_are_never_named),
		cmocka_unit_test(test_one_family_may_not_be_picked),
		cmocka_unit_test(test_a_list_without_instances_is_nodata),
		cmocka_unit_test(test_addresses_are_chosen_to_fit),
		cmocka_unit_test(test_udp_limit),
		cmocka_unit_test(test_srv_is_whole_or_truncated),
		cmocka_unit_test(test_srv_at_every_limit),
		cmocka_unit_test(test_no_reply),
		cmocka_unit_test(test_other_opcodes),
		cmocka_unit_test(test_question_counts),
		cmocka_unit_test(test_header_bits),
		cmocka_unit_test(test_counts_that_lie),
		cmocka_unit_test(test_every_cut_is_formerr_or_dropped),
		cmocka_unit_test(test_names_that_are_none),
		cmocka_unit_test(test_long_names),
		cmocka_unit_test(test_opt_is_answered),
		cmocka_unit_test(test_badvers),
		cmocka_unit_test(test_options_and_flags),
		cmocka_unit_test(test_opt_that_is_wrong),
		cmocka_unit_test(test_names_on_demand),
		cmocka_unit_test(test_names_that_are_not_demanded),
		cmocka_unit_test(test_what_is_given_is_marked),
		cmocka_unit_test(test_nothing_is_allocated),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
