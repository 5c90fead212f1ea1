#include "cli/finding.h"

#include <stdarg.h>
#include <stdio.h>

#include "cli/json.h"

/* A sentence with a path and a name of the longest; more is cut. */
#define TEXT_MAX 1024

#define VERDICT_COLUMNS 6
#define TEXT_COLUMN     17

static const char *const words[CROW_VERDICTS] = {"ok", "note", "warn", "FAIL"};
static const char *const json_words[CROW_VERDICTS] = {"ok", "note", "warn", "fail"};
static const enum crow_tint tints[CROW_VERDICTS] = {CROW_GOOD, CROW_PLAIN, CROW_WARN, CROW_BAD};

void crow_findings_begin(struct crow_findings *findings, bool json)
{
	*findings = (struct crow_findings){.json = json};
	crow_term_init(&findings->term, stdout);
	if (json)
		fputs("{\"findings\":[", stdout);
}

static void print_text(struct crow_findings *findings, enum crow_verdict verdict, const char *about,
		       const char *next, const char *text)
{
	const struct crow_term *term = &findings->term;

	crow_term_put(term, tints[verdict], VERDICT_COLUMNS, words[verdict]);
	crow_term_put(term, CROW_BOLD, TEXT_COLUMN - VERDICT_COLUMNS, about);
	crow_term_wrap(term, CROW_PLAIN, TEXT_COLUMN, TEXT_COLUMN, text);
	fputc('\n', term->out);
	if (next && next == findings->next) {
		fprintf(term->out, "%*s-> as above\n", TEXT_COLUMN, "");
	} else if (next) {
		fprintf(term->out, "%*s-> ", TEXT_COLUMN, "");
		crow_term_wrap(term, CROW_PLAIN, TEXT_COLUMN + 3, TEXT_COLUMN + 3, next);
		fputc('\n', term->out);
	}
}

static void print_json(struct crow_findings *findings, enum crow_verdict verdict, const char *about,
		       const char *next, const char *text)
{
	unsigned before = 0;

	for (int i = 0; i < CROW_VERDICTS; i++)
		before += findings->counts[i];
	printf("%s\n{\"verdict\":\"%s\",\"about\":", before ? "," : "", json_words[verdict]);
	crow_json_string(stdout, about);
	fputs(",\"text\":", stdout);
	crow_json_string(stdout, text);
	fputs(",\"next\":", stdout);
	crow_json_string(stdout, next);
	fputc('}', stdout);
}

void crow_finding(struct crow_findings *findings, enum crow_verdict verdict, const char *about,
		  const char *next, const char *format, ...)
{
	char text[TEXT_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	(findings->json ? print_json : print_text)(findings, verdict, about, next, text);
	findings->counts[verdict]++;
	findings->next = next;
	fflush(stdout); /* what follows may take a while */
}

bool crow_findings_end(struct crow_findings *findings)
{
	unsigned failed = findings->counts[CROW_VERDICT_FAIL],
		 warned = findings->counts[CROW_VERDICT_WARN];

	if (findings->json) {
		printf("],\n\"failed\":%u,\"warned\":%u}\n", failed, warned);
	} else if (failed || warned) {
		printf("\n%u failed, %u to look at\n", failed, warned);
	} else {
		puts("\nnothing is wrong");
	}
	return failed == 0;
}
