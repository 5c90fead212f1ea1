#!/bin/sh
# Installs the Debian packages that the named groups of tests/packages list and that are missing.
# usage: tests/deps.sh GROUP...
set -eu

wanted=$(for group in "$@"; do
	sed -n "s/^$group[[:space:]]\{1,\}//p" "$(dirname "$0")/packages"
done)
missing=
for package in $wanted; do
	dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed ||
		missing="$missing $package"
done
[ -n "$missing" ] || exit 0

echo "installing Debian packages:$missing" >&2
as_root=
if [ "$(id -u)" -ne 0 ]; then
	command -v sudo >/dev/null || {
		echo "these need root, and sudo is not here: apt-get install$missing" >&2
		exit 1
	}
	as_root=sudo
fi
# The lists of a fresh image are empty or old; so they are fetched before the first install only.
$as_root apt-get update -qq
# shellcheck disable=SC2086  # words, on purpose
$as_root env DEBIAN_FRONTEND=noninteractive \
	apt-get install -y -qq --no-install-recommends $missing >/dev/null
