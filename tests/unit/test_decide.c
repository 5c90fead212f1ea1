/*
 * Where a connect() goes: images from the daemon's builder, addresses of every kind.
 */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "preload/decide.h"
#include "preload/names.h"
#include "resolver/pick.h"
#include "tests/unit/fixture.h"

static struct fixture f;
static struct crow_published *published;
static const struct crow_recent none_recent;

static void setup_with(const char *config)
{
	fixture_init(&f, config);
}

static const struct crow_image *build(void)
{
	published = fixture_build(&f);
	return &published->image;
}

static int teardown(void **state)
{
	(void)state;
	free(published);
	fixture_fini(&f);
	return 0;
}

static struct crow_target target(const char *ip, uint16_t port)
{
	struct crow_target made = {.port = port};

	assert_true(crow_addr_parse(ip, strlen(ip), &made.addr));
	return made;
}

static uint64_t key_of(const struct crow_image *img, uint32_t service)
{
	return crow_image_service(img, service)->key;
}

static struct crow_decision decide(const struct crow_image *img, const char *ip, uint16_t port,
				   uint64_t point)
{
	struct crow_target asked = target(ip, port);
	struct crow_decision decision;

	crow_decide(img, &asked, &none_recent, &decision);
	if (decision.count == 0)
		return decision;
	if (decision.drawn == 0)
		crow_decide_first(img, &asked, point, &decision);
	assert_int_equal(decision.drawn, 1);
	decision.mapped = 0;
	crow_decide_others(img, &asked, point, &decision);
	assert_int_equal(decision.drawn, decision.count);
	return decision;
}

static void assert_target(const struct crow_decision *decision, size_t index, const char *ip,
			  uint16_t port)
{
	char text[CROW_ENDPOINT_TEXT], expected[CROW_ENDPOINT_TEXT];
	struct crow_target wanted = target(ip, port);

	assert_true(index < decision->count);
	crow_addr_format(&decision->targets[index].addr, decision->targets[index].port, text);
	crow_addr_format(&wanted.addr, port, expected);
	assert_string_equal(text, expected);
}

static const struct fixture_item four[] = {{"10.0.0.1", 8001, 100},
					   {"10.0.0.2", 8002, 100},
					   {"10.0.0.3", 8003, 50},
					   {"10.0.0.4", 8004, 0}};

static void test_the_instance_asked_for_comes_first(void **state)
{
	const struct crow_image *img;

	(void)state;
	setup_with(FIXTURE_CONFIG);
	fixture_take(&f, "one", four, 4);
	img = build();
	for (uint64_t seq = 0; seq < 50; seq++) {
		struct crow_decision own = decide(img, "10.0.0.2", 8002, seq * 0x9E3779B97F4A7C15u);
		struct crow_decision translated = decide(img, "10.0.0.2", 80, seq << 58);

		assert_target(&own, 0, "10.0.0.2", 8002);
		assert_target(&translated, 0, "10.0.0.2", 8002);
		assert_int_equal(own.count, 3); /* the drained one is none to go to */
		assert_memory_not_equal(&own.targets[1], &own.targets[0], sizeof(own.targets[0]));
		assert_memory_not_equal(&own.targets[2], &own.targets[0], sizeof(own.targets[0]));
		assert_memory_not_equal(&own.targets[2], &own.targets[1], sizeof(own.targets[0]));
		assert_int_equal(own.key, key_of(img, 0));
		assert_int_equal(own.attempt_timeout_ms, 250);
	}
}

/* A program that resolves and connects in turn takes both of its sequences in step. */
static void test_survivors_get_what_is_due_to_them(void **state)
{
	static const struct fixture_item items[] = {{"10.0.0.1", 1, 100},
						    {"10.0.0.2", 2, 100},
						    {"10.0.0.3", 3, 50},
						    {"10.0.0.4", 4, 10}};
	unsigned seen[5] = {0}, total = 0;
	const struct crow_image *img;

	(void)state;
	setup_with(FIXTURE_CONFIG);
	fixture_take(&f, "one", items, 4);
	img = build();
	for (uint64_t seq = 0; seq < 100000; seq++) {
		uint32_t picked = crow_pick_at(img, 0, CROW_V4, crow_pick_point(seq));

		if (crow_image_instance(img, picked)->port != 1)
			continue;
		seen[decide(img, "10.0.0.1", 1, crow_pick_point(seq + 1)).targets[1].port]++;
		total++;
	}
	assert_in_range(total, 38400, 38520);
	/* 100, 50 and 10 parts of 160; within 2 %, or 5 standard deviations of dice. */
	assert_in_range(seen[2], total * 100 / 160 - 480, total * 100 / 160 + 480);
	assert_in_range(seen[3], total * 50 / 160 - 455, total * 50 / 160 + 455);
	assert_in_range(seen[4], total * 10 / 160 - 240, total * 10 / 160 + 240);
}

static void test_others_pass(void **state)
{
	const struct crow_image empty = {0};
	const struct crow_image *img;

	(void)state;
	setup_with(FIXTURE_CONFIG);
	fixture_take(&f, "one", four, 4);
	img = build();
	assert_int_equal(decide(img, "10.0.0.2", 8001, 1).count, 0);
	assert_int_equal(decide(img, "10.0.0.9", 80, 1).count, 0);
	assert_int_equal(decide(img, "::1", 80, 1).count, 0);
	assert_int_equal(decide(&empty, "10.0.0.2", 8002, 1).count, 0);
}

static void test_drained_and_vanished_are_replaced(void **state)
{
	static const struct fixture_item two[] = {{"10.0.0.1", 8001, 1}, {"10.0.0.4", 8004, 0}};
	const struct crow_image *img;
	struct crow_decision decision;

	(void)state;
	setup_with(FIXTURE_CONFIG);
	fixture_take(&f, "one", four, 4);
	fixture_take(&f, "one", two, 2);
	img = build();
	decision = decide(img, "10.0.0.4", 8004, 1); /* drained */
	assert_int_equal(decision.count, 1);
	assert_target(&decision, 0, "10.0.0.1", 8001);
	decision = decide(img, "10.0.0.2", 8002, 1); /* a tombstone, by its own port */
	assert_target(&decision, 0, "10.0.0.1", 8001);
	decision = decide(img, "10.0.0.2", 80, 1); /* and by the service's */
	assert_target(&decision, 0, "10.0.0.1", 8001);
}

/* An address that the program resolved before: its first attempt goes elsewhere, and is not paid. */
static void test_ejected_are_replaced(void **state)
{
	static const uint8_t first_is_out[] = {0, 100, 100, 100};
	const struct crow_image *img;

	(void)state;
	setup_with(FIXTURE_CONFIG);
	fixture_take(&f, "one", four, 4);
	fixture_set_shares(&f, "one", first_is_out);
	img = build();
	for (uint64_t seq = 0; seq < 50; seq++) {
		uint64_t point = crow_pick_point(seq);
		struct crow_decision own = decide(img, "10.0.0.1", 8001, point);
		struct crow_decision translated = decide(img, "10.0.0.1", 80, point);
		struct crow_decision other = decide(img, "10.0.0.2", 8002, point);

		assert_int_equal(own.count, 2); /* the drained one is none to go to either */
		assert_in_range(own.targets[0].port, 8002, 8003);
		assert_in_range(translated.targets[0].port, 8002, 8003);
		assert_int_equal(other.targets[0].port, 8002);
		assert_int_equal(other.targets[1].port, 8003);
	}
}

static void test_a_family_stays_a_family(void **state)
{
	static const struct fixture_item mixed[] = {
		{"10.0.0.1", 8001, 1}, {"2001:db8::1", 8001, 1}, {"2001:db8::2", 8001, 1}};
	struct crow_decision decision;
	const struct crow_image *img;

	(void)state;
	setup_with(FIXTURE_CONFIG);
	fixture_take(&f, "one", mixed, 3);
	img = build();
	assert_int_equal(decide(img, "10.0.0.1", 80, 7).count, 1);
	decision = decide(img, "2001:db8::2", 80, 7);
	assert_int_equal(decision.count, 2);
	assert_target(&decision, 1, "2001:db8::1", 8001);
}

static void test_nobody_up_leaves_the_one_asked_for(void **state)
{
	static const struct fixture_item v4[] = {{"10.0.0.1", 8001, 0}, {"2001:db8::1", 8001, 1}};
	struct crow_decision decision;

	(void)state;
	setup_with(FIXTURE_CONFIG);
	fixture_take(&f, "one", v4, 2);
	decision = decide(build(), "10.0.0.1", 80, 7);
	assert_int_equal(decision.count, 1);
	assert_target(&decision, 0, "10.0.0.1", 8001);
}

static void test_an_address_of_two_services_is_the_last_resolved_ones(void **state)
{
	static const struct fixture_item first[] = {{"10.0.0.1", 8001, 1}};
	static const struct fixture_item second[] = {{"10.0.0.1", 9001, 1}};
	struct crow_target asked = target("10.0.0.1", 80);
	struct crow_recent recent = {0};
	struct crow_decision decision;
	const struct crow_image *img;

	(void)state;
	setup_with(FIXTURE_CONFIG);
	fixture_take(&f, "one", first, 1);
	fixture_take(&f, "two_b", second, 1);
	img = build();
	for (int round = 0; round < 40; round++) {
		uint32_t wanted = (uint32_t)(round % 2);

		crow_recent_add(&recent, key_of(img, wanted));
		crow_decide(img, &asked, &recent, &decision);
		assert_string_equal(crow_decide_name(img, &asked, &decision),
				    wanted == 0 ? "one" : "two_b");
		assert_int_equal(decision.targets[0].port, wanted == 0 ? 8001 : 9001);
	}
}

enum { MANY = 40 };

/* One machine with a service on each of many ports, and one of them on `first`. */
static const struct crow_image *many_at_one_address(uint16_t first)
{
	char config[1024] = "[source s]\nendpoint=http://127.0.0.1:1\nservices=";
	char name[8];

	for (int i = 0; i < MANY; i++)
		sprintf(config + strlen(config), "s%d,", i);
	config[strlen(config) - 1] = '\n';
	setup_with(config);
	for (uint16_t i = 0; i < MANY; i++) {
		struct fixture_item item = {"10.0.0.1", i == MANY / 2 ? first : 8000 + i, 1};

		snprintf(name, sizeof(name), "s%d", i);
		fixture_take(&f, name, &item, 1);
	}
	return build();
}

/* The name of the service that 10.0.0.1:80 means to who resolved that one last. */
static const char *meant_after(const struct crow_image *img, uint32_t service)
{
	static struct crow_decision decision;
	struct crow_target asked = target("10.0.0.1", 80);
	struct crow_recent recent = {0};

	crow_recent_add(&recent, key_of(img, service));
	crow_decide(img, &asked, &recent, &decision);
	return crow_decide_name(img, &asked, &decision);
}

static void test_many_services_at_an_address_are_told_apart(void **state)
{
	const struct crow_image *img = many_at_one_address(9999);

	(void)state;
	for (uint32_t i = 0; i < MANY; i++)
		assert_string_equal(meant_after(img, i),
				    crow_image_string(img, crow_image_service(img, i)->name));
}

static void test_who_has_exactly_that_port_comes_before_all_others(void **state)
{
	const struct crow_image *img = many_at_one_address(80);

	(void)state;
	for (uint32_t i = 0; i < MANY; i++)
		assert_string_equal(meant_after(img, i), "s20");
}

static void test_several_on_one_address_share_its_service_port(void **state)
{
	static const struct fixture_item same[] = {
		{"10.0.0.1", 8001, 1}, {"10.0.0.1", 8002, 1}, {"10.0.0.2", 8003, 2}};
	unsigned seen[4] = {0};
	const struct crow_image *img;

	(void)state;
	setup_with(FIXTURE_CONFIG);
	fixture_take(&f, "one", same, 3);
	img = build();
	for (uint64_t seq = 0; seq < 400; seq++)
		seen[decide(img, "10.0.0.1", 80, seq * 0x9E3779B97F4A7C15u).targets[0].port -
		     8000]++;
	assert_in_range(seen[1], 95, 105);
	assert_in_range(seen[2], 95, 105);
	assert_in_range(seen[3], 195, 205);
}

/* A program that talks to them all in turn: each connect after the look-up of its service. */
static void test_many_services_are_remembered(void **state)
{
	const struct crow_image *img = many_at_one_address(9999);
	struct crow_target asked = target("10.0.0.1", 80);
	struct crow_recent recent = {0};
	struct crow_decision decision;
	unsigned right = 0;

	(void)state;
	for (uint32_t round = 0; round < 3; round++)
		for (uint32_t i = 0; i < MANY; i++)
			crow_recent_add(&recent, key_of(img, i));
	for (uint32_t i = 0; i < MANY; i++) {
		uint32_t age = crow_recent_age(&recent, key_of(img, i));

		assert_true(age == MANY - 1 - i || age == UINT32_MAX);
		right += age == MANY - 1 - i;
	}
	/* Five in one set of four is rare where 40 go into 64 sets. */
	assert_true(right >= MANY - 2);
	crow_decide(img, &asked, &recent, &decision);
	assert_string_equal(crow_decide_name(img, &asked, &decision),
			    crow_image_string(img, crow_image_service(img, MANY - 1)->name));
}

static void test_the_same_name_again_writes_nothing(void **state)
{
	struct crow_recent recent = {0};

	(void)state;
	setup_with(FIXTURE_CONFIG);
	published = NULL;
	for (int i = 0; i < 3; i++)
		crow_recent_add(&recent, 0x123456789);
	assert_int_equal(recent.last, 1);
	assert_int_equal(crow_recent_age(&recent, 0x123456789), 0);
	assert_int_equal(crow_recent_age(&recent, 0x923456789), UINT32_MAX);
}

static void test_the_other_family_is_for_dual_stack_sockets(void **state)
{
	static const struct fixture_item mixed[] = {
		{"10.0.0.1", 8001, 1}, {"10.0.0.2", 8001, 1}, {"2001:db8::1", 8001, 1}};
	static const struct fixture_item drained[] = {{"10.0.0.1", 8001, 1},
						      {"10.0.0.2", 8001, 1},
						      {"10.0.0.3", 8001, 1},
						      {"2001:db8::1", 8001, 0}};
	struct crow_target asked = target("2001:db8::1", 80), v4 = target("10.0.0.1", 80);
	struct crow_decision decision;
	const struct crow_image *img;

	(void)state;
	setup_with(FIXTURE_CONFIG);
	fixture_take(&f, "one", mixed, 3);
	img = build();
	crow_decide(img, &asked, &none_recent, &decision);
	assert_int_equal(decision.count, 1);
	assert_int_equal(decision.mapped, 2);
	decision.count += decision.mapped;
	crow_decide_others(img, &asked, 1, &decision);
	assert_int_equal(decision.drawn, 3);
	assert_target(&decision, 0, "2001:db8::1", 8001);
	assert_true(crow_addr_is_v4(&decision.targets[1].addr));
	assert_true(crow_addr_is_v4(&decision.targets[2].addr));
	free(published);
	/* The only one of its family is drained: still three in all. */
	fixture_take(&f, "one", drained, 4);
	img = build();
	crow_decide(img, &asked, &none_recent, &decision);
	assert_int_equal(decision.count, 1);
	assert_int_equal(decision.mapped, 2);
	decision.count += decision.mapped;
	crow_decide_others(img, &asked, 1, &decision);
	assert_int_equal(decision.drawn, 3);
	assert_target(&decision, 0, "2001:db8::1", 8001);
	/* Once mapped, a socket stays so. */
	crow_decide(img, &v4, &none_recent, &decision);
	assert_int_equal(decision.mapped, 0);
}

/* The image that the others are drawn from is a later one as a rule. */
static void test_others_of_a_later_image(void **state)
{
	static const struct fixture_item later[] = {
		{"10.0.0.9", 8009, 1}, {"10.0.0.1", 8001, 1}, {"10.0.0.2", 8002, 0}};
	struct crow_target asked = target("10.0.0.1", 8001);
	struct crow_decision decision;

	(void)state;
	setup_with(FIXTURE_CONFIG);
	fixture_take(&f, "one", four, 4);
	crow_decide(build(), &asked, &none_recent, &decision);
	assert_int_equal(decision.count, 3);
	free(published);
	fixture_take(&f, "one", later, 3);
	crow_decide_others(build(), &asked, 1, &decision);
	assert_int_equal(decision.drawn, 2);
	assert_target(&decision, 0, "10.0.0.1", 8001);
	assert_target(&decision, 1, "10.0.0.9", 8009);
}

static void test_others_of_an_image_without_the_service(void **state)
{
	const struct crow_image empty = {0};
	struct crow_target asked = target("10.0.0.1", 8001);
	struct crow_decision decision;

	(void)state;
	setup_with(FIXTURE_CONFIG);
	fixture_take(&f, "one", four, 4);
	crow_decide(build(), &asked, &none_recent, &decision);
	crow_decide_others(&empty, &asked, 1, &decision);
	assert_int_equal(decision.drawn, 1);
}

/* ---- names ---- */

static enum crow_host_kind find(const struct crow_image *img, const char *host, const char *service)
{
	struct crow_host found;

	crow_names_find(img, host, &found);
	if (found.kind == CROW_HOST_SERVICE)
		assert_string_equal(
			crow_image_string(img, crow_image_service(img, found.service)->name),
			service);
	if (found.kind == CROW_HOST_WANTED)
		assert_string_equal(found.name, service);
	return found.kind;
}

static void test_names_and_aliases(void **state)
{
	const struct crow_image *img;

	(void)state;
	setup_with("[source s]\nendpoint=http://127.0.0.1:1\nservices=one,two_b\n"
		   "[service one]\nalias=model.example.com\n");
	fixture_take(&f, "one", four, 4);
	fixture_take(&f, "two_b", four, 4);
	img = build();
	crow_names_open("A.example.=two_b,  b.example = two-b.eas.internal "
			",=x,c,d.example=,e.example=Model."
			"Example.com,one.eas.internal=two_b");
	assert_int_equal(find(img, "a.Example", "two_b"), CROW_HOST_SERVICE);
	assert_int_equal(find(img, "b.example", "two_b"), CROW_HOST_SERVICE);
	assert_int_equal(find(img, "e.example.", "one"), CROW_HOST_SERVICE);
	assert_int_equal(find(img, "ONE.eas.internal", "two_b"), CROW_HOST_SERVICE);
	assert_int_equal(find(img, "c", ""), CROW_HOST_FOREIGN);
	assert_int_equal(find(img, "d.example", ""), CROW_HOST_FOREIGN);
	assert_int_equal(find(img, "", ""), CROW_HOST_FOREIGN);
	assert_int_equal(find(img, "three.eas.internal", ""), CROW_HOST_FOREIGN);
	crow_names_open(NULL);
	assert_int_equal(find(img, "a.example", ""), CROW_HOST_FOREIGN);
	assert_int_equal(find(img, "one.eas.internal", "one"), CROW_HOST_SERVICE);
}

static void test_names_on_demand(void **state)
{
	const struct crow_image *img;

	(void)state;
	setup_with("[source s]\nendpoint=http://127.0.0.1:1\nservices=*\n");
	crow_table_deny(&f.table, "no.eas.internal", CROW_NAME_UNKNOWN, INT64_MAX);
	img = build();
	crow_names_open("mine=Later");
	assert_int_equal(find(img, "New.eas.internal.", "new.eas.internal"), CROW_HOST_WANTED);
	assert_int_equal(find(img, "mine", "later.eas.internal"), CROW_HOST_WANTED);
	assert_int_equal(find(img, "no.eas.internal", ""), CROW_HOST_FOREIGN);
	assert_int_equal(find(img, "eas.internal", ""), CROW_HOST_FOREIGN);
	assert_int_equal(find(img, "example.com", ""), CROW_HOST_FOREIGN);
	crow_names_open(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_the_instance_asked_for_comes_first, teardown),
		cmocka_unit_test_teardown(test_survivors_get_what_is_due_to_them, teardown),
		cmocka_unit_test_teardown(test_others_pass, teardown),
		cmocka_unit_test_teardown(test_drained_and_vanished_are_replaced, teardown),
		cmocka_unit_test_teardown(test_ejected_are_replaced, teardown),
		cmocka_unit_test_teardown(test_a_family_stays_a_family, teardown),
		cmocka_unit_test_teardown(test_nobody_up_leaves_the_one_asked_for, teardown),
		cmocka_unit_test_teardown(test_an_address_of_two_services_is_the_last_resolved_ones,
					  teardown),
		cmocka_unit_test_teardown(test_many_services_at_an_address_are_told_apart,
					  teardown),
		cmocka_unit_test_teardown(test_who_has_exactly_that_port_comes_before_all_others,
					  teardown),
		cmocka_unit_test_teardown(test_several_on_one_address_share_its_service_port,
					  teardown),
		cmocka_unit_test_teardown(test_many_services_are_remembered, teardown),
		cmocka_unit_test_teardown(test_the_same_name_again_writes_nothing, teardown),
		cmocka_unit_test_teardown(test_the_other_family_is_for_dual_stack_sockets,
					  teardown),
		cmocka_unit_test_teardown(test_others_of_a_later_image, teardown),
		cmocka_unit_test_teardown(test_others_of_an_image_without_the_service, teardown),
		cmocka_unit_test_teardown(test_names_and_aliases, teardown),
		cmocka_unit_test_teardown(test_names_on_demand, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
