#!/bin/sh
# Each file as a C string, and its hash as the Content-Security-Policy of the page names it.
# usage: daemon/http/assets.sh FILE...
set -eu
for file; do
	name=CROW_$(basename "$file" | tr a-z. A-Z_)
	printf '#define %s \\\n' "$name"
	sed -e 's/[\\"]/\\&/g' -e 's/.*/\t"&\\n" \\/' "$file"
	printf '\t""\n#define %s_HASH "sha256-%s"\n' "$name" \
		"$(sha256sum < "$file" | cut -c1-64 | tr a-f A-F | basenc --base16 -d | basenc --base64 -w0)"
done
