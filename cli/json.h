/*
 * The few bits of JSON that the command line writes. Numbers and layout are printf's.
 */
#ifndef CROW_JSON_H
#define CROW_JSON_H

#include <stdio.h>

/* A string with its quotes: valid JSON whatever the bytes are. What is not UTF-8 becomes U+FFFD,
 * a byte each. NULL is written as null. */
void crow_json_string(FILE *out, const char *text);

#endif
